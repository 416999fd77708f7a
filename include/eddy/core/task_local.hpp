// task_local<T>: values that follow a task through everything it calls, and that what it spawns inherits.
//
//     task_local<std::string> request_id;             // usually at namespace scope
//
//     auto with_id = request_id.scoped(header("id"));  // back to what it was when `with_id` goes
//     co_await handle(request);                        // request_id.get() anywhere below, in children too
//
// Like Python's contextvars: a child starts with the values its parent had when it spawned it; what either sets later,
// the other does not see. The same goes for callbacks (call_soon, call_later, call_at, post), for tasks spawned by way
// of a loop_ref, and for offloaded functions: they see what was there when they were handed over, and what they set is
// gone when they return.
#pragma once

#include <eddy/core/local_values.hpp>

#include <type_traits>

namespace eddy {

// Puts a task_local back to what it was before scoped(). Lives in the frame that asked for it, and goes there.
class [[nodiscard("the value is put back when this goes")]] local_scope {
public:
    local_scope(const local_scope&) = delete;
    local_scope& operator=(const local_scope&) = delete;
    // Needs no memory. Another task than the one that called scoped(): no effect.
    ~local_scope();

private:
    template <class T>
    friend class task_local;
    local_scope(std::uint64_t key, detail::local_value_ref v);

    detail::local_values* const where_;
    detail::local_values before_;
    detail::local_values with_;
    detail::local_node* spare_; // for the way back when other keys have been set meanwhile
};

namespace detail {

std::uint64_t next_local_key() noexcept;

template <class T>
struct typed_local final : local_value {
    explicit typed_local(T&& v) : local_value(&destroy), value(std::move(v)) {}
    static void destroy(local_value& v) noexcept { delete static_cast<typed_local*>(&v); }
    static local_value_ref make(T&& v) { return local_value_ref(new typed_local(std::move(v))); }
    T value;
};

} // namespace detail

// A key. Any number of threads may use it, each for its own tasks. T is a movable object; it need not be copyable. The
// last to let go of a value destroys it, which may be the thread of an offloaded function. Nothing here is a
// checkpoint. Costs nothing where nobody sets a value.
template <class T>
class task_local {
    static_assert(std::is_object_v<T> && std::is_move_constructible_v<T>, "a task_local holds a movable object");
    static_assert(alignof(T) <= 16, "over-aligned values are not supported: box them");

public:
    task_local() requires std::is_default_constructible_v<T>
        : default_() {}
    // What get() gives where nothing has been set.
    explicit task_local(T default_value) : default_(std::move(default_value)) {}
    task_local(const task_local&) = delete;
    task_local& operator=(const task_local&) = delete;

    // The value of the running task, callback or offloaded function; the default where none was set or inherited, and
    // outside of these. The reference is good until the running task sets this key again, or ends. Also in destructors
    // of a frame that is being destroyed. O(n) in the number of keys that have a value.
    [[nodiscard]] const T& get() const noexcept {
        const detail::local_values* now =
            detail::locals_in_use.load(std::memory_order_relaxed) ? detail::current_locals() : nullptr;
        detail::local_value* v = now == nullptr ? nullptr : now->find(key_);
        return v == nullptr ? default_ : static_cast<detail::typed_local<T>*>(v)->value;
    }
    // From here on, for the running task and what it spawns later. std::bad_alloc; no_running_loop where no task,
    // callback or offloaded function runs. When it throws, the value is as before.
    void set(T value) {
        detail::local_values& now = detail::require_locals();
        now = now.with(key_, detail::typed_local<T>::make(std::move(value)));
    }
    // The same until what it gives is destroyed. Several may be open at a time, and need not be closed in order.
    [[nodiscard("the value is put back when this goes")]] local_scope scoped(T value) {
        static_cast<void>(detail::require_locals());
        return local_scope(key_, detail::typed_local<T>::make(std::move(value)));
    }

private:
    const std::uint64_t key_ = detail::next_local_key(); // not its address, which another key might get one day
    const T default_;
};

} // namespace eddy

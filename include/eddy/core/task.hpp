// task<T>: a coroutine that eddy runs.
//
// Lazily started. Awaiting one costs no trip through the ready queue: the child runs at once, and its co_return resumes
// the parent at once; every 128 such hops go through the loop, so that neither loops nor recursion overflow the stack.
#pragma once

#include <eddy/core/operation.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <new>
#include <tuple>

#if defined(__GNUC__) && !defined(__clang__) && (__GNUC__ < 12 || (__GNUC__ == 12 && __GNUC_MINOR__ < 4))
#define EDDY_DETAIL_GUARD_COROUTINES 1
#else
#define EDDY_DETAIL_GUARD_COROUTINES 0
#endif

namespace eddy {

template <class T = void>
class task;
template <class T>
class task_handle;

namespace detail {

struct promise_base;

// Where a coroutine's result goes: into the operation that awaits it, or into the record of its task.
struct result_slot {
    std::uint64_t up = 0;  // the frame to resume at the end; of a task's root: 2 * the task's number + 1
    void* child = nullptr; // frame that fills this slot, while there is one
    engine::status st = engine::status::pending;
    std::exception_ptr error;

    result_slot() noexcept = default;
    result_slot(const result_slot&) = delete;
    result_slot& operator=(const result_slot&) = delete;

    void set_parent(void* frame) noexcept { up = reinterpret_cast<std::uintptr_t>(frame); }
    [[nodiscard]] void* parent() const noexcept { return reinterpret_cast<void*>(static_cast<std::uintptr_t>(up)); }
    [[nodiscard]] bool is_root() const noexcept { return (up & 1) != 0; }
};

template <class T>
struct value_slot : result_slot {
    union {
        stored_t<T> value;
    };
    value_slot() noexcept {}
    ~value_slot() {
        if (st == engine::status::ok) std::destroy_at(&value);
    }
};
template <>
struct value_slot<void> : result_slot {};

[[noreturn]] void bad_coroutine_frame(const std::source_location& at) noexcept;
void store_current_exception(result_slot& slot) noexcept;
// Destroys a frame that was never run; told of in debug mode.
void drop_unawaited(void* frame) noexcept;
// The end of the task whose record is the scope `root`; from the drain loop.
void finish_record(void* root) noexcept;
// Destroys a suspended chain from its leaf to (and with) the frame that fills `top`.
void destroy_chain(result_slot& top, engine::waiter* leaf) noexcept;

// Frame memory comes from the pool of this thread; see engine/pool.hpp.
struct frame_memory {
    static void* operator new(std::size_t size) noexcept { return engine::allocate(size); }
    static void operator delete(void* p, std::size_t size) noexcept { engine::deallocate(p, size); }
};

// Lean: the scope, the slot, the line of the current await.
struct promise_base : context, frame_memory {
    result_slot* slot = nullptr;
    std::source_location at;

    struct final_awaiter {
        bool await_ready() const noexcept { return false; }
        template <class P>
        std::coroutine_handle<> await_suspend(std::coroutine_handle<P> h) const noexcept {
            promise_base& p = h.promise();
            engine::loop_core& l = *p.where->loop;
            if (!p.slot->is_root()) [[likely]]
                return transfer(l, p.slot->parent());
            l.continue_with(&finish_record, p.where);
            return std::noop_coroutine();
        }
        void await_resume() const noexcept {}
    };

    std::suspend_always initial_suspend() const noexcept { return {}; }
    final_awaiter final_suspend() const noexcept { return {}; }
    void unhandled_exception() noexcept { store_current_exception(*slot); }

    template <operation Op>
    auto await_transform(Op&& op, std::source_location here = std::source_location::current()) {
        at = here;
        op.bind(*this);
        return operation_awaiter<std::remove_reference_t<Op>>(op);
    }
    // Things that have an operation: tasks (by value), handles.
    template <class A>
    requires(!operation<A> && requires(A&& a) { typename std::remove_cvref_t<A>::template operation_for<A&&>; })
    auto await_transform(A&& a, std::source_location here = std::source_location::current()) {
        at = here;
        using Op = typename std::remove_cvref_t<A>::template operation_for<A&&>;
        return owning_awaiter<Op>(std::in_place, std::forward<A>(a), *this);
    }
    template <class A>
    requires(!operation<A> && !requires(A&& a) { typename std::remove_cvref_t<A>::template operation_for<A&&>; })
    void await_transform(A&&) {
        static_assert(sizeof(A) == 0,
                      "eddy::task can only await eddy's operations, tasks (std::move a named task) and task handles; "
                      "wrap a foreign awaitable in an eddy::promise");
    }

protected:
    template <class Self>
    static std::coroutine_handle<Self> handle_of(Self& self, [[maybe_unused]] const std::source_location& here) {
        auto h = std::coroutine_handle<Self>::from_promise(self);
#if EDDY_DETAIL_GUARD_COROUTINES
        // GCC before 12.4 hands out a wrong frame for some coroutines (docs/compilers.md): better to end here, and say
        // so, than to run on garbage. A nanosecond.
        if (!engine::pool::is_live_block(h.address())) bad_coroutine_frame(here);
#endif
        return h;
    }
};

template <class T>
struct task_promise final : promise_base {
    static_assert(alignof(stored_t<T>) <= 16, "over-aligned results are misplaced by GCC and clang: box them");
    task<T> get_return_object(std::source_location here = std::source_location::current()) noexcept;
    static task<T> get_return_object_on_allocation_failure() noexcept;

    template <class U = T>
    void return_value(U&& v) {
        auto& s = static_cast<value_slot<T>&>(*slot);
        if constexpr (std::is_reference_v<T>) {
            static_assert(std::is_lvalue_reference_v<U&&>, "a task<T&> returns an lvalue");
            ::new (static_cast<void*>(&s.value)) stored_t<T>(std::addressof(v));
        } else {
            ::new (static_cast<void*>(&s.value)) T(std::forward<U>(v));
        }
        s.st = engine::status::ok;
    }
};

template <>
struct task_promise<void> final : promise_base {
    task<void> get_return_object(std::source_location here = std::source_location::current()) noexcept;
    static task<void> get_return_object_on_allocation_failure() noexcept;
    void return_void() noexcept { slot->st = engine::status::ok; }
};

// In place of a frame: there was no memory for one. (No address: what was moved from.)
inline void* const no_memory_frame = reinterpret_cast<void*>(1);
inline bool is_frame(const void* address) noexcept { return reinterpret_cast<std::uintptr_t>(address) > 1; }
// std::logic_error for a task that was moved from or awaited before, else std::bad_alloc.
[[noreturn]] void throw_frameless(bool moved_from);

// Awaiting a task: the child gets our slot and our scope, and runs.
template <class T>
class task_operation : public value_slot<T>, public operation_tag {
public:
    using result_type = T;

    explicit task_operation(task<T>&& t) noexcept;
    task_operation(task_operation&& other) noexcept : promise_(std::exchange(other.promise_, nullptr)) {
        this->child = std::exchange(other.child, nullptr);
    }
    ~task_operation() {
        if (is_frame(this->child)) std::coroutine_handle<>::from_address(this->child).destroy();
    }

    void bind(context& c) {
        if (where_ != nullptr) throw_awaited_twice("task");
        where_ = c.where;
    }
    bool start() {
        if (promise_ == nullptr) [[unlikely]]
            throw_frameless(this->child == nullptr);
        promise_->slot = this;
        promise_->where = where_;
        return false;
    }
    std::coroutine_handle<> suspend(void* frame) noexcept {
        this->set_parent(frame);
        return transfer(*where_->loop, this->child);
    }
    [[nodiscard]] engine::status state() const noexcept { return this->st; }
    T take() {
        drop_frame();
        if constexpr (!std::is_void_v<T>) return stored<T>::out(this->value);
    }
    [[noreturn, gnu::always_inline]] inline void fail() {
        drop_frame();
        if (this->result_slot::error != nullptr)
            std::rethrow_exception(std::exchange(this->result_slot::error, nullptr));
        if (this->st == engine::status::cancelled) throw cancelled(reason_at(*where_));
        throw_status(this->st, where_);
    }
    [[nodiscard]] std::exception_ptr error() {
        drop_frame();
        if (this->result_slot::error != nullptr) return std::exchange(this->result_slot::error, nullptr);
        return error_by_throwing(*this);
    }

private:
    // What the child still holds (its parameters) goes before the parent goes on.
    void drop_frame() noexcept {
        if (void* c = std::exchange(this->child, nullptr); c != nullptr)
            std::coroutine_handle<>::from_address(c).destroy();
    }
    promise_base* promise_ = nullptr;
    engine::scope* where_ = nullptr;
};

struct task_access;

} // namespace detail

// Move-only; awaited at most once: `co_await f()` or `co_await std::move(t)`. Awaiting is not a checkpoint by itself.
// Destroying an unstarted task has no effects. Made out of memory (no frame), it throws std::bad_alloc when awaited or
// spawned; moved from, std::logic_error. T may be void, move-only or an lvalue reference; alignment at most 16.
// A coroutine lambda's captures live in the lambda, not in the task: pass the lambda itself to spawn() and its kin,
// which keep it alive, instead of calling it on the spot.
template <class T>
class [[nodiscard("a task does nothing until it is awaited or spawned")]] task {
public:
    using promise_type = detail::task_promise<T>;
    using result_type = T;
    template <class A>
    struct operation_for_rvalue_only;
    template <class A>
    requires std::is_rvalue_reference_v<A&&>
    using operation_for = detail::task_operation<T>;

    task(task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    task& operator=(task&& other) noexcept {
        if (this != &other) {
            if (valid()) detail::drop_unawaited(handle_.address());
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~task() {
        if (valid()) detail::drop_unawaited(handle_.address());
    }

    // False when moved from, awaited, or made without memory.
    [[nodiscard]] bool valid() const noexcept { return detail::is_frame(handle_.address()); }

private:
    friend detail::task_access;
    friend promise_type;
    explicit task(std::coroutine_handle<promise_type> h) noexcept : handle_(h) {}
    std::coroutine_handle<promise_type> handle_;
};

// Found where another library's coroutine awaits a task.
template <class T>
void operator co_await(task<T>&&) {
    static_assert(sizeof(task<T>) == 0, "an eddy::task can only be awaited inside an eddy::task; other coroutines can "
                                        "spawn it, and be told of its end by a callback");
}

namespace detail {

struct task_access {
    template <class T>
    static std::coroutine_handle<task_promise<T>> release(task<T>& t) noexcept {
        return std::exchange(t.handle_, nullptr);
    }
    template <class T>
    static task<T> make(std::coroutine_handle<task_promise<T>> h) noexcept {
        return task<T>(h);
    }
    template <class T>
    static task<T> without_memory() noexcept {
        return task<T>(std::coroutine_handle<task_promise<T>>::from_address(no_memory_frame));
    }
    template <class T>
    static void check(const task<T>& t) {
        if (!t.valid()) [[unlikely]]
            throw_frameless(t.handle_.address() == nullptr);
    }
};

template <class T>
task<T> task_promise<T>::get_return_object(std::source_location here) noexcept {
    at = here;
    return task_access::make<T>(handle_of(*this, here));
}
template <class T>
task<T> task_promise<T>::get_return_object_on_allocation_failure() noexcept {
    return task_access::without_memory<T>();
}
inline task<void> task_promise<void>::get_return_object(std::source_location here) noexcept {
    at = here;
    return task_access::make<void>(handle_of(*this, here));
}
inline task<void> task_promise<void>::get_return_object_on_allocation_failure() noexcept {
    return task_access::without_memory<void>();
}

template <class T>
task_operation<T>::task_operation(task<T>&& t) noexcept {
    auto h = task_access::release(t);
    this->child = h.address();
    if (is_frame(this->child)) promise_ = &h.promise();
}

// ---- what can be awaited, and what comes out of it

template <class A>
struct awaitable_traits {};
template <operation A>
struct awaitable_traits<A> {
    using operation_type = std::remove_cvref_t<A>;
};
template <class A>
requires(!operation<A> && requires { typename std::remove_cvref_t<A>::template operation_for<A&&>; })
struct awaitable_traits<A> {
    using operation_type = typename std::remove_cvref_t<A>::template operation_for<A&&>;
};

} // namespace detail

// A: something that co_await takes inside a task: a task by value, an operation, a task_handle.
template <class A> concept awaitable = requires { typename detail::awaitable_traits<A>::operation_type; };

// What `co_await a` gives.
template <awaitable A>
using await_result_t = typename detail::awaitable_traits<A>::operation_type::result_type;

namespace detail {

template <class X>
struct is_task : std::false_type {};
template <class T>
struct is_task<task<T>> : std::true_type {};

// A callable that returns a task when called with Args.
template <class F, class... Args>
concept task_function =
    std::is_invocable_v<F, Args...> && is_task<std::remove_cvref_t<std::invoke_result_t<F, Args...>>>::value;

template <class F, class... Args>
using task_result_t = typename std::remove_cvref_t<std::invoke_result_t<F, Args...>>::result_type;

// Keeps a callable and starts the task that it returns: the callable (a capturing lambda) lives as long as the task.
template <class F>
class call_operation : public operation_tag {
public:
    using result_type = task_result_t<F>;
    explicit call_operation(F&& f) : f_(std::move(f)) {}
    call_operation(call_operation&& other) : f_(std::move(other.f_)) {
        if (other.inner_) throw_awaited_twice("task");
    }
    void bind(context& c) {
        if (inner_) throw_awaited_twice("task");
        context_ = &c;
    }
    bool start() {
        inner_.emplace(std::invoke(std::move(f_)));
        inner_->bind(*context_);
        return inner_->start();
    }
    std::coroutine_handle<> suspend(void* frame) noexcept { return inner_->suspend(frame); }
    [[nodiscard]] engine::status state() const noexcept { return inner_->state(); }
    result_type take() { return inner_->take(); }
    [[noreturn]] void fail() { inner_->fail(); }
    [[nodiscard]] std::exception_ptr error() { return inner_->error(); }

private:
    F f_;
    context* context_ = nullptr;
    std::optional<task_operation<result_type>> inner_;
};

// The operation behind an awaitable or a task function, to be held by value inside a wrapper.
template <class A>
struct inner_operation;
template <awaitable A>
struct inner_operation<A> {
    using type = typename awaitable_traits<A>::operation_type;
    static decltype(auto) make(A&& a) { return std::forward<A>(a); }
};
template <class F>
requires(!awaitable<F> && task_function<std::remove_cvref_t<F>>)
struct inner_operation<F> {
    using type = call_operation<std::remove_cvref_t<F>>;
    static type make(F&& f) { return type(std::remove_cvref_t<F>(std::forward<F>(f))); }
};
template <class A>
using inner_operation_t = typename inner_operation<A>::type;

template <class A> concept wrappable = requires { typename inner_operation<A>::type; };

} // namespace detail
} // namespace eddy

// Between the C interface (eddy.h) and coroutines: one engine, so either can wait for the other.
//
//     auto r = co_await from_c(eddy_queue_get(q));       // a C op, awaited by a coroutine
//     eddy_op* op = to_c(fetch(url));                    // a task, handed to C code
//
// Both use exported C functions only, so they work when program and plug-in carry a copy of the library each; the op's
// loop and the coroutine's must then run on the same thread (one adopts the uv_loop_t that the other has).
#pragma once

#include <eddy/core/loop.hpp>
#include <eddy/core/operation.hpp>

#include <eddy.h>

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

namespace eddy {

// An op failed with a status that no exception of eddy's stands for: the application's, or EDDY_EINVAL and the like.
// what() is the op's message, or the text of the status.
class c_error : public error {
public:
    c_error(int status, const char* message);
    [[nodiscard]] int status() const noexcept { return status_; }

private:
    int status_;
};

// What an op gave. Owns the op, and so its value. Movable.
class c_result {
public:
    explicit c_result(eddy_op* owned) noexcept : op_(owned) {}
    // Borrowed; null: none, or taken.
    [[nodiscard]] void* value() const noexcept { return eddy_op_value(op_.get()); }
    // From now on the caller's, to be freed as the op's maker says.
    [[nodiscard]] void* take() noexcept { return eddy_op_take(op_.get()); }
    [[nodiscard]] std::int64_t number() const noexcept { return eddy_op_number(op_.get()); }
    [[nodiscard]] eddy_op* op() const noexcept { return op_.get(); }

private:
    struct drop {
        void operator()(eddy_op* op) const noexcept { eddy_unref(op); }
    };
    std::unique_ptr<eddy_op, drop> op_;
};

// The C objects' loop on `l`, to be used on its thread: made by the first call, closed by l's destructor. Borrowed.
// std::bad_alloc.
[[nodiscard]] eddy_loop* c_loop(loop& l);

namespace detail {

[[noreturn]] void throw_c_status(int status, const char* message);
// What an exception is to C; the message comes with it. Called inside a handler.
[[nodiscard]] int current_exception_to_c(std::string& message) noexcept;

class from_c_operation final : public leaf_operation<from_c_operation> {
    using base = leaf_operation<from_c_operation>;
    // What the op's callback knows of us; outlives us when our frame is destroyed.
    struct link {
        from_c_operation* waits;
        loop* on;
    };

    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        eddy_op_cancel(static_cast<from_c_operation&>(w).op_);
        return engine::abort_result::later; // it is asked once, and waited for
    }
    static void done(eddy_op*, void* user) noexcept {
        auto* const l = static_cast<link*>(user);
        from_c_operation* const self = std::exchange(l->waits, nullptr);
        if (self == nullptr) return;
        self->link_ = nullptr;
        self->where->loop->grant(*self, engine::status::ok);
        notice(*l->on); // the op's loop may be another than ours
    }
    static void drop(void* user) noexcept { delete static_cast<link*>(user); }

public:
    using result_type = c_result;
    static constexpr engine::wait_kind kind{.name = "from_c",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    explicit from_c_operation(eddy_op* op) noexcept : op_(op) {}
    from_c_operation(from_c_operation&& o) : base(std::move(o)), op_(std::exchange(o.op_, nullptr)) {}
    ~from_c_operation() {
        if (link_ != nullptr) link_->waits = nullptr;
        base::end();
        if (op_ == nullptr) return;
        eddy_op_cancel(op_);
        eddy_unref(op_);
    }

    bool attempt() {
        if (eddy_op_status(op_) != EDDY_PENDING) return true;
        auto l = std::make_unique<link>(link{this, &loop::current()});
        link* const raw = l.release(); // freed by its drop, also when it is refused
        link_ = raw;
        const int s = eddy_op_then(static_cast<eddy_op*>(eddy_ref(op_)), &from_c_operation::done, raw, &drop);
        if (s == EDDY_OK) return false;
        link_ = nullptr;
        throw_c_status(s, s == EDDY_EBUSY ? "from_c: the op has a consumer already; await eddy_op_join(op)" : "");
    }
    void enqueue() noexcept {}

    [[nodiscard]] engine::status state() const noexcept {
        if (base::state() != engine::status::ok) return base::state();
        const int s = eddy_op_status(op_);
        if (s == EDDY_OK) return engine::status::ok;
        return s == EDDY_ECANCELED && where->has(engine::scope::cancelled) ? engine::status::cancelled
                                                                           : engine::status::exception;
    }
    [[nodiscard]] c_result take() noexcept { return c_result(std::exchange(op_, nullptr)); }
    [[noreturn]] void fail() {
        if (state() == engine::status::cancelled) throw_cancelled(*where);
        throw_c_status(eddy_op_status(op_), eddy_op_message(op_));
    }

private:
    eddy_op* op_;
    link* link_ = nullptr;
};

// A promise of the C interface that is kept, one way or another.
class c_promise {
public:
    explicit c_promise(eddy_op* owned) noexcept : op_(owned) {}
    c_promise(c_promise&& o) noexcept : op_(std::exchange(o.op_, nullptr)) {}
    c_promise& operator=(c_promise&&) = delete;
    // Unkept: the task never ran.
    ~c_promise() {
        if (op_ != nullptr) fail(EDDY_ECANCELED, nullptr);
    }
    void keep(void* value, eddy_free_fn value_free, std::int64_t number) noexcept {
        eddy_op* const op = std::exchange(op_, nullptr);
        eddy_promise_resolve(op, value, value_free, number);
        eddy_unref(op);
    }
    void fail(int status, const char* message) noexcept {
        eddy_op* const op = std::exchange(op_, nullptr);
        eddy_promise_reject(op, status, message, nullptr, nullptr);
        eddy_unref(op);
    }
    template <class T>
    void keep(T&& v) {
        using V = std::remove_cvref_t<T>;
        if constexpr (std::is_integral_v<V> || std::is_enum_v<V>) {
            keep(nullptr, nullptr, static_cast<std::int64_t>(v));
        } else if constexpr (std::is_pointer_v<V>) {
            keep(const_cast<void*>(static_cast<const void*>(v)), nullptr, 0);
        } else {
            keep(new V(std::forward<T>(v)), [](void* p) { delete static_cast<V*>(p); }, 0);
        }
    }

private:
    eddy_op* op_;
};

template <class T>
task<void> run_for_c(task<T> t, c_promise p) {
    int status = EDDY_OK;
    std::string message;
    try {
        if constexpr (std::is_void_v<T>) {
            co_await std::move(t);
            p.keep(nullptr, nullptr, 0);
        } else {
            T value = co_await std::move(t);
            p.keep(std::forward<T>(value));
        }
        co_return;
    } catch (...) {
        status = current_exception_to_c(message);
    }
    p.fail(status, message.c_str());
}

// What cancels the task when its op is.
struct c_cancel {
    any_task_handle task;
    static void asked(eddy_op*, void* user) noexcept { static_cast<c_cancel*>(user)->task.cancel(); }
    static void drop(void* user) noexcept { delete static_cast<c_cancel*>(user); }
};

} // namespace detail

// co_await from_c(op) -> c_result: waits for the op and takes the reference. A checkpoint. Throws what the op's status
// stands for: timeout_error (EDDY_ETIMEDOUT), task_cancelled (somebody else cancelled it), closed (EDDY_ECLOSED),
// std::bad_alloc (EDDY_ENOMEM, and for null), uv_error (the system's), else c_error; std::logic_error when the op has a
// consumer already. Cancelled: the op is asked once and waited for; when it succeeds all the same, that is delivered
// and the next checkpoint throws. Destroyed: the op is cancelled and dropped.
[[nodiscard]] inline detail::from_c_operation from_c(eddy_op* op) noexcept { return detail::from_c_operation(op); }

// Runs the task on `on` (by default the loop that runs here, else std::logic_error) and gives an op of `l` for it,
// which the caller drops. Its outcome: nothing for void, the number for integers and enumerations, the pointer itself
// for pointers, else a T on the heap as the value, which the op destroys; an exception is its status with what() as the
// message. Cancelling the op cancels the task; dropping it leaves the task running. Null without memory: the task is
// destroyed.
template <class T>
[[nodiscard]] eddy_op* to_c(eddy_loop* l, loop& on, task<T> t) {
    auto* const cancel = new (std::nothrow) detail::c_cancel;
    if (cancel == nullptr) return nullptr;
    eddy_op* const op = eddy_promise(l, &detail::c_cancel::asked, cancel, &detail::c_cancel::drop);
    if (op == nullptr) return nullptr;
    detail::c_promise p(static_cast<eddy_op*>(eddy_ref(op)));
    try {
        task<void> body = detail::run_for_c<T>(std::move(t), std::move(p));
        cancel->task = on.spawn(std::move(body));
    } catch (const std::bad_alloc&) {
        // the promise has been broken: cancelled
    }
    return op;
}
template <class T>
[[nodiscard]] eddy_op* to_c(eddy_loop* l, task<T> t) {
    return to_c(l, loop::current(), std::move(t));
}
// On the loop that runs here, as an op of its c_loop().
template <class T>
[[nodiscard]] eddy_op* to_c(task<T> t) {
    loop& here = loop::current();
    return to_c(c_loop(here), here, std::move(t));
}

} // namespace eddy

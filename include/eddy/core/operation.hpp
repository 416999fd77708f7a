// The operation protocol: what `co_await` works with. For people who write awaitables of their own.
//
// An operation goes through these steps, in this order, all on the loop's thread:
//
//   bind(context&)   once; from await_transform or from the operation that wraps this one
//   start()          true: finished; false: suspend() follows. Every check (cancelled? budget? hooks?) and the first
//                    attempt happen here.
//   suspend(target)  parks the coroutine `target`; may return the coroutine to run instead
//   state()          once resumed (or once start() returned true): how it ended
//   take() / fail() / error()   exactly one of them: the value, throw what happened, the exception as a pointer
//
// Combinators look at state() and take(); only the outermost awaiter throws. Operations are not copyable and can be
// moved until they are first awaited; a second await is a std::logic_error. Destroying an operation ends it wherever it
// stands, and undoes what it had been granted and nobody has taken.
#pragma once

#include <eddy/core/error.hpp>
#include <eddy/core/outcome.hpp>
#include <eddy/engine/loop_core.hpp>

#include <coroutine>
#include <exception>
#include <source_location>
#include <type_traits>
#include <utility>

namespace eddy {

// What an operation knows of the coroutine that awaits it: the innermost scope. Wrappers swap it while they are open.
struct context {
    engine::scope* where = nullptr;
};

namespace detail {

// Marks a class as an operation.
struct operation_tag {};

template <class A> concept operation = std::is_base_of_v<operation_tag, std::remove_cvref_t<A>>;

template <class Op>
using result_of = typename std::remove_cvref_t<Op>::result_type;

[[noreturn]] void throw_cancelled(const engine::scope& where);
[[noreturn]] void throw_status(engine::status s, const engine::scope* where);
[[noreturn]] void throw_awaited_twice(const char* what);
// The reason that an exception `cancelled` thrown at `where` would carry.
cancel_reason reason_at(const engine::scope& where);

// Resumes the coroutine frame in `waiter.target`. Every wait_kind of the C++ face has it.
inline void resume_frame(engine::runnable& r) noexcept {
    auto& w = static_cast<engine::waiter&>(r);
    engine::loop_core::begin_resume(w);
    std::coroutine_handle<>::from_address(w.target).resume();
}

inline void resume_address(void* frame) noexcept { std::coroutine_handle<>::from_address(frame).resume(); }

// Goes to `frame` directly, or through the loop's transfer slot when the stack has grown enough.
inline std::coroutine_handle<> transfer(engine::loop_core& l, void* frame) noexcept {
    if (++l.hops < engine::loop_core::hop_budget) [[likely]]
        return std::coroutine_handle<>::from_address(frame);
    l.continue_with(&resume_address, frame);
    return std::noop_coroutine();
}

// The exception that `op.fail()` would throw, as a pointer.
template <class Op>
std::exception_ptr error_by_throwing(Op& op) {
    try {
        op.fail();
    } catch (...) {
        return std::current_exception();
    }
}

} // namespace detail

// Base of operations that wait by themselves: Derived has `static constexpr wait_kind kind`, `result_type`,
// `bool attempt()` (try to complete now, committing when true), `void enqueue()` (link into the wait list),
// `result_type take()` and, where a grant that nobody took must be given back, `void undo() noexcept`.
// Waiter: what the waiters of one list have in common, where they are of several types (queue: get, next and take).
template <class Derived, class Waiter = engine::waiter>
class leaf_operation : public Waiter, public detail::operation_tag {
public:
    using Waiter::kind;
    using Waiter::result;
    using Waiter::target;
    using Waiter::where;
    using Waiter::yield_after;

    leaf_operation() noexcept = default;
    leaf_operation(leaf_operation&& other) {
        if (other.where != nullptr) detail::throw_awaited_twice(Derived::kind.name);
    }
    leaf_operation& operator=(leaf_operation&&) = delete;

    void bind(context& c) {
        if (where != nullptr) [[unlikely]]
            detail::throw_awaited_twice(Derived::kind.name);
        where = c.where;
    }

    bool start() {
        engine::loop_core& l = *where->loop;
        kind = &Derived::kind;
        if (!l.enter(*where, Derived::kind)) [[unlikely]] {
            // By way of the ready queue: a task that swallows it and goes on does not starve the others.
            result = engine::status::cancelled;
            yield_after = true;
            return false;
        }
        if (!self().attempt()) return false;
        if (result == engine::status::pending) result = engine::status::ok;
        if (l.budget_left()) [[likely]] {
            state_done();
            return true;
        }
        yield_after = true;
        return false;
    }

    void suspend(void* frame) noexcept {
        target = frame;
        if (yield_after) [[unlikely]] {
            where->loop->park_granted(*this);
            return;
        }
        self().enqueue();
        where->loop->park(*this);
    }

    [[nodiscard]] engine::status state() const noexcept { return result; }
    // Inline: each frame between a throw and its catch costs a few hundred nanoseconds.
    [[noreturn, gnu::always_inline]] inline void fail() {
        if (result == engine::status::cancelled) throw cancelled(detail::reason_at(*where));
        detail::throw_status(result, where);
    }
    [[nodiscard]] std::exception_ptr error() { return detail::error_by_throwing(self()); }

protected:
    // Derived's destructor calls this first. True: a grant was not taken.
    bool end() noexcept { return engine::loop_core::abandon(*this); }
    ~leaf_operation() = default;

private:
    Derived& self() noexcept { return static_cast<Derived&>(*this); }
    void state_done() noexcept { static_cast<engine::waiter&>(*this).state = engine::wait_state::done; }
};

namespace detail {

// What the compiler sees in `co_await op`. Holds a reference: GCC 12 copies operations that are held by value here. The
// operation has been bound by await_transform.
template <class Op>
class operation_awaiter {
public:
    explicit operation_awaiter(Op& op) noexcept : op_(op) {}
    bool await_ready() { return op_.start(); }
    auto await_suspend(std::coroutine_handle<> h) noexcept { return op_.suspend(h.address()); }
    decltype(auto) await_resume() {
        if (op_.state() != engine::status::ok) [[unlikely]]
            op_.fail();
        return op_.take();
    }

private:
    Op& op_;
};

// The same for what is not an operation itself but has one: tasks, handles.
template <class Op>
class owning_awaiter {
public:
    template <class A>
    owning_awaiter(std::in_place_t, A&& awaited, context& c) : op_(std::forward<A>(awaited)) {
        op_.bind(c);
    }
    owning_awaiter(owning_awaiter&&) = delete;
    bool await_ready() { return op_.start(); }
    auto await_suspend(std::coroutine_handle<> h) noexcept { return op_.suspend(h.address()); }
    decltype(auto) await_resume() {
        if (op_.state() != engine::status::ok) [[unlikely]]
            op_.fail();
        return op_.take();
    }

private:
    Op op_;
};

// Found where another library's coroutine awaits an operation: it has no scope, and so could not be cancelled.
template <operation Op>
void operator co_await(Op&&) {
    static_assert(sizeof(Op) == 0, "an eddy operation can only be awaited inside an eddy::task; other coroutines can "
                                   "spawn one, and be told of its end by a callback");
}

// Whether an operation's suspend() hands over to another coroutine.
template <class Op> concept transferring = !std::is_void_v<decltype(std::declval<Op&>().suspend(nullptr))>;

} // namespace detail
} // namespace eddy

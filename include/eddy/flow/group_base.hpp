// What with_task_group, gather and race share: a scope whose children are joined before anything returns.
#pragma once

#include <eddy/core/record.hpp>
#include <eddy/core/task_handle.hpp>
#include <eddy/flow/scoped.hpp>

#include <vector>

namespace eddy::detail {

// Children are cancelled on the first failure; failures after it are kept and reported.
class child_group : public engine::group_core {
public:
    child_group() noexcept { child_ended = &on_child_ended; }
    ~child_group();

    void open(engine::scope& outer) noexcept { engine::open_scope(*this, outer); }
    void close() noexcept {
        if (is_open()) engine::unlink_scope(*this);
    }
    // Unstarted children go without having run; for construction that failed half-way.
    void discard_children() noexcept;
    bool cancel_with(const cancel_reason& r) noexcept;

    // The body of a task group counts like a child.
    void fail(std::exception_ptr e, engine::task_record* from) noexcept;
    // A failure that does not decide: reported, and kept for suppressed().
    void fail_later(std::exception_ptr e, engine::task_record* from) noexcept;

    std::exception_ptr first_error;
    std::vector<std::exception_ptr> later_errors;
    engine::waiter* drained = nullptr; // granted when the last child has ended
    bool collect_only = false;         // gather_settled: a failure cancels nobody
    bool needs_all = false;            // gather: a child that is cancelled alone is a failure (task_cancelled)
    bool ended = false;
    bool child_cancelled = false; // a child ended so because of a cancellation from outside
    // race: tells the operation who was first.
    void (*first_done)(child_group&, engine::task_record&) noexcept = nullptr;

private:
    static void on_child_ended(engine::group_core& g, engine::task_record& r) noexcept;
};

// Waits in the group's scope until no child lives. Cancelling does not end it: the children end it.
class drain_operation final : public engine::waiter, public operation_tag {
    static engine::abort_result abort_it(engine::waiter&) noexcept { return engine::abort_result::cannot; }
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = void;
    static constexpr engine::wait_kind kind_of{.name = "children",
                                               .outside = false,
                                               .pinned = false,
                                               .abort = &abort_it,
                                               .describe = &describe_it,
                                               .resume = &resume_frame};
    explicit drain_operation(child_group& g) noexcept : group_(g) {}
    drain_operation(drain_operation&& o) noexcept : group_(o.group_) {}
    ~drain_operation() {
        if (group_.drained == this) group_.drained = nullptr;
        engine::loop_core::abandon(*this);
    }
    void bind(context&) noexcept {}
    bool start() noexcept { return group_.live_children == 0; }
    void suspend(void* frame) noexcept {
        kind = &kind_of;
        where = &group_;
        target = frame;
        group_.drained = this;
        group_.loop->park(*this);
    }
    [[nodiscard]] engine::status state() const noexcept { return engine::status::ok; }
    void take() noexcept {}
    [[noreturn]] void fail() { throw_status(engine::status::pending, nullptr); }
    [[nodiscard]] std::exception_ptr error() { return nullptr; }

private:
    child_group& group_;
};

// Awaits an operation inside a task of its own.
template <class Op>
task<typename Op::result_type> await_in_task(Op op) {
    co_return co_await op;
}

// The outcome of a task that others may hold too: copied where that can be, else moved out of the last handle.
template <class T>
task<T> join_in_task(task_handle<T> h) {
    if constexpr (std::is_void_v<T>) {
        co_await h;
    } else if constexpr (std::is_reference_v<T> || std::is_copy_constructible_v<T>) {
        auto& v = co_await h;
        co_return v;
    } else {
        co_return co_await std::move(h);
    }
}
template <class X>
struct is_handle : std::false_type {};
template <class T>
struct is_handle<task_handle<T>> : std::true_type {};

// Spawns whatever can be awaited as a child of `g`. `bare`: it is an operation, not a task: its frame may be destroyed
// to undo what it was granted.
template <class A>
engine::task_record& spawn_child(child_group& g, A&& a, const std::source_location& at) {
    using U = std::remove_cvref_t<A>;
    if constexpr (is_task<U>::value) {
        return spawn_record(g, U(std::forward<A>(a)), nullptr, at);
    } else if constexpr (is_handle<U>::value) {
        return spawn_record(g, join_in_task(U(std::forward<A>(a))), nullptr, at);
    } else if constexpr (awaitable<A>) {
        using Op = typename awaitable_traits<A>::operation_type;
        auto& r = spawn_record(g, await_in_task<Op>(Op(std::forward<A>(a))), nullptr, at);
        return r;
    } else {
        return spawn_call(g, nullptr, at, std::forward<A>(a));
    }
}

template <class A>
struct child_result {
    using type = typename inner_operation_t<A>::result_type;
};
template <class A>
using child_result_t = typename child_result<A>::type;

} // namespace eddy::detail

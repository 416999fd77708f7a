// Task groups: children that must not outlive the block that made them (trio's nursery, asyncio's TaskGroup).
#pragma once

#include <eddy/flow/group_base.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/task_status.hpp>

#include <string>

namespace eddy {

// Options of with_task_group.
class group_options {
public:
    group_options() = default;
    // For dumps: its tasks are shown as "in group 'NAME'", and who waits for them as waiting for its children.
    group_options& name(std::string n) {
        name_ = std::move(n);
        return *this;
    }
    [[nodiscard]] const std::string& name() const noexcept { return name_; }

private:
    std::string name_;
};

namespace detail {
template <class F>
class group_call;
}

// What with_task_group() hands to its body. Loop thread only; valid until with_task_group() returns.
class task_group {
public:
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;

    // As the free spawn(); also from inside children, as long as one lives. Into a group that was cancelled: the task
    // is accepted and cancelled before its first step. Into one that has ended: std::logic_error.
    template <class T>
    task_handle<T> spawn(task<T> t, std::source_location at = std::source_location::current()) {
        check();
        return task_handle<T>(detail::spawn_record<T>(children_, std::move(t), nullptr, at));
    }
    template <class T>
    task_handle<T> spawn(spawn_options o, task<T> t) {
        check();
        return task_handle<T>(detail::spawn_record<T>(children_, std::move(t), &o, o.at()));
    }
    template <class F>
    requires detail::task_function<std::decay_t<F>>
    auto spawn(F&& f, std::source_location at = std::source_location::current()) {
        check();
        return handle_to(detail::spawn_call(children_, nullptr, at, std::forward<F>(f)));
    }
    template <class F, class Arg, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Arg>, std::decay_t<Args>...>
    auto spawn(F&& f, Arg&& arg, Args&&... args) {
        check();
        return handle_to(detail::spawn_call(children_, nullptr, {}, std::forward<F>(f), std::forward<Arg>(arg),
                                            std::forward<Args>(args)...));
    }
    template <class F, class... Args>
    requires detail::task_function<std::decay_t<F>, std::decay_t<Args>...>
    auto spawn(spawn_options o, F&& f, Args&&... args) {
        check();
        return handle_to(detail::spawn_call(children_, &o, o.at(), std::forward<F>(f), std::forward<Args>(args)...));
    }

    // Spawns `f(task_status<T>&) -> task<void>` when awaited, waits until it calls started(v), and gives v; the task
    // goes on as a child like others. T comes from f's parameter; for a generic lambda write start<T>(f). A task that
    // fails before started() fails start() and not the group; one that returns before it is std::logic_error; one that
    // somebody else cancels before it gives task_cancelled. A checkpoint. Cancelled: the task, and nothing else of the
    // group, is cancelled, and start() waits for its end.
    template <class F>
    [[nodiscard]] auto start(F&& f, std::source_location at = std::source_location::current()) {
        return start<detail::status_value_t<std::decay_t<F>>>(spawn_options(at), std::forward<F>(f));
    }
    template <class F>
    [[nodiscard]] auto start(spawn_options o, F&& f) {
        return start<detail::status_value_t<std::decay_t<F>>>(std::move(o), std::forward<F>(f));
    }
    template <class T, class F>
    requires detail::task_function<std::decay_t<F>&, task_status<T>&>
    [[nodiscard]] auto start(F&& f, std::source_location at = std::source_location::current()) {
        return start<T>(spawn_options(at), std::forward<F>(f));
    }
    template <class T, class F>
    requires detail::task_function<std::decay_t<F>&, task_status<T>&>
    [[nodiscard]] auto start(spawn_options o, F&& f) {
        static_assert(std::is_void_v<detail::task_result_t<std::decay_t<F>&, task_status<T>&>>,
                      "what start() spawns returns task<void>: its value is what it gives to started()");
        check();
        return detail::start_operation<std::decay_t<F>, T>(children_, std::decay_t<F>(std::forward<F>(f)),
                                                           std::move(o));
    }

    // Cancels the body and every child. Idempotent; the first reason wins.
    void cancel(const cancel_reason& reason = {}) noexcept { children_.cancel_with(reason); }
    // Live children; the body is none.
    [[nodiscard]] std::size_t size() const noexcept { return children_.live_children; }

private:
    template <class F>
    friend class detail::group_call;
    task_group() = default;
    template <class T>
    static task_handle<T> handle_to(detail::record<T>& r) {
        return task_handle<T>(r);
    }
    void check() const {
        if (children_.ended) throw std::logic_error("eddy: spawn into a task group that has ended");
    }
    detail::child_group children_;
};

namespace detail {

// Runs an operation with the group's scope as the innermost one.
template <class Inner>
class inside_operation final : public operation_tag {
public:
    using result_type = typename Inner::result_type;
    template <class A>
    inside_operation(engine::scope& s, A&& a) : scope_(s), inner_(inner_operation<A>::make(std::forward<A>(a))) {}
    ~inside_operation() { leave(); }
    void bind(context& c) noexcept { context_ = &c; }
    bool start() {
        outer_ = context_->where;
        context_->where = &scope_;
        if (scope_.loop->running == outer_) scope_.loop->running = &scope_;
        inner_.bind(*context_);
        return inner_.start();
    }
    auto suspend(void* frame) noexcept { return inner_.suspend(frame); }
    engine::status state() noexcept {
        leave();
        return inner_.state();
    }
    result_type take() { return inner_.take(); }
    [[noreturn]] void fail() { inner_.fail(); }
    [[nodiscard]] std::exception_ptr error() { return inner_.error(); }
    inside_operation(inside_operation&& o) : scope_(o.scope_), inner_(std::move(o.inner_)) {}

private:
    void leave() noexcept {
        if (outer_ == nullptr) return;
        context_->where = outer_;
        if (scope_.loop->running == &scope_) scope_.loop->running = outer_;
        outer_ = nullptr;
    }
    engine::scope& scope_;
    Inner inner_;
    context* context_ = nullptr;
    engine::scope* outer_ = nullptr;
};

template <class A>
auto inside(engine::scope& s, A&& a) {
    return inside_operation<inner_operation_t<A>>(s, std::forward<A>(a));
}

// The body, then the wait for the children, then what came of it.
template <class F>
class group_call {
public:
    using T = task_result_t<F, task_group&>;
    explicit group_call(F f, std::string name = {}) : f_(std::move(f)), name_(std::move(name)) {}
    group_call(group_call&& o) : f_(std::move(o.f_)), name_(std::move(o.name_)) {}

    void open(engine::scope& parent) noexcept {
        if (!name_.empty()) group_.children_.name = name_.c_str();
        group_.children_.open(parent);
    }
    void close() noexcept {
        group_.children_.ended = true;
        group_.children_.close();
    }
    task<T> operator()() { return run(f_, group_); }
    [[nodiscard]] const std::vector<std::exception_ptr>& suppressed() const noexcept {
        return group_.children_.later_errors;
    }

private:
    static task<T> run(F& f, task_group& group) {
        child_group& g = group.children_;
        auto call = [&] { return std::invoke(f, group); }; // may throw instead of making a task
        auto body = settle(inside(g, call));
        outcome<T> result = co_await body;
        if (!result.has_value() && !result.is_cancelled()) g.fail(result.error(), engine::task_of(g));
        auto drained = inside(g, drain_operation(g));
        co_await drained;
        g.ended = true;
        if (g.first_error != nullptr) std::rethrow_exception(g.first_error);
        if (result.is_cancelled() || g.child_cancelled) {
            // Not our own cancellation: it goes on outwards.
            if (!g.has(engine::scope::requested) || g.parent->has(engine::scope::cancelled))
                throw cancelled(reason_at(g));
            if constexpr (!std::is_void_v<T>) throw cancelled_group();
        }
        if constexpr (!std::is_void_v<T>) co_return std::move(result).value();
    }
    F f_;
    std::string name_;
    task_group group_;
};

template <class F>
class group_operation final : public operation_tag {
public:
    using result_type = typename group_call<F>::T;
    explicit group_operation(F&& f, std::string name = {}) : call_(std::move(f), std::move(name)) {}
    group_operation(group_operation&& o) : call_(std::move(o.call_)) {
        if (o.context_ != nullptr) throw_awaited_twice("task group");
    }
    ~group_operation() = default;
    void bind(context& c) {
        if (context_ != nullptr) throw_awaited_twice("task group");
        context_ = &c;
    }
    bool start() {
        call_.open(*context_->where);
        inner_.emplace(call_());
        inner_->bind(*context_);
        return inner_->start();
    }
    std::coroutine_handle<> suspend(void* frame) noexcept { return inner_->suspend(frame); }
    engine::status state() noexcept {
        call_.close();
        return inner_->state();
    }
    result_type take() { return inner_->take(); }
    [[noreturn]] void fail() { inner_->fail(); }
    [[nodiscard]] std::exception_ptr error() { return inner_->error(); }
    // Failures after the first, in order; they have gone to the exception handler too.
    [[nodiscard]] const std::vector<std::exception_ptr>& suppressed() const noexcept { return call_.suppressed(); }

private:
    group_call<F> call_;
    std::optional<task_operation<result_type>> inner_; // before the group: its frames wait in the group's scope
    context* context_ = nullptr;
};

} // namespace detail

// Runs `f(task_group&) -> task<T>` and returns when it and every child are done. The first failure, of a child or of
// the body, cancels the rest and is rethrown as itself. After group.cancel() it returns normally when T is void, else
// gives f's value if there is one, else throws cancelled_group. An outer cancellation cancels the children and goes on.
// Leaving is a checkpoint only while children live.
template <class F>
requires detail::task_function<std::decay_t<F>&, task_group&>
[[nodiscard]] auto with_task_group(F&& f) {
    return detail::group_operation<std::decay_t<F>>(std::decay_t<F>(std::forward<F>(f)));
}
template <class F>
requires detail::task_function<std::decay_t<F>&, task_group&>
[[nodiscard]] auto with_task_group(const group_options& o, F&& f) {
    return detail::group_operation<std::decay_t<F>>(std::decay_t<F>(std::forward<F>(f)), o.name());
}

} // namespace eddy

// Cancel scopes: a piece of a task that can be cancelled by itself.
#pragma once

#include <eddy/flow/scoped.hpp>

namespace eddy {

namespace detail {
template <class F>
class cancel_scope_operation;
}

// What with_cancel_scope() hands to its body. Valid while the body runs; loop thread only.
class cancel_scope {
public:
    // Every checkpoint inside throws from now on. Idempotent: the first reason wins. Safe from destructors and
    // callbacks.
    void cancel(const cancel_reason& reason = {}) noexcept { scope_.cancel_with(reason); }
    // It was cancelled: by cancel(), by its deadline, or from outside.
    [[nodiscard]] bool cancelled() const noexcept { return scope_.has(engine::scope::cancelled); }
    // Why; empty when it was not.
    [[nodiscard]] std::optional<cancel_reason> reason() const {
        if (!cancelled()) return std::nullopt;
        return detail::reason_at(scope_);
    }
    // Its own deadline; time_point::max(): none.
    [[nodiscard]] clock::time_point deadline() const noexcept {
        return clock::time_point(duration(scope_.deadline_ns()));
    }
    // Moves the deadline, both ways; max() takes it away. One in the past cancels at once. Throws std::bad_alloc.
    void set_deadline(clock::time_point t) {
        if (!scope_.set_deadline(t.time_since_epoch().count())) throw std::bad_alloc();
    }
    // The nearest deadline of this scope and those around it, up to a shield; max(): none.
    [[nodiscard]] clock::time_point effective_deadline() const noexcept {
        return clock::time_point(duration(detail::effective_deadline(scope_)));
    }

    cancel_scope(const cancel_scope&) = delete;
    cancel_scope& operator=(const cancel_scope&) = delete;

private:
    template <class F>
    friend class detail::cancel_scope_operation;
    cancel_scope() = default;
    detail::timed_scope scope_;
};

namespace detail {

template <class F>
class cancel_scope_operation final : public operation_tag {
    using T = task_result_t<F, cancel_scope&>;

public:
    using result_type = maybe<T>;
    explicit cancel_scope_operation(F&& f) : f_(std::move(f)) {}
    cancel_scope_operation(cancel_scope_operation&& o) : f_(std::move(o.f_)) {
        if (o.context_ != nullptr) throw_awaited_twice("cancel scope");
    }
    void bind(context& c) {
        if (context_ != nullptr) throw_awaited_twice("cancel scope");
        context_ = &c;
    }
    bool start() {
        scope_.scope_.enter(*context_);
        try {
            inner_.emplace(std::invoke(f_, scope_));
            inner_->bind(*context_);
            if (!inner_->start()) return false;
        } catch (...) {
            scope_.scope_.leave();
            throw;
        }
        return true;
    }
    std::coroutine_handle<> suspend(void* frame) noexcept { return inner_->suspend(frame); }
    engine::status state() noexcept {
        ended_ = inner_->state();
        scope_.scope_.leave();
        return scope_.scope_.ended_by_own(ended_) ? engine::status::ok : ended_;
    }
    result_type take() {
        if (ended_ != engine::status::ok) return result_type{};
        return some_from<T>(*inner_);
    }
    [[noreturn]] void fail() { inner_->fail(); }
    [[nodiscard]] std::exception_ptr error() { return inner_->error(); }

private:
    F f_;
    cancel_scope scope_;
    std::optional<task_operation<T>> inner_;
    context* context_ = nullptr;
    engine::status ended_ = engine::status::pending;
};

} // namespace detail

// Runs `f(cancel_scope&) -> task<T>` in a scope of its own. Gives a `maybe`: empty (false for void) when this scope's
// cancellation ended the body; a value that the body returned is kept. Not a checkpoint by itself.
template <class F>
requires detail::task_function<std::decay_t<F>&, cancel_scope&>
[[nodiscard]] auto with_cancel_scope(F&& f) {
    return detail::cancel_scope_operation<std::decay_t<F>>(std::decay_t<F>(std::forward<F>(f)));
}

// The nearest deadline of the running task's innermost scope; time_point::max() when there is none or no task runs.
[[nodiscard]] clock::time_point current_deadline() noexcept;

} // namespace eddy

// Awaiting without exceptions.
#pragma once

#include <eddy/core/task.hpp>

namespace eddy {

namespace detail {

// The outcome of an operation that has ended.
template <class Inner>
outcome<typename Inner::result_type> outcome_of(Inner& inner, engine::status st, const engine::scope& where) {
    using T = typename Inner::result_type;
    if (st == engine::status::cancelled) return outcome<T>::of_cancelled(reason_at(where));
    if constexpr (requires { inner.awaited_was_cancelled(); }) {
        // A task that somebody else cancelled: is_cancelled() speaks of it, error() holds task_cancelled.
        if (st != engine::status::ok && inner.awaited_was_cancelled())
            return outcome<T>::of_cancelled(inner.awaited_reason());
    }
    if (st != engine::status::ok) return outcome<T>::of_error(inner.error());
    if constexpr (std::is_void_v<T>) {
        inner.take();
        return outcome<T>::of_value({});
    } else if constexpr (std::is_reference_v<T>) {
        return outcome<T>::of_value(std::addressof(inner.take()));
    } else {
        return outcome<T>::of_value(inner.take());
    }
}

template <class Inner>
class settle_operation final : public operation_tag {
public:
    using result_type = outcome<typename Inner::result_type>;
    template <class A>
    explicit settle_operation(std::in_place_t, A&& a) : inner_(inner_operation<A>::make(std::forward<A>(a))) {}
    settle_operation(settle_operation&&) = default;

    void bind(context& c) {
        context_ = &c;
        inner_.bind(c);
    }
    // What fails to begin (a callable that throws, no memory) is an outcome too.
    bool start() {
        try {
            return inner_.start();
        } catch (...) {
            start_error_ = std::current_exception();
            return true;
        }
    }
    auto suspend(void* frame) noexcept { return inner_.suspend(frame); }
    [[nodiscard]] engine::status state() noexcept {
        if (start_error_ == nullptr) ended_ = inner_.state();
        return engine::status::ok;
    }
    result_type take() {
        if (start_error_ != nullptr) return result_type::of_error(std::exchange(start_error_, nullptr));
        try {
            return outcome_of(inner_, ended_, *context_->where);
        } catch (...) {
            return result_type::of_error(std::current_exception());
        }
    }
    [[noreturn]] void fail() { throw_status(engine::status::pending, nullptr); }
    [[nodiscard]] std::exception_ptr error() { return nullptr; }

private:
    Inner inner_;
    context* context_ = nullptr;
    engine::status ended_ = engine::status::pending;
    std::exception_ptr start_error_;
};

} // namespace detail

// Awaits `a` and never throws: gives an outcome<T>. A cancellation of the running scope is caught too, as `catch`
// would; the next checkpoint throws again. `a` is an awaitable or a callable that returns a task.
template <detail::wrappable A>
[[nodiscard]] auto settle(A&& a) {
    return detail::settle_operation<detail::inner_operation_t<A>>(std::in_place, std::forward<A>(a));
}

} // namespace eddy

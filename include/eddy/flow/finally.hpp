// Cleaning up, whatever way a body ended.
//
// The cleanup runs shielded. When both fail, the body's error wins and the cleanup's goes to the exception handler.
#pragma once

#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>

#include <optional>

namespace eddy {

namespace detail {

// Reports an exception that nobody will receive, on behalf of the running task.
void report_lost(std::string_view message, std::exception_ptr e) noexcept;

// How the pair ended: the body's outcome first, then the cleanup's.
template <class T>
T conclude(outcome<T>& body, std::exception_ptr body_cancelled, std::exception_ptr cleanup) {
    const bool body_failed = !body.has_value();
    if (cleanup != nullptr && body_failed) {
        report_lost("a cleanup failed after its body had", cleanup);
        cleanup = nullptr;
    }
    if (cleanup != nullptr) std::rethrow_exception(cleanup);
    if (body_cancelled != nullptr) std::rethrow_exception(body_cancelled);
    return std::move(body).value();
}

// A cancelled body goes on as `cancelled`, not as the task_cancelled that outcome::value() would throw.
template <class T>
std::exception_ptr cancellation_of(const outcome<T>& o, const engine::scope& where) {
    return o.is_cancelled() ? std::make_exception_ptr(cancelled(reason_at(where))) : nullptr;
}

const engine::scope& running_scope() noexcept;

template <class C>
task<void> run_cleanup(C& cleanup, std::optional<duration> grace) {
    if (grace.has_value()) {
        auto op = timeout(*grace, cleanup());
        co_await op;
    } else {
        co_await cleanup();
    }
}

template <class B, class C>
class finally_call {
    using T = task_result_t<B>;

public:
    finally_call(B b, C c, std::optional<duration> g) : body_(std::move(b)), cleanup_(std::move(c)), grace_(g) {}
    task<T> operator()() { return run(body_, cleanup_, grace_); }

private:
    static task<T> run(B& body, C& cleanup, std::optional<duration> grace) {
        auto settled = settle(std::move(body));
        outcome<T> result = co_await settled;
        const std::exception_ptr cancellation = cancellation_of(result, running_scope());
        auto shielded = shield(run_cleanup(cleanup, grace));
        auto cleaned = settle(std::move(shielded));
        outcome<void> end = co_await cleaned;
        if constexpr (std::is_void_v<T>)
            conclude(result, cancellation, end.error());
        else
            co_return conclude(result, cancellation, end.error());
    }
    B body_;
    C cleanup_;
    std::optional<duration> grace_;
};

} // namespace detail

// Runs `body() -> task<T>`, then, shielded, `cleanup() -> task<void>`, whatever way the body ended: value, exception or
// cancellation. With `grace` the cleanup is cancelled when that is over: timeout_error when the body had succeeded,
// else the exception handler is told. Both callables are kept alive.
template <class B, class C>
requires detail::task_function<std::decay_t<B>> && detail::task_function<std::decay_t<C>>
[[nodiscard]] auto finally(B&& body, C&& cleanup) {
    using call = detail::finally_call<std::decay_t<B>, std::decay_t<C>>;
    return detail::call_operation<call>(call(std::forward<B>(body), std::forward<C>(cleanup), std::nullopt));
}
template <class B, class C, class Rep, class Period>
requires detail::task_function<std::decay_t<B>> && detail::task_function<std::decay_t<C>>
[[nodiscard]] auto finally(B&& body, C&& cleanup, std::chrono::duration<Rep, Period> grace) {
    using call = detail::finally_call<std::decay_t<B>, std::decay_t<C>>;
    return detail::call_operation<call>(
        call(std::forward<B>(body), std::forward<C>(cleanup), detail::to_duration(grace)));
}

} // namespace eddy

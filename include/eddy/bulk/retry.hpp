// Trying again.
//
//     auto page = retry([&] { return fetch(url); }, retry_policy().attempts(5).attempt_timeout(2s));
//     std::string text = co_await page;
//
// The delays between attempts grow, and are spread at random, so that many who failed together do not come back
// together. No attempt begins that an enclosing time limit would not let begin: then the last error is thrown at once,
// which says more than a timeout would.
#pragma once

#include <eddy/core/sleep.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/timeout.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <optional>

namespace eddy {

// How long to wait after a failed attempt: see exponential().
class backoff {
public:
    // Doubles from `first` to `max`. std::logic_error unless jitter is from 0 to 1.
    backoff(duration first, duration max, double jitter);
    // The delay after the k-th failure, counted from 1, for a random number from 0 to 1.
    [[nodiscard]] duration delay(std::size_t failures, double random) const noexcept;

private:
    duration first_;
    duration max_;
    double jitter_;
};

// first, 2 first, 4 first, … each spread evenly over +- jitter (a share: 0.5 is half as long to half as long again),
// and never longer than `max`. Negative durations count as zero.
template <class Rep, class Period, class Rep2, class Period2>
[[nodiscard]] backoff exponential(std::chrono::duration<Rep, Period> first, std::chrono::duration<Rep2, Period2> max,
                                  double jitter = 0.5) {
    return backoff(detail::to_duration(first), detail::to_duration(max), jitter);
}

// How retry() goes about it. Chain the setters.
class retry_policy {
public:
    retry_policy() = default;
    // All attempts, the first included. Default: 3. std::logic_error for 0.
    retry_policy& attempts(std::size_t n);
    // Default: exponential(100ms, 30s).
    retry_policy& backoff(eddy::backoff b) noexcept {
        backoff_ = b;
        return *this;
    }
    // Asked after each failure that another attempt could follow; false: the error is thrown at once. What it throws
    // itself is thrown instead. Default: every error is worth another attempt.
    retry_policy& retry_if(std::function<bool(std::exception_ptr)> f) {
        retry_if_ = std::move(f);
        return *this;
    }
    // An attempt that takes longer is cancelled, and has failed with timeout_error. Default: no limit.
    template <class Rep, class Period>
    retry_policy& attempt_timeout(std::chrono::duration<Rep, Period> d) {
        attempt_timeout_ = detail::to_duration(d);
        return *this;
    }

    [[nodiscard]] std::size_t attempts() const noexcept { return attempts_; }
    [[nodiscard]] const eddy::backoff& backoff() const noexcept { return backoff_; }
    [[nodiscard]] const std::function<bool(std::exception_ptr)>& retry_if() const noexcept { return retry_if_; }
    [[nodiscard]] const std::optional<duration>& attempt_timeout() const noexcept { return attempt_timeout_; }

private:
    std::size_t attempts_ = 3;
    eddy::backoff backoff_{std::chrono::milliseconds(100), std::chrono::seconds(30), 0.5};
    std::function<bool(std::exception_ptr)> retry_if_;
    std::optional<duration> attempt_timeout_;
};

namespace detail {

// Random numbers for delays. The same on each run of a simulated loop.
class delay_random {
public:
    delay_random();
    [[nodiscard]] double next() noexcept; // from 0 to 1

private:
    std::uint64_t state_;
};

// When to try again after the k-th failure; nothing when `error` is to be thrown.
std::optional<clock::time_point> next_attempt(const retry_policy& policy, std::size_t failures,
                                              const std::exception_ptr& error, delay_random& random);

template <class F>
class retry_call {
    using T = await_result_t<std::invoke_result_t<F&>>;

public:
    retry_call(F f, retry_policy p) : f_(std::move(f)), policy_(std::move(p)) {}
    task<T> operator()() { return run(f_, policy_); }

private:
    static task<T> attempt(F& f, const retry_policy& policy) {
        if (policy.attempt_timeout().has_value()) {
            auto limited = timeout(*policy.attempt_timeout(), std::invoke(f));
            co_return co_await limited;
        }
        co_return co_await std::invoke(f);
    }
    static task<T> run(F& f, const retry_policy& policy) {
        delay_random random;
        for (std::size_t failures = 1;; ++failures) {
            std::exception_ptr error;
            try {
                co_return co_await attempt(f, policy);
            } catch (const cancelled&) {
                throw;
            } catch (...) {
                error = std::current_exception();
            }
            const std::optional<clock::time_point> again = next_attempt(policy, failures, error, random);
            if (!again.has_value()) std::rethrow_exception(error);
            co_await sleep_until(*again);
        }
    }
    F f_;
    retry_policy policy_;
};

template <class F> concept retryable = std::is_invocable_v<F&> && awaitable<std::invoke_result_t<F&>>;

} // namespace detail

// Awaits f() and gives its value; when that throws, waits and tries again, as the policy says. Throws the last error:
// after the last attempt, when retry_if says no, or when the next attempt would begin after the nearest enclosing
// deadline. `cancelled` is never retried. `f` returns a task or another awaitable; it is kept, and called anew for each
// attempt. A checkpoint between attempts; otherwise what f's are.
template <class F>
requires detail::retryable<std::decay_t<F>>
[[nodiscard]] auto retry(F&& f, retry_policy policy = retry_policy()) {
    using call = detail::retry_call<std::decay_t<F>>;
    return detail::call_operation<call>(call(std::forward<F>(f), std::move(policy)));
}

} // namespace eddy

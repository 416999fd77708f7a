// A token bucket: so many per second, and no more.
//
// The bucket holds `burst` tokens and gets a new one every per/permits. It is kept as one number, the time at which it
// will be full again (the "generic cell rate algorithm"), so there is no timer while nobody waits. Waiters stand in one
// FIFO list and only the first has a timer; a large request at the head is not overtaken by small ones behind it.
//
// A token is spent when the awaiting task goes on, not when its turn is decided: the spacing holds for what the program
// sees, however busy the loop is. One grant is on its way at a time. A waiter that is cancelled or destroyed has spent
// nothing, and the next one's turn comes as if it had never been there.
#pragma once

#include <eddy/core/clock.hpp>
#include <eddy/sync/waiting.hpp>

#include <cstddef>
#include <cstdint>

namespace eddy {

class rate_limiter;

namespace detail {

class rate_acquire_operation final : public sync_operation<rate_acquire_operation> {
    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "rate_limiter.acquire",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    rate_acquire_operation(rate_limiter& l, std::size_t k) noexcept : limiter_(&l), count_(k) {}
    rate_acquire_operation(rate_acquire_operation&& o) = default;
    ~rate_acquire_operation();

    bool attempt();
    void enqueue() noexcept;
    void take() noexcept;

private:
    friend rate_limiter;
    enum class phase : std::uint8_t { idle, waiting, granted, over };
    rate_limiter* limiter_; // not touched once it is over
    std::size_t count_;
    phase phase_ = phase::idle;
};

} // namespace detail

// At most `permits + burst - 1` in any window (half open) of length `per`; with the default burst of 1 that is exactly
// `permits`, evenly spaced. Starts with a full bucket. Tasks are served first come, first served. One loop at a time;
// not thread-safe. Destroyed while tasks wait, it fails them with object_destroyed.
class rate_limiter {
public:
    // `permits` every `per`; up to `burst` at once after a pause. Spacing is counted in whole nanoseconds, rounded up:
    // the rate is never exceeded. std::logic_error when permits or burst is 0 or per is not positive.
    template <class Rep, class Period>
    rate_limiter(std::size_t permits, std::chrono::duration<Rep, Period> per, std::size_t burst = 1)
        : rate_limiter(permits, detail::to_duration(per), burst, 0) {}
    rate_limiter(const rate_limiter&) = delete;
    rate_limiter& operator=(const rate_limiter&) = delete;
    ~rate_limiter();

    // Waits for `k` tokens and spends them. A checkpoint; cancelled, it has spent nothing. Throws std::logic_error when
    // k is 0 or more than the burst (it could never be granted), or when tasks of another loop wait here;
    // object_destroyed. O(1), and O(log n) timers when it waits.
    [[nodiscard]] detail::rate_acquire_operation acquire(std::size_t k = 1) {
        check_count(k);
        return {*this, k};
    }
    // Spends `k` tokens if they are there and nobody waits for them. Never waits, is no checkpoint. std::logic_error as
    // acquire().
    [[nodiscard]] bool try_acquire(std::size_t k = 1);

    [[nodiscard]] std::size_t burst() const noexcept { return burst_; }
    // The time between two tokens.
    [[nodiscard]] duration spacing() const noexcept { return duration(spacing_); }

    struct statistics_t {
        std::size_t waiters = 0;   // tasks in acquire() that have not got their turn
        std::size_t available = 0; // whole tokens in the bucket now
    };
    // O(waiters).
    [[nodiscard]] statistics_t statistics() const noexcept;

private:
    friend detail::rate_acquire_operation;
    // The timer of the first waiter.
    struct turn final : engine::timer {
        rate_limiter* limiter = nullptr;
    };

    rate_limiter(std::size_t permits, duration per, std::size_t burst, int);
    void check_count(std::size_t k) const;
    [[nodiscard]] std::int64_t earliest(std::size_t k) const noexcept;
    void spend(std::size_t k, std::int64_t now) noexcept;
    void adopt_clock(std::int64_t now) noexcept;
    // Gives the first waiter its turn, or arms the timer for it.
    void serve() noexcept;

    std::size_t burst_;
    std::int64_t spacing_;
    std::int64_t full_at_;                              // nanoseconds of the loop's clock
    detail::waiting_line waiting_;                      // rate_acquire_operations
    detail::rate_acquire_operation* granted_ = nullptr; // has its turn, has not gone on yet
    engine::loop_core* loop_ = nullptr;                 // of those who wait
    turn turn_;
};

} // namespace eddy

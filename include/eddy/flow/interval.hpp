// Ticks at a fixed period, without drift.
#pragma once

#include <eddy/core/sleep.hpp>

namespace eddy {

// What happens to ticks that were missed because the consumer was late.
enum class missed : unsigned char {
    skip,  // they are left out; the next tick is the next multiple of the period
    burst, // they follow at once, one after the other
    delay, // the period counts from the late tick
};

namespace detail {
class tick_operation;
}

// The first tick is immediate, at construction time. A zero or negative period is std::logic_error. Loop-bound, one
// consumer at a time; destroying it stops it. Make it in a running loop, or give the loop's time by being there.
class interval {
public:
    template <class Rep, class Period>
    explicit interval(std::chrono::duration<Rep, Period> period, missed m = missed::skip)
        : interval(detail::to_duration(period), m, 0) {}

    // Waits for the next tick and gives the time it was due. A checkpoint. Cancelled: no tick is lost.
    [[nodiscard]] detail::tick_operation next() noexcept;
    // The next tick is one period from now.
    void reset() noexcept { next_ = clock::now() + period_; }
    [[nodiscard]] duration period() const noexcept { return period_; }

private:
    friend class detail::tick_operation;
    interval(duration period, missed m, int);
    clock::time_point advance() noexcept;
    duration period_;
    missed missed_;
    clock::time_point next_;
};

namespace detail {

class tick_operation final : public operation_tag {
public:
    using result_type = clock::time_point;
    explicit tick_operation(interval& i) noexcept : interval_(i), sleep_(i.next_) {}
    tick_operation(tick_operation&&) = default;
    void bind(context& c) { sleep_.bind(c); }
    bool start() { return sleep_.start(); }
    void suspend(void* frame) noexcept { sleep_.suspend(frame); }
    [[nodiscard]] engine::status state() const noexcept { return sleep_.state(); }
    clock::time_point take() noexcept { return interval_.advance(); }
    [[noreturn]] void fail() { sleep_.fail(); }
    [[nodiscard]] std::exception_ptr error() { return sleep_.error(); }

private:
    interval& interval_;
    sleep_operation sleep_;
};

} // namespace detail

inline detail::tick_operation interval::next() noexcept { return detail::tick_operation(*this); }

} // namespace eddy

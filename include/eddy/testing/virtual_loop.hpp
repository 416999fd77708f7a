// A loop with simulated time, for tests: nothing sleeps, a day of timers takes microseconds.
#pragma once

#include <eddy/core/loop.hpp>

#include <cstdint>

namespace eddy::testing {

// Ready tasks of loops made later on this thread run in an order drawn from `n`; 0: first in, first out (the default).
// The same seed gives the same order.
void seed(std::uint64_t n) noexcept;

// Time stands still while anything can run, and jumps to the next timer when nothing can. Has no uv_loop_t: processes,
// streams and await_uv say so with std::logic_error; offloaded calls run inline at a later step.
class virtual_loop : public loop {
public:
    virtual_loop();
    ~virtual_loop() override;

    // Runs until every task waits for something that only time or this test can bring; time does not move.
    void settle();
    // Moves the clock by `d` (std::logic_error when negative), running what falls due on the way, in order.
    template <class Rep, class Period>
    void advance(std::chrono::duration<Rep, Period> d) {
        if (d < d.zero()) throw std::logic_error("eddy: virtual time can't go back");
        advance_by(detail::to_duration(d));
    }

private:
    void advance_by(duration d);
};

} // namespace eddy::testing

// eddy's clock and durations.
#pragma once

#include <chrono>
#include <cstdint>

namespace eddy {

// A duration as eddy counts it: nanoseconds in 64 bits. `duration::max()` means for ever.
using duration = std::chrono::nanoseconds;

// The steady clock that deadlines are measured by; virtual on a loop with simulated time.
// now() reads it anew on each call (about 30 ns). Any thread; on a thread without a running loop it is the system's
// steady clock.
struct clock {
    using duration = eddy::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<clock, duration>;
    static constexpr bool is_steady = true;
    [[nodiscard]] static time_point now() noexcept;
};

namespace detail {

// Any chrono duration as nanoseconds, rounded up and clamped: a wait is never shorter than asked, and never overflows.
template <class Rep, class Period>
[[nodiscard]] constexpr duration to_duration(std::chrono::duration<Rep, Period> d) noexcept {
    using namespace std::chrono;
    using wide = std::chrono::duration<long double, std::nano>;
    if constexpr (treat_as_floating_point_v<Rep>) {
        if (!(d > d.zero())) return duration::zero();
        if (wide(d) >= wide(duration::max())) return duration::max();
        return ceil<nanoseconds>(d);
    } else {
        if (d <= d.zero()) return duration::zero();
        if (wide(d) >= wide(duration::max())) return duration::max();
        return ceil<nanoseconds>(d);
    }
}

[[nodiscard]] constexpr std::int64_t saturating_add(std::int64_t a, duration d) noexcept {
    return d.count() >= INT64_MAX - a ? INT64_MAX : a + d.count();
}

} // namespace detail
} // namespace eddy

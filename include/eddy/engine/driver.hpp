// What a loop needs from the world: a clock, a way to sleep, a way to be woken. A handful of calls a turn, none an
// operation. Two implementations: libuv (lib/driver/uv_driver) and simulated time (lib/driver/sim_driver).
#pragma once

#include <cstdint>

namespace eddy::engine {

constexpr std::int64_t never = INT64_MAX;

class driver {
public:
    driver() = default;
    driver(const driver&) = delete;
    driver& operator=(const driver&) = delete;
    virtual ~driver() = default;

    // Nanoseconds of a steady clock.
    virtual std::int64_t now() noexcept = 0;
    // Waits for an outside event until `deadline` (never: no limit; now or past: only looks) and lets its callbacks
    // run.
    virtual void poll(std::int64_t deadline) noexcept = 0;
    // Any thread: the current or next poll() returns at once.
    virtual void wake() noexcept = 0;
    // Something besides eddy's own handles can still cause an event.
    virtual bool has_outside_work() noexcept = 0;
    // How the calendar looks after each drain: adopted loops arm their timer and reference their handle by it.
    virtual void settle(std::int64_t next_deadline, bool ready, bool pending) noexcept = 0;
};

} // namespace eddy::engine

// Simulated time: nothing waits, the clock jumps to the next timer when nothing else can run.
#pragma once

#include <eddy/engine/driver.hpp>

#include <condition_variable>
#include <mutex>

namespace eddy::driver {

class sim_driver final : public engine::driver {
public:
    std::int64_t now() noexcept override { return now_; }
    void poll(std::int64_t deadline) noexcept override;
    void wake() noexcept override;
    bool has_outside_work() noexcept override { return false; }
    void settle(std::int64_t, bool, bool) noexcept override {}

    // Moves the clock by `ns` (not negative), whatever is due meanwhile.
    void advance(std::int64_t ns) noexcept {
        if (ns > 0) now_ += ns;
    }

private:
    std::int64_t now_ = 0;
    std::mutex guard_;
    std::condition_variable woken_cv_;
    bool woken_ = false;
};

} // namespace eddy::driver

#include "driver/sim_driver.hpp"

namespace eddy::driver {

void sim_driver::poll(std::int64_t deadline) noexcept {
    std::unique_lock lock(guard_);
    if (!woken_ && deadline == engine::never) {
        // Only another thread can go on: real waiting is all there is.
        woken_cv_.wait(lock, [this] { return woken_; });
    }
    const bool was_woken = woken_;
    woken_ = false;
    if (!was_woken && deadline > now_) now_ = deadline;
}

void sim_driver::wake() noexcept {
    const std::lock_guard lock(guard_);
    woken_ = true;
    woken_cv_.notify_one();
}

} // namespace eddy::driver

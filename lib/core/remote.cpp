#include <eddy/core/remote.hpp>

#include "core/state.hpp"

namespace eddy::detail {

void remote_state_base::finish() noexcept {
    {
        const std::lock_guard lock(guard);
        ended = true;
        record = nullptr;
    }
    ended_cv.notify_all();
}

constinit thread_local blocking_function around_blocking = nullptr;

namespace {

bool is_thread_of(const std::shared_ptr<loop_hub>& hub) noexcept {
    return hub != nullptr && hub->thread == std::this_thread::get_id();
}

} // namespace

void remote_state_base::wait() {
    if (hub != nullptr) check_process(*hub, "remote_task::get()");
    if (is_done()) return;
    if (is_thread_of(hub))
        throw std::logic_error("eddy: remote_task::get() on the loop's own thread would wait for ever");
    const blocking_section told;
    std::unique_lock lock(guard);
    ended_cv.wait(lock, [this] { return ended; });
}

bool remote_state_base::wait_unless_released() {
    const blocking_section told;
    std::unique_lock lock(guard);
    ended_cv.wait(lock, [this] { return ended || let_go; });
    return ended;
}

void remote_state_base::release_waiter() noexcept {
    {
        const std::lock_guard lock(guard);
        let_go = true;
    }
    ended_cv.notify_all();
}

bool remote_state_base::wait_for(duration d) {
    if (hub != nullptr) check_process(*hub, "remote_task::wait_for()");
    if (is_done()) return true;
    if (is_thread_of(hub))
        throw std::logic_error("eddy: remote_task::wait_for() on the loop's own thread would block it");
    const blocking_section told;
    std::unique_lock lock(guard);
    const auto now = std::chrono::steady_clock::now();
    const auto until = d >= std::chrono::steady_clock::time_point::max() - now
                           ? std::chrono::steady_clock::time_point::max()
                           : now + d;
    return ended_cv.wait_until(lock, until, [this] { return ended; });
}

bool remote_state_base::is_done() {
    const std::lock_guard lock(guard);
    return ended;
}

void remote_state_base::ask_cancel(cancel_reason why) {
    if (hub != nullptr) check_process(*hub, "remote_task::cancel()");
    const std::lock_guard lock(guard);
    if (ended || cancel_asked) return;
    cancel_asked = true;
    reason = std::move(why);
    deliver = [](engine::mail& m) noexcept {
        auto& s = static_cast<remote_state_base&>(m);
        const std::shared_ptr<remote_state_base> keep = std::move(s.mailed);
        engine::task_record* r = nullptr;
        {
            const std::lock_guard inner(s.guard);
            r = s.record;
        }
        if (r != nullptr) cancel_task(*r, s.reason);
    };
    discard = [](engine::mail& m) noexcept {
        const std::shared_ptr<remote_state_base> keep = std::move(static_cast<remote_state_base&>(m).mailed);
    };
    mailed = shared_from_this();
    if (hub == nullptr || !hub->box.post(*this)) mailed = nullptr;
}

std::shared_ptr<loop_hub> hub_of(engine::loop_core& l) noexcept { return loop_state::of(l).hub; }

void adopt_remote(remote_state_base& s, engine::task_record& r) noexcept {
    const std::lock_guard lock(s.guard);
    s.record = &r;
}

} // namespace eddy::detail

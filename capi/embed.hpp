// A loop in a host's loop: what it tells the host, and the descriptors it waits for on behalf of the program. Private.
#pragma once

#include "op.hpp"

#include "driver/uv_driver.hpp"

#include <atomic>
#include <unordered_map>

namespace eddy::capi {

// Made by eddy_loop_on_wake and for EDDY_LOOP_FD_ONLY.
struct host_link {
    explicit host_link(eddy_loop& l) noexcept;
    host_link(const host_link&) = delete;
    ~host_link();

    // Any thread.
    void wake() noexcept;
    // Owner: the calendar has changed.
    void changed() noexcept;
    // A timerfd in the loop's own epoll set. A negative libuv number.
    [[nodiscard]] int open_timer() noexcept;
    void set(eddy_call_fn fn, void* user, eddy_free_fn drop) noexcept;

    std::int64_t told = 0; // until when the host means to sleep

private:
    struct timer_handle;
    void lock() noexcept {
        while (busy_.test_and_set(std::memory_order_acquire)) {
        }
    }
    void unlock() noexcept { busy_.clear(std::memory_order_release); }

    eddy_loop* const loop_;
    driver::uv_driver::wake_listener listener_;
    std::atomic_flag busy_; // no mutex: eddy_loop_stop may be called in a signal handler
    hook<eddy_call_fn> hook_;
    timer_handle* timer_ = nullptr;
    std::int64_t armed_for_ = engine::never;
};

struct fd_watch;

// Who waits for which descriptor: libuv allows one handle each.
struct fd_table {
    std::unordered_map<int, fd_watch*> watches;
    ~fd_table();
};
[[nodiscard]] inline bool waits_for_descriptors(const eddy_loop& l) noexcept {
    return l.fds != nullptr && !l.fds->watches.empty();
}

// The loop closes.
void close_embedding(eddy_loop& l) noexcept;

} // namespace eddy::capi

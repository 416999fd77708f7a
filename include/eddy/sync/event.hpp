// event: a flag that tasks wait for.
//
// set() wakes all who wait, in the order in which they came, and whoever comes later does not wait, until clear(). Who
// was waiting at set() wakes even when clear() follows at once.
#pragma once

#include <eddy/sync/waiting.hpp>

namespace eddy {

class event;

// What event::statistics() tells.
struct event_statistics {
    event_statistics() = default;
    bool is_set = false;
    std::size_t waiters = 0;
};

namespace detail {
class event_wait_operation;
}

// Not thread-safe, not movable: for the tasks of one loop. Destroyed while tasks wait, it ends their waits with
// object_destroyed.
class event {
public:
    event() noexcept = default;
    event(const event&) = delete;
    event& operator=(const event&) = delete;
    ~event();

    // Wakes all who wait; they run later. No effect when set already. O(waiters), no allocation. std::logic_error when
    // those who wait belong to another loop than the one that runs here.
    void set();
    void clear() noexcept { set_ = false; }
    [[nodiscard]] bool is_set() const noexcept { return set_; }
    // co_await e.wait(): until set() is called; at once when it is set. A checkpoint. A wait that throws (cancelled,
    // object_destroyed) leaves the others as they were. std::logic_error when tasks of another loop wait already.
    [[nodiscard]] detail::event_wait_operation wait() noexcept;

    // O(waiters).
    [[nodiscard]] event_statistics statistics() const noexcept;

private:
    friend detail::event_wait_operation;
    bool set_ = false;
    detail::waiting_line waiters_;
};

namespace detail {

class event_wait_operation final : public sync_operation<event_wait_operation> {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "event.wait",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    explicit event_wait_operation(event& e) noexcept : event_(&e) {}
    event_wait_operation(event_wait_operation&&) = default;
    ~event_wait_operation() { end(); }
    bool attempt() {
        if (event_->set_) return true;
        event_->waiters_.check_loop(*where, kind.name);
        return false;
    }
    void enqueue() noexcept { event_->waiters_.add(*this); }
    void take() noexcept {}

private:
    event* event_;
};

} // namespace detail

inline detail::event_wait_operation event::wait() noexcept { return detail::event_wait_operation(*this); }

} // namespace eddy

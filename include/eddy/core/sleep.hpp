// Waiting for time, and giving way.
#pragma once

#include <eddy/core/clock.hpp>
#include <eddy/core/operation.hpp>

namespace eddy {

namespace detail {

std::size_t describe_sleep(std::int64_t left, char* out, std::size_t room) noexcept;

// Until a deadline; never before it. A deadline that has passed is a yield.
class sleep_operation final : public leaf_operation<sleep_operation>, private engine::timer {
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        w.where->loop->disarm(static_cast<sleep_operation&>(w));
        return engine::abort_result::gone;
    }
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
        return describe_sleep(static_cast<const sleep_operation&>(w).time_ - w.where->loop->now(), out, room);
    }

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "sleep",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};
    explicit sleep_operation(duration d) noexcept : time_(d.count()) {}
    explicit sleep_operation(clock::time_point t) noexcept : time_(t.time_since_epoch().count()), absolute_(true) {}
    sleep_operation(sleep_operation&&) = default;
    ~sleep_operation() {
        if (armed()) where->loop->disarm(*this);
        end();
    }
    bool attempt() noexcept {
        engine::loop_core& l = *where->loop;
        // Delays count from this call, not from a cached time: the loop may have been blocked since.
        if (!absolute_) {
            time_ = time_ <= 0 ? INT64_MIN : saturating_add(l.now(), duration(time_));
            absolute_ = true;
        }
        if (time_ <= l.cached_now()) {
            yield_after = true;
            result = engine::status::ok;
            return false;
        }
        fire = [](engine::timer& t) noexcept {
            auto& self = static_cast<sleep_operation&>(t);
            // Armed before it is parked: a wrapper may give up in between.
            if (self.engine::waiter::state == engine::wait_state::waiting)
                self.where->loop->grant(self, engine::status::ok);
        };
        if (l.arm(*this, time_)) return false;
        result = engine::status::no_memory;
        return true;
    }
    void enqueue() noexcept {}
    void take() noexcept {}

private:
    std::int64_t time_; // a duration until attempt(), then the deadline
    bool absolute_ = false;
};

// For ever: only a cancellation ends it.
class sleep_forever_operation final : public leaf_operation<sleep_forever_operation> {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "sleep for ever",
                                            .outside = true,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};
    sleep_forever_operation() = default;
    sleep_forever_operation(sleep_forever_operation&&) = default;
    ~sleep_forever_operation() { end(); }
    bool attempt() noexcept { return false; }
    void enqueue() noexcept {}
    void take() noexcept {}
};

// The commonest wait of all, so by hand: nothing to attempt, granted where it stands.
class yield_operation final : public engine::waiter, public operation_tag {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind_of{.name = "yield",
                                               .outside = false,
                                               .pinned = false,
                                               .abort = nullptr,
                                               .describe = nullptr,
                                               .resume = &resume_frame};
    yield_operation() noexcept = default;
    yield_operation(yield_operation&& o) {
        if (o.where != nullptr) throw_awaited_twice(kind_of.name);
    }
    ~yield_operation() { engine::loop_core::abandon(*this); }
    void bind(context& c) {
        if (where != nullptr) [[unlikely]]
            throw_awaited_twice(kind_of.name);
        where = c.where;
    }
    bool start() noexcept {
        // Cancelled, it gives way too: a task that swallows it and goes on does not starve the others.
        kind = &kind_of;
        result = where->loop->enter(*where, kind_of) ? engine::status::ok : engine::status::cancelled;
        return false;
    }
    void suspend(void* frame) noexcept {
        target = frame;
        where->loop->park_granted(*this);
    }
    [[nodiscard]] engine::status state() const noexcept { return result; }
    void take() noexcept {}
    [[noreturn, gnu::always_inline]] inline void fail() { throw cancelled(reason_at(*where)); }
    [[nodiscard]] std::exception_ptr error() { return error_by_throwing(*this); }
};

class checkpoint_operation final : public leaf_operation<checkpoint_operation> {
public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "checkpoint",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};
    checkpoint_operation() = default;
    checkpoint_operation(checkpoint_operation&&) = default;
    ~checkpoint_operation() { end(); }
    bool attempt() noexcept { return true; }
    void enqueue() noexcept {}
    void take() noexcept {}
};

} // namespace detail

// Waits at least `d`; any chrono duration. Zero or negative is a yield(); duration::max() waits until cancelled. A
// checkpoint. O(log n) in the number of timers. Throws std::bad_alloc when the timer could not be armed.
template <class Rep, class Period>
[[nodiscard]] detail::sleep_operation sleep(std::chrono::duration<Rep, Period> d) noexcept {
    return detail::sleep_operation(detail::to_duration(d));
}
// Waits until clock::now() >= t; a time in the past is a yield(). A checkpoint.
[[nodiscard]] inline detail::sleep_operation sleep_until(clock::time_point t) noexcept {
    return detail::sleep_operation(t);
}
// Waits until cancelled. Counts as woken from outside: a program that sleeps for ever is not deadlocked. A checkpoint.
[[nodiscard]] inline detail::sleep_forever_operation sleep_forever() noexcept { return {}; }

// Lets every other ready task run once. A checkpoint.
[[nodiscard]] inline detail::yield_operation yield() noexcept { return {}; }
// Throws when the running scope was cancelled; otherwise goes on at once (after 128 in a row it gives way). A
// checkpoint, and nothing else.
[[nodiscard]] inline detail::checkpoint_operation checkpoint() noexcept { return {}; }

} // namespace eddy

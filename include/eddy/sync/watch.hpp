// watch: one value that changes, and receivers that want to know its newest state, not its history.
//
//     watch<config> current(load());
//     auto mine = current.subscribe();
//     for (bool more = true; more; more = co_await mine.changed()) apply(mine.get()); // the first one too
//
// Each update counts the version up; a receiver remembers the version that it has been told of. So several updates
// before it looks are one change, and the value it finds is the newest. The last value stays readable when the watch
// has been closed or destroyed.
#pragma once

#include <eddy/sync/subscription.hpp>

#include <cstdint>
#include <functional>
#include <type_traits>

namespace eddy {

// What watch::statistics() tells.
struct watch_statistics {
    watch_statistics() = default;
    std::uint64_t updates = 0;
    std::size_t receivers = 0;
    std::size_t waiters = 0; // who wait in changed
    bool closed = false;
};

namespace detail {

[[noreturn]] void throw_watch_closed(const char* what);

// All of a watch but its value. Outlives it while there are receivers.
struct watch_core {
    void check_update(const char* what) const {
        if (closed) throw_watch_closed(what);
        waiting.check_loop(what);
    }
    void updated() noexcept {
        ++version;
        waiting.finish_all(engine::status::ok);
    }
    void end() noexcept {
        closed = true;
        waiting.finish_all(engine::status::ok);
    }
    std::uint64_t version = 0;
    std::size_t receivers = 0;
    bool closed = false;
    waiting_line waiting;
};

template <class T>
struct watch_state : watch_core {
    explicit watch_state(T&& v) : value(std::move(v)) {}
    T value;
};

struct watch_reader : subscription {
    explicit watch_reader(std::shared_ptr<watch_core> c) noexcept : core(std::move(c)), seen(core->version) {}
    waiting_line& line() noexcept { return core->waiting; }
    std::shared_ptr<watch_core> core;
    std::uint64_t seen;
};

// Looks at the version when it resumes: destroyed before that, it has seen nothing.
class watch_changed_operation final : public subscription_operation<watch_changed_operation, watch_reader> {
    using base = subscription_operation<watch_changed_operation, watch_reader>;

public:
    using result_type = bool;
    static constexpr engine::wait_kind kind{.name = "watch.changed",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = nullptr,
                                            .resume = &resume_frame};

    explicit watch_changed_operation(std::shared_ptr<watch_reader> r) noexcept : base(std::move(r)) {}
    watch_changed_operation(watch_changed_operation&&) = default;
    ~watch_changed_operation() = default;
    bool attempt() { return begin(reader_->seen != reader_->core->version || reader_->core->closed); }
    bool take() noexcept {
        reader_->leave(*this);
        return std::exchange(reader_->seen, reader_->core->version) != reader_->core->version;
    }
};

} // namespace detail

// For the tasks of one loop: neither movable nor thread-safe. T is an object type that can be moved and move-assigned.
// Destroying it closes it.
template <class T>
class watch {
    static_assert(std::is_object_v<T> && std::is_move_constructible_v<T> && std::is_move_assignable_v<T>,
                  "the value of a watch is an object that can be moved and assigned");

public:
    using value_type = T;
    class receiver;

    explicit watch(T initial) : state_(std::make_shared<detail::watch_state<T>>(std::move(initial))) {}
    watch(const watch&) = delete;
    watch& operator=(const watch&) = delete;
    ~watch() { state_->end(); }

    // A new value; who waits runs later. O(waiters), no allocation. Throws `closed`, std::logic_error when tasks of
    // another loop wait, and what assigning a T throws: then nobody is told of a change.
    void set(T v) {
        state_->check_update("watch.set");
        state_->value = std::move(v);
        state_->updated();
    }
    // The same in place: f(T&). When f throws, nobody is told.
    template <class F>
    requires std::is_invocable_v<F, T&>
    void update(F&& f) {
        state_->check_update("watch.update");
        static_cast<void>(std::invoke(std::forward<F>(f), state_->value));
        state_->updated();
    }
    // Valid until the next update.
    [[nodiscard]] const T& get() const noexcept { return state_->value; }
    // A receiver to which the value of now is no change. std::bad_alloc.
    [[nodiscard]] receiver subscribe() { return receiver(state_); }
    // No more updates. Idempotent. std::logic_error when tasks of another loop wait.
    void close() {
        if (state_->closed) return;
        state_->waiting.check_loop("watch.close");
        state_->end();
    }
    [[nodiscard]] bool closed() const noexcept { return state_->closed; }
    // O(waiters).
    [[nodiscard]] watch_statistics statistics() const noexcept {
        watch_statistics s;
        s.updates = state_->version;
        s.receivers = state_->receivers;
        s.waiters = state_->waiting.size();
        s.closed = state_->closed;
        return s;
    }

private:
    const std::shared_ptr<detail::watch_state<T>> state_;
};

// Knows which updates it has been told of. Movable, also while its operation waits; may outlive the watch.
template <class T>
class [[nodiscard("without a receiver nobody is told of changes")]] watch<T>::receiver {
public:
    receiver(receiver&&) noexcept = default;
    receiver& operator=(receiver&& o) noexcept {
        const receiver old(std::move(*this));
        state_ = std::move(o.state_);
        reader_ = std::move(o.reader_);
        return *this;
    }
    // Who waits in changed() gets object_destroyed.
    ~receiver() {
        if (reader_ == nullptr) return;
        --state_->receivers;
        reader_->end("a receiver of a watch");
    }

    // co_await r.changed() -> bool: true once there was an update that this receiver has not been told of; at once when
    // there was. False when the watch is closed and the last update has been told of. A checkpoint. Cancelled: nothing
    // counts as told. std::logic_error while another changed() of this receiver waits, or when tasks of another loop
    // wait. O(1), no allocation.
    [[nodiscard]] detail::watch_changed_operation changed() {
        check("watch.changed");
        return detail::watch_changed_operation(reader_);
    }
    // The newest value, told of or not. Valid until the next update. std::logic_error when moved from.
    [[nodiscard]] const T& get() const {
        check("watch.get");
        return state_->value;
    }
    // changed() would give true at once.
    [[nodiscard]] bool has_changed() const {
        check("watch.has_changed");
        return reader_->seen != state_->version;
    }

private:
    friend watch;
    explicit receiver(std::shared_ptr<detail::watch_state<T>> s)
        : state_(std::move(s)), reader_(std::make_shared<detail::watch_reader>(state_)) {
        ++state_->receivers;
    }
    void check(const char* what) const {
        if (reader_ == nullptr) detail::throw_moved_from(what);
    }
    std::shared_ptr<detail::watch_state<T>> state_;
    std::shared_ptr<detail::watch_reader> reader_;
};

} // namespace eddy

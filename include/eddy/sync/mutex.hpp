// mutex: one task at a time, in the order of asking.
//
// unlock() hands the lock to the task that has waited longest: from that moment it owns it, though it runs later. So
// nobody can slip in between, try_lock() included. Where the lock is (in a guard, or in an operation that was granted
// it and has not resumed) is written in one pointer, and who holds it in another, for messages and to refuse the task
// that would wait for itself. A waiter that is cancelled leaves the line; one that had been handed the lock when its
// frame is destroyed hands it on.
#pragma once

#include <eddy/sync/waiting.hpp>

#include <optional>
#include <string>

namespace eddy {

class condition;
class mutex;

// What mutex::statistics() tells. Right at once, also after a cancel.
struct mutex_statistics {
    mutex_statistics() = default;
    bool locked = false;
    std::string owner;       // name of the task that holds it; empty when unknown (its guard was moved)
    std::size_t waiters = 0; // who wait for it
};

namespace detail {

class condition_waiter;
class lock_operation;

// Where a lock is. Tied both ways, so that either may go first.
class lock_holder {
public:
    lock_holder& operator=(const lock_holder&) = delete;

protected:
    explicit lock_holder(mutex* m = nullptr) noexcept : held_(m) {}
    ~lock_holder() = default;
    mutex* held_; // null: not granted, unlocked, handed on, or the mutex is gone

private:
    friend eddy::mutex;
};

// Who stands in a mutex's line and is handed the lock: lock(), and a condition's wait that locks again. `result` holds
// how the wait is to end once it has the lock, when not with ok.
class lock_waiter : public engine::waiter, public lock_holder {
protected:
    lock_waiter() noexcept = default;
    ~lock_waiter() = default;
};

} // namespace detail

// Not thread-safe, not movable: for the tasks of one loop. Destroyed while tasks wait for it, it ends their waits with
// object_destroyed; guards that are left hold nothing then.
class mutex {
public:
    // Owns the lock; its destructor unlocks. Movable: then nobody knows any more which task holds the lock.
    class guard;

    mutex() noexcept = default;
    mutex(const mutex&) = delete;
    mutex& operator=(const mutex&) = delete;
    ~mutex();

    // co_await m.lock() -> guard. Waits its turn, first in, first out. A checkpoint. When it throws (cancelled,
    // object_destroyed) the lock is not held. std::logic_error when the running task holds the lock already, which
    // would wait for ever, or when tasks of another loop hold it or wait. O(1), no allocation.
    [[nodiscard]] detail::lock_operation lock() noexcept;
    // The lock, or nothing when it is held (also by the running task) or has been handed over. No checkpoint.
    [[nodiscard]] std::optional<guard> try_lock();

    [[nodiscard]] bool locked() const noexcept { return holder_ != nullptr; }
    // How many wait. O(n).
    [[nodiscard]] std::size_t waiters() const noexcept { return waiters_.size(); }
    [[nodiscard]] mutex_statistics statistics() const;

private:
    friend condition;
    friend detail::condition_waiter;
    friend detail::lock_operation;

    void give_to(detail::lock_holder& h, const engine::task_record* owner) noexcept {
        h.held_ = this;
        holder_ = &h;
        owner_ = owner;
    }
    // The lock of `from` is free, or the next waiter's.
    void give_back() noexcept {
        holder_ = nullptr;
        if (!waiters_.empty()) serve_next();
    }
    void serve_next() noexcept;
    inline void check_wait(const engine::scope& where) const;
    [[nodiscard]] const engine::task_record* owner() const noexcept { return holder_ == nullptr ? nullptr : owner_; }

    detail::lock_holder* holder_ = nullptr;
    // Only compared, never followed: a guard that lies outside its task's frame may outlive the task. Valid while
    // locked.
    const engine::task_record* owner_ = nullptr;
    detail::waiting_line waiters_;
    condition* conditions_ = nullptr; // those on this mutex
};

class [[nodiscard("the lock is released when the guard goes")]] mutex::guard : private detail::lock_holder {
public:
    guard() noexcept = default;
    guard(guard&& other) noexcept { take_from(other); }
    // Unlocks what it had.
    guard& operator=(guard&& other) noexcept {
        if (this == &other) return *this;
        if (held_ != nullptr) std::exchange(held_, nullptr)->give_back();
        take_from(other);
        return *this;
    }
    ~guard() {
        if (held_ != nullptr) held_->give_back();
    }

    // False when unlocked, moved from, or when the mutex has been destroyed.
    [[nodiscard]] bool owns_lock() const noexcept { return held_ != nullptr; }
    // Hands the lock to whoever waits longest. No checkpoint; the other runs later. std::logic_error when it owns none.
    void unlock();

private:
    friend mutex;
    friend detail::condition_waiter;
    friend detail::lock_operation;
    // The owner stays the same.
    explicit guard(mutex* m) noexcept : lock_holder(m) {
        if (m != nullptr) [[likely]]
            m->holder_ = this;
    }
    void take_from(guard& other) noexcept {
        if (mutex* const m = std::exchange(other.held_, nullptr); m != nullptr) m->give_to(*this, nullptr);
    }
};

namespace detail {

class lock_operation final : public sync_operation<lock_operation, lock_waiter> {
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
        if (!is_waiting(w)) return describe_as(out, room, "%s", w.kind->name);
        const mutex& m = *static_cast<const lock_operation&>(w).mutex_;
        return describe_lock(w.kind->name, *w.where, m.owner(), out, room);
    }

public:
    using result_type = mutex::guard;
    static constexpr engine::wait_kind kind{.name = "mutex.lock",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    explicit lock_operation(mutex& m) noexcept : mutex_(&m) {}
    lock_operation(lock_operation&& other) : sync_operation(std::move(other)), mutex_(other.mutex_) {}
    ~lock_operation() {
        end();
        if (held_ != nullptr) held_->give_back(); // granted, and nobody took it
    }
    bool attempt() {
        if (mutex_->holder_ == nullptr) [[likely]] {
            mutex_->give_to(*this, owner_of(*where));
            return true;
        }
        mutex_->check_wait(*where);
        return false;
    }
    void enqueue() noexcept { mutex_->waiters_.add(*this); }
    [[nodiscard]] mutex::guard take() noexcept { return mutex::guard(std::exchange(held_, nullptr)); }

private:
    friend eddy::mutex;
    mutex* mutex_;
};

} // namespace detail

inline void mutex::check_wait(const engine::scope& where) const {
    waiters_.check_loop(where, detail::lock_operation::kind.name);
    if (owner_ != nullptr && owner_ == detail::owner_of(where)) [[unlikely]]
        detail::throw_locks_again("a mutex", *owner_);
}

inline detail::lock_operation mutex::lock() noexcept { return detail::lock_operation(*this); }

} // namespace eddy

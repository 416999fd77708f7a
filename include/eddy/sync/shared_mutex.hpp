// shared_mutex: one writer, or any number of readers, in the order of asking.
//
// One line for both. Whoever is at its head goes in as soon as those inside allow it, and a reader takes the readers
// right behind it along. Nobody overtakes: a reader that comes while a writer waits queues behind it, so that writers
// do not starve, nor do readers. A waiter that leaves (cancelled, timed out, destroyed) may have been a writer that
// kept readers out, so the line is served again; a lock that had been granted to an operation nobody took is handed on.
#pragma once

#include <eddy/sync/waiting.hpp>

#include <optional>

namespace eddy {

// What shared_mutex::statistics() tells. Right at once, also after a cancel.
struct shared_mutex_statistics {
    shared_mutex_statistics() = default;
    bool locked = false;             // by a writer
    std::string owner;               // name of the task that does; empty when unknown (its guard was moved)
    std::size_t readers = 0;         // who hold it shared
    std::size_t waiting_writers = 0; // who wait in lock()
    std::size_t waiting_readers = 0; // who wait in lock_shared()
};

namespace detail {
template <bool Shared>
class shared_mutex_operation;
class shared_mutex_waiter;
} // namespace detail

// Not thread-safe, not movable: for the tasks of one loop. Destroyed while tasks wait for it, it ends their waits with
// object_destroyed; guards that are left hold nothing then.
class shared_mutex {
    template <bool Shared>
    class basic_guard;

public:
    // Owns the lock, alone; its destructor unlocks. Movable: then nobody knows any more which task holds the lock.
    using guard = basic_guard<false>;
    // Owns a share of the lock; its destructor gives it back. Movable.
    using shared_guard = basic_guard<true>;

    shared_mutex() noexcept = default;
    shared_mutex(const shared_mutex&) = delete;
    shared_mutex& operator=(const shared_mutex&) = delete;
    ~shared_mutex();

    // co_await m.lock() -> guard. Waits its turn, first in, first out. A checkpoint. When it throws (cancelled,
    // object_destroyed) nothing is held. std::logic_error when the running task holds the lock, not shared, already,
    // which would wait for ever, or when tasks of another loop wait. (A task that holds it shared and asks for it alone
    // waits for ever too, and nobody sees that.) O(1), no allocation.
    [[nodiscard]] detail::shared_mutex_operation<false> lock() noexcept;
    // co_await m.lock_shared() -> shared_guard. The same for a reader: waits for the writer inside, and for whoever
    // waits already. So a task that holds a share and asks for another may wait for a writer that waits for it.
    [[nodiscard]] detail::shared_mutex_operation<true> lock_shared() noexcept;
    // The lock, or nothing when it is held, by whomever. No checkpoint.
    [[nodiscard]] std::optional<guard> try_lock();
    // A share, or nothing when a writer holds the lock or somebody waits. No checkpoint.
    [[nodiscard]] std::optional<shared_guard> try_lock_shared();

    // O(waiters).
    [[nodiscard]] shared_mutex_statistics statistics() const;

private:
    template <bool>
    friend class detail::shared_mutex_operation;
    friend detail::shared_mutex_waiter;
    static constexpr std::ptrdiff_t by_writer = -1;

    [[nodiscard]] bool admits(bool shared) const noexcept { return shared ? inside_ >= 0 : inside_ == 0; }
    void let_in(bool shared, const engine::task_record* owner) noexcept {
        inside_ = shared ? inside_ + 1 : by_writer;
        owner_ = owner;
    }
    bool take(bool shared, const engine::task_record* owner) noexcept {
        if (!waiters_.empty() || !admits(shared)) return false;
        let_in(shared, owner);
        return true;
    }
    void give_back(bool shared) noexcept {
        inside_ = shared ? inside_ - 1 : 0;
        if (!waiters_.empty()) serve();
    }
    // Lets in whoever is next and may.
    void serve() noexcept;
    void check_wait(const engine::scope& where, const char* what) const;
    [[nodiscard]] const engine::task_record* owner() const noexcept { return inside_ == by_writer ? owner_ : nullptr; }

    std::ptrdiff_t inside_ = 0; // readers, or by_writer
    // Only compared, never followed: a guard that lies outside its task's frame may outlive the task. Valid while
    // by_writer.
    const engine::task_record* owner_ = nullptr;
    detail::waiting_line waiters_;
    detail::holding_list<shared_mutex> holders_;
};

template <bool Shared>
class [[nodiscard("the lock is released when the guard goes")]] shared_mutex::basic_guard
    : private detail::holding<shared_mutex> {
public:
    basic_guard() noexcept = default;
    basic_guard(basic_guard&& other) noexcept : holding(std::move(other)) { forget_owner(); }
    // Unlocks what it had.
    basic_guard& operator=(basic_guard&& other) noexcept {
        if (this == &other) return *this;
        end();
        take_place_of(other);
        forget_owner();
        return *this;
    }
    ~basic_guard() { end(); }

    // False when unlocked, moved from, or when the mutex has been destroyed.
    [[nodiscard]] bool owns_lock() const noexcept { return owner() != nullptr; }
    // Lets in who waits longest. No checkpoint; the other runs later. std::logic_error when it owns none.
    void unlock() {
        if (owner() == nullptr) detail::throw_owns_no_lock();
        end();
    }

private:
    friend shared_mutex;
    friend detail::shared_mutex_operation<Shared>;
    // The owner stays the same.
    explicit basic_guard(detail::holding<shared_mutex>&& from) noexcept : holding(std::move(from)) {}
    void forget_owner() noexcept {
        if (!Shared && owner() != nullptr) owner()->owner_ = nullptr;
    }
    void end() noexcept {
        if (shared_mutex* m = owner(); m != nullptr) {
            let_go();
            m->give_back(Shared);
        }
    }
};

namespace detail {

// Both kinds of waiters, in one line.
class shared_mutex_waiter : public engine::waiter, public holding<shared_mutex> {
protected:
    shared_mutex_waiter() noexcept = default;
    ~shared_mutex_waiter() = default;
    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;
    // The operation is destroyed: `was_waiting` in line, perhaps in the way; or it was granted, and nobody took it.
    void undo(bool was_waiting) noexcept;

    shared_mutex* mutex_ = nullptr;
    bool shared_ = false;

private:
    friend eddy::shared_mutex;
};

template <bool Shared>
class shared_mutex_operation final : public sync_operation<shared_mutex_operation<Shared>, shared_mutex_waiter> {
    using base = sync_operation<shared_mutex_operation, shared_mutex_waiter>;

public:
    using result_type = std::conditional_t<Shared, shared_mutex::shared_guard, shared_mutex::guard>;
    static constexpr engine::wait_kind kind{.name = Shared ? "shared_mutex.lock_shared" : "shared_mutex.lock",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &shared_mutex_waiter::abort_it,
                                            .describe = &shared_mutex_waiter::describe_it,
                                            .resume = &resume_frame};

    explicit shared_mutex_operation(shared_mutex& m) noexcept {
        this->mutex_ = &m;
        this->shared_ = Shared;
    }
    shared_mutex_operation(shared_mutex_operation&& other) : base(std::move(other)) {
        this->mutex_ = other.mutex_;
        this->shared_ = Shared;
    }
    ~shared_mutex_operation() {
        const bool was_waiting = is_waiting(*this);
        this->end();
        this->undo(was_waiting);
    }
    bool attempt() {
        if (this->mutex_->take(Shared, owner_of(*this->where))) [[likely]] {
            this->hold(*this->mutex_, this->mutex_->holders_);
            return true;
        }
        this->mutex_->check_wait(*this->where, kind.name);
        return false;
    }
    void enqueue() noexcept { this->mutex_->waiters_.add(*this); }
    [[nodiscard]] result_type take() noexcept { return result_type(std::move(*this)); }
};

} // namespace detail

inline detail::shared_mutex_operation<false> shared_mutex::lock() noexcept {
    return detail::shared_mutex_operation<false>(*this);
}
inline detail::shared_mutex_operation<true> shared_mutex::lock_shared() noexcept {
    return detail::shared_mutex_operation<true>(*this);
}

} // namespace eddy

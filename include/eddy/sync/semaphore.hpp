// semaphore: at most so many at a time, in the order of asking.
//
// One number, what is available, and a line of waiters, each with the count that it asked for. Permits that come back
// go to the head of the line, and only when they suffice for it: a big request is not starved by small ones behind it,
// and nobody gets a part. A waiter that leaves (cancelled, timed out, destroyed) may have been what held up the others,
// so the line is served again; permits that had been granted to an operation nobody took go back in the same way.
#pragma once

#include <eddy/sync/waiting.hpp>

#include <limits>
#include <optional>

namespace eddy {

class semaphore;

// Tag: a semaphore that refuses to be released beyond its size.
struct bounded_t {
    explicit constexpr bounded_t() = default;
};
inline constexpr bounded_t bounded{};

// What semaphore::statistics() tells.
struct semaphore_statistics {
    semaphore_statistics() = default;
    std::ptrdiff_t total = 0;     // as constructed, or by the last resize()
    std::ptrdiff_t available = 0; // as available()
    std::ptrdiff_t held = 0;      // by permits, and by operations that were granted some and have not resumed
    std::size_t waiters = 0;
};

namespace detail {
class acquire_operation;
}

// Not thread-safe, not movable: for the tasks of one loop. Destroyed while tasks wait for it, it ends their waits with
// object_destroyed; permits that are left hold nothing then.
class semaphore {
public:
    // Gives back in its destructor what it holds. Movable.
    class permit;

    // std::logic_error when `n` is negative. Without bounded_t more may be released than was acquired.
    explicit semaphore(std::ptrdiff_t n);
    semaphore(std::ptrdiff_t n, bounded_t);
    semaphore(const semaphore&) = delete;
    semaphore& operator=(const semaphore&) = delete;
    ~semaphore();

    // co_await s.acquire(k) -> permit for k. All or nothing, first in, first out. A checkpoint. When it throws
    // (cancelled, object_destroyed) nothing is held. acquire(0) does not wait. std::logic_error when k is negative, or
    // when tasks of another loop wait. O(1), no allocation.
    [[nodiscard]] detail::acquire_operation acquire(std::ptrdiff_t k = 1);
    // The permit, or nothing when there are not enough, or others wait. No checkpoint.
    [[nodiscard]] std::optional<permit> try_acquire(std::ptrdiff_t k = 1);
    // Adds k, beyond what permits give back by themselves. std::logic_error, and no change, when k is negative, when a
    // bounded semaphore would come to more than its size (counting what permits still hold), or when the count would
    // overflow.
    void release(std::ptrdiff_t k = 1);
    // What acquire() would find; negative after a resize() below what is held: so many have to come back first.
    [[nodiscard]] std::ptrdiff_t available() const noexcept { return available_; }
    // Changes the size from what it was to `n`, at any time: a bigger one lets waiters go, a smaller one takes from
    // what is available, and owes what is in use. std::logic_error when n is negative or the count would overflow.
    void resize(std::ptrdiff_t n);

    // O(waiters).
    [[nodiscard]] semaphore_statistics statistics() const noexcept;

private:
    friend detail::acquire_operation;
    static constexpr std::ptrdiff_t most = std::numeric_limits<std::ptrdiff_t>::max();

    bool take(std::ptrdiff_t k) noexcept {
        if (k != 0 && (available_ < k || !waiters_.empty())) return false;
        available_ -= k;
        held_ += k;
        return true;
    }
    // What somebody held comes back. Can neither exceed the bound nor overflow: held permits have been counted.
    void give_back(std::ptrdiff_t k) noexcept {
        held_ -= k;
        available_ += k;
        if (!waiters_.empty()) serve();
    }
    // Lets go whoever is next and has enough.
    void serve() noexcept;

    std::ptrdiff_t available_;
    std::ptrdiff_t held_ = 0;
    std::ptrdiff_t total_;
    bool bounded_;
    detail::waiting_line waiters_;
    detail::holding_list<semaphore> holders_;
};

class [[nodiscard("the permit goes back when it is destroyed")]] semaphore::permit
    : private detail::holding<semaphore> {
public:
    permit() noexcept = default;
    permit(permit&&) noexcept = default;
    // Gives back what it had.
    permit& operator=(permit&& other) noexcept {
        if (this == &other) return *this;
        end();
        take_place_of(other);
        count_ = other.count_;
        return *this;
    }
    ~permit() { end(); }

    // How many it holds; 0 when released, forgotten or moved from, or when the semaphore has been destroyed.
    [[nodiscard]] std::ptrdiff_t count() const noexcept { return owner() == nullptr ? 0 : count_; }
    // Gives them back now. std::logic_error when it was released or forgotten, or moved from.
    void release();
    // They do not come back by themselves; semaphore::release() may bring them back. Errors as release().
    void forget();

private:
    friend semaphore;
    friend detail::acquire_operation;
    permit(holding&& from, std::ptrdiff_t k) noexcept : holding(std::move(from)), count_(k) {}
    void end() noexcept {
        if (semaphore* s = owner(); s != nullptr) {
            let_go();
            s->give_back(count_);
        }
    }
    std::ptrdiff_t count_ = 0;
};

namespace detail {

class acquire_operation final : public sync_operation<acquire_operation>, private holding<semaphore> {
    static engine::abort_result abort_it(engine::waiter& w) noexcept {
        w.unlink();
        static_cast<acquire_operation&>(w).semaphore_->serve(); // it may have been in the way
        return engine::abort_result::gone;
    }
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
        const auto& self = static_cast<const acquire_operation&>(w);
        if (!is_waiting(w)) return describe_as(out, room, "semaphore.acquire(%td)", self.count_);
        return describe_as(out, room, "semaphore.acquire(%td), %td available", self.count_,
                           self.semaphore_->available_);
    }

public:
    using result_type = semaphore::permit;
    static constexpr engine::wait_kind kind{.name = "semaphore.acquire",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    acquire_operation(semaphore& s, std::ptrdiff_t k) noexcept : semaphore_(&s), count_(k) {}
    acquire_operation(acquire_operation&& other)
        : sync_operation(std::move(other)), holding(), semaphore_(other.semaphore_), count_(other.count_) {}
    ~acquire_operation() {
        const bool was_waiting = is_waiting(*this);
        end();
        if (was_waiting) semaphore_->serve();
        if (owner() == nullptr) return;
        let_go(); // granted, and nobody took it
        semaphore_->give_back(count_);
    }
    bool attempt() {
        if (semaphore_->take(count_)) [[likely]] {
            hold(*semaphore_, semaphore_->holders_);
            return true;
        }
        semaphore_->waiters_.check_loop(*where, kind.name);
        return false;
    }
    void enqueue() noexcept { semaphore_->waiters_.add(*this); }
    [[nodiscard]] semaphore::permit take() noexcept { return semaphore::permit(std::move(*this), count_); }

private:
    friend eddy::semaphore;
    semaphore* semaphore_;
    std::ptrdiff_t count_;
};

} // namespace detail

inline detail::acquire_operation semaphore::acquire(std::ptrdiff_t k) {
    if (k < 0) [[unlikely]]
        detail::throw_negative("semaphore.acquire", k);
    return {*this, k};
}

inline void semaphore::serve() noexcept {
    while (!waiters_.empty()) {
        auto& w = static_cast<detail::acquire_operation&>(*waiters_.front());
        if (w.count_ > available_) return;
        w.unlink();
        available_ -= w.count_;
        held_ += w.count_;
        w.hold(*this, holders_);
        w.where->loop->grant(w, engine::status::ok);
    }
}

} // namespace eddy

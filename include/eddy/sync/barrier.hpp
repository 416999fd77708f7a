// barrier: n tasks wait for each other, round after round.
//
// A round is complete at the moment in which its n-th task arrives: all of them have passed then, though they run
// later, and whoever arrives next belongs to the next round. There is no time in between, in which a round is being
// left, and so nothing can go wrong in it. Indices are given out when the round is complete, in the order in which its
// tasks arrived: a task that was cancelled before has taken its place back, and left no gap.
#pragma once

#include <eddy/sync/waiting.hpp>

namespace eddy {

// What barrier::statistics() tells. Right at once, also after a cancel.
struct barrier_statistics {
    barrier_statistics() = default;
    std::size_t parties = 0;
    std::size_t waiters = 0; // who have arrived in the round that is being filled
    bool broken = false;     // by abort()
};

namespace detail {
class barrier_operation;
}

// Not thread-safe, not movable: for the tasks of one loop. Destroyed while tasks wait, it ends their waits with
// object_destroyed.
class barrier {
public:
    // For rounds of n. std::logic_error when n < 1.
    explicit barrier(std::ptrdiff_t n);
    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;
    ~barrier();

    // co_await b.arrive_and_wait() -> std::size_t. Waits until n have arrived; the n-th does not wait. Gives the place
    // in the order of arrival, 0 … n−1, each once a round: so exactly one task, say that with 0, does what one has to
    // do. A checkpoint. When it is cancelled, the arrival is taken back and the others wait on; once the round is
    // complete, it can't be cancelled any more. broken_barrier when the barrier is or gets broken. std::logic_error
    // when tasks of another loop wait. O(1), for the last one O(n); no allocation.
    [[nodiscard]] detail::barrier_operation arrive_and_wait() noexcept;

    // Breaks the barrier: who waits, and who comes later, gets broken_barrier, until reset(). Idempotent. For whoever
    // finds out that a round will not be filled. std::logic_error when those who wait belong to another loop than the
    // one that runs here. O(waiters), no allocation.
    void abort();
    // Begins again with an empty round, also after abort(). Who waits gets broken_barrier. Errors and costs as abort().
    void reset();

    [[nodiscard]] bool broken() const noexcept { return broken_; }
    // O(1).
    [[nodiscard]] barrier_statistics statistics() const noexcept;

private:
    friend detail::barrier_operation;
    // The last one is there.
    void complete() noexcept;

    std::size_t parties_;
    std::size_t arrived_ = 0; // who wait
    bool broken_ = false;
    detail::waiting_line waiters_;
};

namespace detail {

class barrier_operation final : public sync_operation<barrier_operation> {
    static engine::abort_result abort_it(engine::waiter& w) noexcept;
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = std::size_t;
    static constexpr engine::wait_kind kind{.name = "barrier.arrive_and_wait",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = &abort_it,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    explicit barrier_operation(barrier& b) noexcept : barrier_(&b) {}
    barrier_operation(barrier_operation&&) = default;
    ~barrier_operation() {
        if (is_waiting(*this)) --barrier_->arrived_;
        end();
    }
    bool attempt();
    void enqueue() noexcept {
        ++barrier_->arrived_;
        barrier_->waiters_.add(*this);
    }
    [[nodiscard]] std::size_t take() const noexcept { return index_; }

private:
    friend eddy::barrier;
    barrier* barrier_;
    std::size_t index_ = 0;
};

} // namespace detail

inline detail::barrier_operation barrier::arrive_and_wait() noexcept { return detail::barrier_operation(*this); }

} // namespace eddy

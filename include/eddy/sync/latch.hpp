// latch: opens once, when it has been counted down to zero, and stays open.
//
// What has been counted down stays so, whoever is cancelled: a latch counts what has happened, a barrier who is there.
#pragma once

#include <eddy/sync/waiting.hpp>

namespace eddy {

// What latch::statistics() tells.
struct latch_statistics {
    latch_statistics() = default;
    std::ptrdiff_t count = 0;
    std::size_t waiters = 0;
};

namespace detail {
class latch_operation;
}

// Not thread-safe, not movable: for the tasks of one loop. Destroyed while tasks wait, it ends their waits with
// object_destroyed.
class latch {
public:
    // Opens after n. With 0 it is open. std::logic_error when n is negative.
    explicit latch(std::ptrdiff_t n);
    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;
    ~latch();

    // Takes k from the count; at zero all who wait wake, and run later. No checkpoint. std::logic_error, and no change,
    // when k is negative or more than the count, or when those who wait belong to another loop than the one that runs
    // here. O(1), at zero O(waiters); no allocation.
    void count_down(std::ptrdiff_t k = 1);
    // co_await l.wait(): until the count is zero; at once when it is. A checkpoint. A wait that throws (cancelled,
    // object_destroyed) changes nothing. std::logic_error when tasks of another loop wait.
    [[nodiscard]] detail::latch_operation wait() noexcept;
    // co_await l.arrive_and_wait(): count_down(), then wait(). A checkpoint before it counts: a task that was cancelled
    // before has not arrived; one that is cancelled while it waits has.
    [[nodiscard]] detail::latch_operation arrive_and_wait() noexcept;
    // Whether it is open. No checkpoint.
    [[nodiscard]] bool try_wait() const noexcept { return count_ == 0; }
    // How many are missing.
    [[nodiscard]] std::ptrdiff_t count() const noexcept { return count_; }

    // O(waiters).
    [[nodiscard]] latch_statistics statistics() const noexcept;

private:
    friend detail::latch_operation;
    std::ptrdiff_t count_;
    detail::waiting_line waiters_;
};

namespace detail {

class latch_operation final : public sync_operation<latch_operation> {
    static std::size_t describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept;

public:
    using result_type = void;
    static constexpr engine::wait_kind kind{.name = "latch.wait",
                                            .outside = false,
                                            .pinned = false,
                                            .abort = nullptr,
                                            .describe = &describe_it,
                                            .resume = &resume_frame};

    latch_operation(latch& l, bool arrives) noexcept : latch_(&l), arrives_(arrives) {}
    latch_operation(latch_operation&&) = default;
    ~latch_operation() { end(); }
    bool attempt();
    void enqueue() noexcept { latch_->waiters_.add(*this); }
    void take() noexcept {}

private:
    latch* latch_;
    bool arrives_;
};

} // namespace detail

inline detail::latch_operation latch::wait() noexcept { return {*this, false}; }
inline detail::latch_operation latch::arrive_and_wait() noexcept { return {*this, true}; }

} // namespace eddy

// The way back from other threads to a loop, for calls that it has sent out.
//
// A thread that has run a call pushes it on a stack, and one mail node tells the loop, however many calls have come
// back by then: many results cost one wake-up.
#pragma once

#include <eddy/offload/job.hpp>

#include "core/state.hpp"

namespace eddy::detail {

// Circular, like the ready queue.
class job_list {
public:
    job_list() noexcept { head_.after = head_.before = &head_; }
    job_list(const job_list&) = delete;
    [[nodiscard]] bool empty() const noexcept { return head_.after == &head_; }
    void push_back(thread_job& j) noexcept {
        j.before = head_.before;
        j.after = &head_;
        head_.before->after = &j;
        head_.before = &j;
    }
    [[nodiscard]] thread_job& pop_front() noexcept {
        thread_job& j = *head_.after;
        unlink(j);
        return j;
    }
    static void unlink(thread_job& j) noexcept {
        j.before->after = j.after;
        j.after->before = j.before;
        j.after = j.before = nullptr;
    }

private:
    friend class done_stack;
    thread_job head_;
};

// Filled by one or many threads, emptied as a whole.
class done_stack {
public:
    void push(offload_job& job) noexcept {
        thread_job* first = first_.load(std::memory_order_relaxed);
        do
            job.after = first;
        while (!first_.compare_exchange_weak(first, &job)); // in one order with announced_: see returns::announce()
    }
    // The loop's thread: moves all to the end of `to`, in the order of pushing.
    void collect(job_list& to) noexcept;

private:
    std::atomic<thread_job*> first_{nullptr};
};

class returns : public std::enable_shared_from_this<returns> {
public:
    explicit returns(std::shared_ptr<loop_hub> hub) noexcept;
    returns(const returns&) = delete;
    virtual ~returns() = default;

    // Any thread, which holds a reference: something was pushed. Where a note is under way the loop will clear the
    // flag, and look after that.
    void announce() noexcept;

protected:
    // On the loop: collects, and delivers.
    virtual void bring_home() noexcept = 0;
    const std::shared_ptr<loop_hub> hub_;

private:
    struct note final : engine::mail {
        std::shared_ptr<returns> owner; // while it is in the box
    };
    std::atomic<bool> announced_{false}; // the note is in the box
    note note_;
};

// What comes back from threads of eddy's own: one for a loop.
class pool_returns final : public returns {
public:
    using returns::returns;
    static pool_returns& of(loop_state& l); // made by the first call; std::bad_alloc
    void push(offload_job& job) noexcept {
        done_.push(job);
        announce();
    }
    void collect() noexcept { done_.collect(home_); }

private:
    void bring_home() noexcept override;
    done_stack done_;
    job_list home_;
};

} // namespace eddy::detail

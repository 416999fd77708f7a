// The loop without libuv and without coroutines: ready queue, timers, scope tree, mailbox, and the drain loop that is
// the only place that resumes anything.
#pragma once

#include <eddy/engine/driver.hpp>
#include <eddy/engine/hooks.hpp>
#include <eddy/engine/mailbox.hpp>
#include <eddy/engine/pool.hpp>
#include <eddy/engine/scope.hpp>
#include <eddy/engine/task_record.hpp>
#include <eddy/engine/timer_heap.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace eddy::engine {

// Numbers of one loop. At the end of a program's tasks all but the totals are zero.
struct loop_statistics {
    std::size_t tasks = 0;
    std::size_t waiters = 0;
    std::size_t timers = 0;
    std::size_t ready = 0;
    std::size_t frames = 0; // blocks of frames and records
    std::size_t bytes = 0;  // in those blocks
    std::uint64_t resumptions = 0;
    std::uint64_t ticks = 0;
};

class loop_core {
public:
    // Ready operations in a row before a task has to give way (tokio's coop budget).
    static constexpr int await_budget = 128;
    // Direct transfers in a row before the stack is unwound through the transfer slot.
    static constexpr int hop_budget = 128;
    // Resumptions between two looks at the clock, and between two looks at I/O.
    static constexpr unsigned clock_budget = 256;
    static constexpr unsigned poll_budget = 1024;
    static constexpr std::int64_t poll_interval = 1'000'000;

    loop_core(driver& d, pool& memory, mailbox& box) noexcept;
    loop_core(const loop_core&) = delete;
    loop_core& operator=(const loop_core&) = delete;
    ~loop_core();

    // ---- waking
    void make_ready(runnable& r) noexcept { ready_->push_back(r); }

    // Starts a wait. The waiter has its kind and target; it may be linked in a wait list or not.
    void park(waiter& w) noexcept {
        w.state = wait_state::waiting;
        w.where->live.wait = &w;
        ++waits_;
        outside_ += w.kind->outside;
    }
    // Ends a wait: whoever calls this has decided its outcome. The waiter must not be linked any more.
    void grant(waiter& w, status result) noexcept {
        w.result = result;
        w.state = wait_state::ready;
        --waits_;
        outside_ -= w.kind->outside;
        ready_->push_back(w);
    }
    // An operation that completed at once, but whose task has to give way first.
    void park_granted(waiter& w) noexcept {
        w.state = wait_state::ready;
        w.where->live.wait = &w;
        ready_->push_back(w);
    }
    // The drain loop is about to resume `w`.
    static void begin_resume(waiter& w) noexcept {
        w.state = wait_state::done;
        w.where->live.wait = nullptr;
        w.where->loop->running = w.where;
    }
    // The memory of `w` goes away. True when it had been granted something that nobody has taken: undo it.
    static bool abandon(waiter& w) noexcept {
        if (w.state == wait_state::done || w.state == wait_state::idle) [[likely]]
            return false;
        return abandon_slow(w);
    }

    // ---- checkpoints
    // Every operation that could wait begins here. True: go on; false: the wait is to end as cancelled.
    bool enter(scope& s, const wait_kind& site) noexcept {
        --budget;
        if (((s.flags & scope::cancelled) != 0) | (hooks_ != nullptr)) [[unlikely]]
            return enter_slow(s, site);
        return true;
    }
    [[nodiscard]] bool budget_left() const noexcept { return budget > 0; }

    // ---- time
    [[nodiscard]] std::int64_t now() noexcept { return driver_->now(); }
    [[nodiscard]] std::int64_t cached_now() const noexcept { return now_; }
    [[nodiscard]] bool arm(timer& t, std::int64_t deadline, bool last = false) noexcept {
        if (!draining_) [[unlikely]]
            return arm_from_outside(t, deadline, last);
        return timers_.arm(t, deadline, last);
    }
    void disarm(timer& t) noexcept { timers_.disarm(t); }
    [[nodiscard]] std::int64_t deadline_of(const timer& t) const noexcept { return timers_.deadline_of(t); }

    // ---- tasks
    // Puts the record under `parent` and into the ready queue. One reference belongs to the task itself.
    void adopt(task_record& r, scope& parent, const record_kind& kind) noexcept {
        r.flags |= scope::is_task | scope::unstarted;
        r.refs = 1;
        ::new (&r.start) runnable{nullptr, nullptr, &kind};
        open_scope(r, parent);
        ++live_tasks;
        if (parent.has(scope::is_group)) ++static_cast<group_core&>(parent).live_children;
        ready_->push_back(r.start);
    }
    // The task `r` has reached its end; the drain loop does the rest.
    void finish_later(task_record& r) noexcept { continue_with(&finish_thunk, &r); }
    // What the drain loop calls next, once what it resumed has returned to it.
    void continue_with(void (*run)(void*) noexcept, void* argument) noexcept {
        after_.run = run;
        after_.argument = argument;
    }
    // Ends a task outside the drain loop: frames gone, outcome "cancelled" unless there is one.
    void finish(task_record& r) noexcept;
    // The last step of an end: the frames of `r` have gone, and everybody learns of it. `r` may go with that.
    void leave(task_record& r) noexcept {
        r.flags |= scope::finished;
        scope& parent = *r.parent;
        unlink_scope(r);
        if (r.has_more()) [[unlikely]]
            wake_joiners(r);
        const bool last = --live_tasks == 0;
        if (parent.has(scope::is_group)) [[likely]] {
            auto& g = static_cast<group_core&>(parent);
            if (--g.live_children == 0 || g.hears_all || r.has_any(scope::failed | scope::ended_cancelled)) [[unlikely]]
                g.child_ended(g, r);
        }
        release(r);
        if (last) [[unlikely]]
            tell_last_task();
    }

    // ---- running
    // Runs what is ready until nothing is, the poll budget is used up, or stop() was called. One call at a time.
    void drain() noexcept;
    // Runs one tick: what is ready now. For testing::virtual_loop.
    void tick() noexcept;
    // Drains, then waits for the next event (not at all when something is ready).
    void turn() noexcept;
    // Waits for the next event of the driver, but not longer than to the next timer.
    void poll_once(std::int64_t limit = never) noexcept;
    void stop() noexcept;
    [[nodiscard]] bool stopping() const noexcept { return stop_.load(std::memory_order_relaxed); }
    void clear_stop() noexcept { stop_.store(false, std::memory_order_relaxed); }
    [[nodiscard]] bool draining() const noexcept { return draining_; }

    // Nothing in this loop is ready, timed or wakeable from outside: what waits, waits for ever.
    [[nodiscard]] bool is_stuck() noexcept;
    // Tasks, ready work, timers or guards exist.
    [[nodiscard]] bool is_pending() const noexcept;
    // Something outside this loop is to wake one of its waiters.
    [[nodiscard]] bool waits_outside() const noexcept { return outside_ != 0; }
    [[nodiscard]] bool has_ready() const noexcept { return !ready_->empty(); }
    [[nodiscard]] bool has_timers() const noexcept { return !timers_.empty(); }
    [[nodiscard]] std::int64_t next_deadline() const noexcept {
        return timers_.empty() ? never : timers_.next_deadline();
    }

    void set_hooks(const hooks* h) noexcept;
    // nullptr: nobody. Costs nothing while nobody watches.
    void watch_steps(step_watch* w) noexcept;
    [[nodiscard]] const hooks* current_hooks() const noexcept { return hooks_ == &no_hooks ? nullptr : hooks_; }

    [[nodiscard]] loop_statistics statistics() noexcept;
    [[nodiscard]] pool& memory() noexcept { return *pool_; }
    [[nodiscard]] mailbox& box() noexcept { return *box_; }
    [[nodiscard]] driver& io() noexcept { return *driver_; }
    // Called around each drain: the faces keep thread-local state.
    void set_drain_hook(void (*f)(void* user, bool begin) noexcept, void* user) noexcept {
        around_drain_ = f;
        around_user_ = user;
    }

    // Told of scopes that are watched: cancelled, or (closing) about to leave the tree. Must not run user code.
    void (*on_watched)(loop_core&, scope&, bool closing) noexcept = nullptr;
    // Called when the last task has ended; cleared first.
    void (*on_last_task)(loop_core&) noexcept = nullptr;

    scope root;
    scope* running = nullptr;  // innermost scope of the running task; nullptr outside
    int budget = await_budget; // ready operations left to the running task
    int hops = 0;              // direct transfers since the drain loop resumed something
    std::uint64_t next_id = 1;
    std::size_t live_tasks = 0;

private:
    struct continuation {
        void (*run)(void*) noexcept = nullptr;
        void* argument = nullptr;
    };

    bool enter_slow(scope& s, const wait_kind& site) noexcept;
    static bool abandon_slow(waiter& w) noexcept;
    bool arm_from_outside(timer& t, std::int64_t deadline, bool last) noexcept;
    void run_one(runnable& r) noexcept;
    void end_task(task_record& r, scope* outside) noexcept;
    void wake_joiners(task_record& r) noexcept;
    void tell_last_task() noexcept;
    void run_tick() noexcept;
    void refresh_clock() noexcept;
    runnable* pick() noexcept;
    void run_hooked() noexcept;
    static void finish_thunk(void* record) noexcept;

    driver* driver_;
    pool* pool_;
    static const hooks no_hooks; // so that whoever only watches steps costs no test of its own
    const hooks* hooks_ = nullptr;
    step_watch* watch_ = nullptr; // hooks_ is not null while there is one
    continuation after_;
    runnable_list lists_[2];
    runnable_list* ready_ = &lists_[0];   // what the next tick runs
    runnable_list* current_ = &lists_[1]; // the tick in progress
    timer_heap timers_;
    std::int64_t now_ = 0;
    unsigned since_clock_ = 0;
    unsigned since_poll_ = 0;
    bool draining_ = false;
    std::atomic<bool> stop_{false};
    std::size_t waits_ = 0;
    std::size_t outside_ = 0;
    std::uint64_t resumptions_ = 0;
    std::uint64_t ticks_ = 0;
    mailbox* box_;
    void (*around_drain_)(void*, bool) noexcept = nullptr;
    void* around_user_ = nullptr;
};

} // namespace eddy::engine

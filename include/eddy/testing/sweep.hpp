// Sweeps: a test is run again and again, and each time something else goes wrong.
//
//     auto r = testing::cancel_sweep([] { return transfer(); });    // cancelled at its 1st await, at its 2nd, …
//     testing::fail_sweep([] { return transfer(); });               // its 1st allocation fails, its 2nd, …
//
// Errors in clean-up code hide where nobody looks: a lock that is not released when the third await is cancelled, an
// item that is lost when a get is cancelled in the tick in which it was served. A sweep goes there. Each run has a
// virtual_loop of its own, so nothing sleeps; what one run leaves behind (tasks, waiters, timers, memory) is an error
// that names the await. The runs are the same each time, so a failing one can be run alone.
#pragma once

#include <eddy/core/error.hpp>
#include <eddy/core/task.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <string>
#include <vector>

namespace eddy::testing {

// What a sweep does, and what it takes for an error. Chain the setters.
class sweep_options {
public:
    sweep_options() = default;
    // cancel_sweep: also a second cancellation, at each await after the first. Quadratic. Default: false.
    sweep_options& pairs(bool on) noexcept {
        pairs_ = on;
        return *this;
    }
    // cancel_sweep: also the end of the time of the innermost scope, at each await. Default: false.
    sweep_options& timeouts(bool on) noexcept {
        timeouts_ = on;
        return *this;
    }
    // cancel_sweep: also a cancellation of each task, and the end of the time of each scope in it, before each step of
    // the loop: while it waits, and between a grant and its delivery. Default: false.
    sweep_options& steps(bool on) noexcept {
        steps_ = on;
        return *this;
    }
    // cancel_sweep: also, at each step, each other task that is ready goes first. Default: false.
    sweep_options& orders(bool on) noexcept {
        orders_ = on;
        return *this;
    }
    // Called after each run, when nothing of it is left; what it throws makes the run fail.
    sweep_options& after(std::function<void()> f) {
        after_ = std::move(f);
        return *this;
    }
    // True: f may end with this exception too, and background tasks may. Always accepted are eddy's own errors
    // (task_cancelled, timeout_error, …) and `cancelled`; in fail_sweep std::bad_alloc.
    sweep_options& accept(std::function<bool(std::exception_ptr)> f) {
        accept_ = std::move(f);
        return *this;
    }
    // True: f may come to wait for what a cancelled task of its own would have done; it is cancelled then. Default:
    // false, for a wake-up that got lost looks just like that.
    sweep_options& deadlocks(bool allowed) noexcept {
        deadlocks_ = allowed;
        return *this;
    }
    // Only the first run, which counts, and this one: the number is in the text of sweep_failure.
    sweep_options& only(std::size_t run) noexcept {
        only_ = run;
        return *this;
    }

    [[nodiscard]] bool pairs() const noexcept { return pairs_; }
    [[nodiscard]] bool timeouts() const noexcept { return timeouts_; }
    [[nodiscard]] bool steps() const noexcept { return steps_; }
    [[nodiscard]] bool orders() const noexcept { return orders_; }
    [[nodiscard]] const std::function<void()>& after() const noexcept { return after_; }
    [[nodiscard]] const std::function<bool(std::exception_ptr)>& accept() const noexcept { return accept_; }
    [[nodiscard]] bool deadlocks() const noexcept { return deadlocks_; }
    [[nodiscard]] std::size_t only() const noexcept { return only_; }

private:
    bool pairs_ = false;
    bool timeouts_ = false;
    bool steps_ = false;
    bool orders_ = false;
    bool deadlocks_ = false;
    std::size_t only_ = 0;
    std::function<void()> after_;
    std::function<bool(std::exception_ptr)> accept_;
};

// What a sweep has covered.
class sweep_result {
public:
    sweep_result() = default;
    std::size_t runs = 0;           // with the first, undisturbed one
    std::size_t awaits = 0;         // of the first run: awaits of operations that could wait
    std::size_t steps = 0;          // of the first run: times the loop resumed something
    std::size_t allocations = 0;    // of the first run
    std::vector<std::string> sites; // kinds of waits of all runs ("queue.get"), sorted
};

// A run did not end as it should: the text says which, what was done to it, and what was wrong.
class sweep_failure : public error {
public:
    sweep_failure(std::size_t run, const std::string& text) : error(text), run_(run) {}
    // 1: the undisturbed one.
    [[nodiscard]] std::size_t run() const noexcept { return run_; }

private:
    std::size_t run_;
};

// Calls f() -> task<void> on a fresh virtual_loop and runs the task to its end, then once more for each await, in which
// the task that comes to it (f's or one that f started) is cancelled there. Tasks that f leaves behind are cancelled
// and awaited, as by run(). Throws sweep_failure when a run ends with an exception that is not accepted, comes to no
// end, waits for ever, or leaves anything behind. f must do the same each time. With testing::seed() all runs have that
// order. A thread that is to wake one of the tasks needs a keep_alive of the loop. Not inside a running loop.
sweep_result cancel_sweep(const std::function<task<void>()>& f, const sweep_options& o = {});

// The same; each allocation of f's frames, tasks and timers fails once. A program that replaces operator new can have
// its other allocations swept too: see allocation_fails().
sweep_result fail_sweep(const std::function<task<void>()>& f, const sweep_options& o = {});

// For a replaced `operator new(std::size_t)`: to be asked at each allocation; true: throw std::bad_alloc. False, and
// cheap, where no fail_sweep runs on this thread.
[[nodiscard]] bool allocation_fails() noexcept;

} // namespace eddy::testing

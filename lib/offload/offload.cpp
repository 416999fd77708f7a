#include <eddy/offload/offload.hpp>

#include "offload/helper_threads.hpp"
#include "offload/lane.hpp"

#include <unistd.h>

namespace eddy::detail {

namespace {

// libuv makes the threads of its pool at the first request, and aborts the process when it gets fewer than it wants.
void check_pool() {
    constexpr unsigned long stack_of_libuv = 8ul << 20;
    static std::atomic<pid_t> checked_in{0}; // libuv makes them anew after a fork
    if (checked_in.load(std::memory_order_relaxed) == getpid()) return;
    if (const int error = probe_threads(offload_lane::pool_size(), stack_of_libuv); error != 0)
        throw uv_error(error, "eddy: the " + std::to_string(offload_lane::pool_size()) +
                                  " threads of libuv's pool can't be made for offload()");
    checked_in.store(getpid(), std::memory_order_relaxed);
}

offload_lane* lane_of(engine::loop_core& l) noexcept {
    return static_cast<offload_lane*>(loop_state::of(l).offload.get());
}

// A simulated loop: the call is one more thing that is ready.
constexpr engine::wait_kind run_kind{.name = "offload",
                                     .outside = false,
                                     .pinned = false,
                                     .abort = nullptr,
                                     .describe = nullptr,
                                     .resume = [](engine::runnable& r) noexcept {
                                         offload_job& job = *static_cast<offload_step&>(r).job;
                                         engine::loop_core& l = *job.waits->where->loop;
                                         l.running = nullptr; // it is no task, here as on a thread
                                         run_with_locals(job);
                                         job.forget(job);
                                         l.grant(*std::exchange(job.waits, nullptr), engine::status::ok);
                                     }};

// From the drain: callbacks of the token are user code, which has no place inside cancel().
constexpr engine::wait_kind stop_kind{
    .name = "offload",
    .outside = false,
    .pinned = false,
    .abort = nullptr,
    .describe = nullptr,
    .resume = [](engine::runnable& r) noexcept { static_cast<offload_step&>(r).job->stop->request_stop(); }};

} // namespace

void run_with_locals(offload_job& job) noexcept {
    const locals_scope locals(job.locals);
    job.run(job);
}

void prepare_offload(engine::loop_core& l) {
    loop_state& s = loop_state::of(l);
    if (s.uv == nullptr || s.offload != nullptr) return;
    check_pool();
    auto lane = std::make_shared<offload_lane>(s);
    lane->add_drainer();
    s.offload = std::move(lane);
}

void submit_offload(offload_job& job, engine::waiter& w) noexcept {
    job.waits = &w;
    job.locals = captured_locals();
    engine::loop_core& l = *w.where->loop;
    if (offload_lane* lane = lane_of(l); lane != nullptr) {
        lane->push(job);
        return;
    }
    job.step.kind = &run_kind;
    l.make_ready(job.step);
}

engine::abort_result abort_offload(offload_job& job) noexcept {
    engine::loop_core& l = *job.waits->where->loop;
    if (offload_lane* lane = lane_of(l); lane != nullptr) {
        if (lane->take_back(job)) {
            job.waits = nullptr;
            return engine::abort_result::gone;
        }
    } else if (job.step.linked()) {
        job.step.unlink();
        job.waits = nullptr;
        return engine::abort_result::gone;
    }
    if (job.stop != nullptr && !job.step.linked()) {
        job.step.kind = &stop_kind;
        l.make_ready(job.step);
    }
    return engine::abort_result::cannot;
}

void withdraw_offload(offload_job& job) noexcept {
    if (job.step.linked()) job.step.unlink();
    if (job.waits == nullptr) return;
    if (offload_lane* lane = lane_of(*job.waits->where->loop); lane != nullptr) {
        if (job.stop != nullptr) job.stop->request_stop();
        lane->withdraw(job);
    }
    job.waits = nullptr;
}

} // namespace eddy::detail

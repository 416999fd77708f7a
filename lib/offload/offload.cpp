#include <eddy/offload/offload.hpp>

#include "core/uv_pool.hpp"
#include "offload/job_link.hpp"
#include "offload/lane.hpp"
#include "offload/simulated.hpp"

#include <unistd.h>

namespace eddy::detail {

namespace {

void check_pool() {
    static std::atomic<pid_t> checked_in{0}; // libuv makes them anew after a fork
    if (checked_in.load(std::memory_order_relaxed) == getpid()) return;
    check_uv_threads(uv_pool_size(), "offload()");
    checked_in.store(getpid(), std::memory_order_relaxed);
}

offload_lane* lane_of(engine::loop_core& l) noexcept {
    return static_cast<offload_lane*>(loop_state::of(l).offload.get());
}

} // namespace

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
    engine::loop_core& l = *w.where->loop;
    job.hub = &loop_state::of(l).hub;
    job.locals = captured_locals();
    if (offload_lane* lane = lane_of(l); lane != nullptr)
        lane->push(job);
    else
        simulate(job, l);
}

engine::abort_result abort_offload(offload_job& job) noexcept {
    if (offload_lane* lane = lane_of(*job.waits->where->loop); lane != nullptr) {
        if (lane->take_back(job)) {
            job.waits = nullptr;
            return engine::abort_result::gone;
        }
    } else if (take_back_simulated(job)) {
        job.waits = nullptr;
        return engine::abort_result::gone;
    }
    ask_to_stop(job, *job.waits->where);
    return engine::abort_result::cannot;
}

void withdraw_offload(offload_job& job) noexcept {
    if (job.step.linked() && !take_back_simulated(job)) job.step.unlink();
    if (job.waits == nullptr) return;
    if (offload_lane* lane = lane_of(*job.waits->where->loop); lane != nullptr) {
        if (job.stop != nullptr) job.stop->request_stop();
        refuse_calls(job);
        if (job.at != offload_job::stage::idle) lane->withdraw(job); // else it is back, and waits for its link
    }
    if (job_link* const l = job.link.load(); l != nullptr) l->orphan();
    job.waits = nullptr;
}

} // namespace eddy::detail

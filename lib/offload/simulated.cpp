#include "offload/simulated.hpp"

#include "offload/job_link.hpp"
#include "offload/worker_pool.hpp"

namespace eddy::detail {

namespace {

constexpr engine::wait_kind run_kind{.name = "offload",
                                     .outside = false,
                                     .pinned = false,
                                     .abort = nullptr,
                                     .describe = nullptr,
                                     .resume = [](engine::runnable& r) noexcept {
                                         offload_job& job = *static_cast<offload_step&>(r).job;
                                         worker_pool* const pool = job.pool;
                                         job.waits->where->loop->running = nullptr; // it is no task
                                         if (pool != nullptr && pool->is_destroyed())
                                             job.lost = loss::destroyed;
                                         else
                                             run_job(job);
                                         if (pool != nullptr) pool->end_simulated();
                                         finish_job(job);
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

void simulate(offload_job& job, engine::loop_core& l) noexcept {
    if (job.pool != nullptr) job.pool->begin_simulated();
    job.step.kind = &run_kind;
    l.make_ready(job.step);
}

bool take_back_simulated(offload_job& job) noexcept {
    if (!job.step.linked() || job.step.kind != &run_kind) return false;
    job.step.unlink();
    if (job.pool != nullptr) job.pool->end_simulated();
    return true;
}

void ask_to_stop(offload_job& job, const engine::scope& where) noexcept {
    ask_job(job, where);
    if (job.stop == nullptr || job.step.linked()) return;
    job.step.kind = &stop_kind;
    where.loop->make_ready(job.step);
}

} // namespace eddy::detail

#include <eddy/offload/offload.hpp>

#include "core/state.hpp"
#include "offload/helper_threads.hpp"
#include "offload/job_link.hpp"
#include "offload/worker_pool.hpp"

namespace eddy::detail {

namespace {

constexpr engine::wait_kind step_kind{.name = "offload_abandon",
                                      .outside = false,
                                      .pinned = false,
                                      .abort = nullptr,
                                      .describe = nullptr,
                                      .resume = [](engine::runnable& r) noexcept {
                                          abandoned_job& job = *static_cast<abandoned_step&>(r).job;
                                          const std::shared_ptr<worker_pool> pool = job.keep_pool;
                                          loop::current().detail_state().running = nullptr; // it is no task
                                          if (pool != nullptr && pool->is_destroyed()) {
                                              job.how->lose(job, loss::destroyed, nullptr);
                                          } else {
                                              run_job(job);
                                              job.how->leave(job);
                                          }
                                          if (pool != nullptr) pool->end_simulated();
                                      }};

} // namespace

void start_abandoned(abandoned_job& job, engine::loop_core& l) {
    loop_state& s = loop_state::of(l);
    job.home = s.hub;
    job.hub = &job.home;
    job.locals = captured_locals();
    worker_pool* const pool = job.pool;
    if (pool != nullptr) {
        try {
            pool->check_usable("run_abandon()");
        } catch (...) {
            job.how->lose(job, loss::closed, nullptr);
            throw;
        }
    }
    if (s.uv == nullptr) {
        if (pool != nullptr) pool->begin_simulated();
        job.step.kind = &step_kind;
        l.make_ready(job.step);
        return;
    }
    const loss lost = pool != nullptr ? pool->submit(job, worker_pool::as::usual) : run_on_helper(job);
    if (lost == loss::none) return;
    if (pool != nullptr) {
        job.how->lose(job, lost, nullptr); // the await says so
        return;
    }
    job.how->lose(job, loss::none, nullptr);
    throw uv_error(-EAGAIN, "eddy: no thread can be made for offload_abandon()");
}

void give_up_abandoned(abandoned_job& job, const engine::scope& where) noexcept {
    ask_job(job, where);
    if (job.step.linked()) {
        job.step.unlink();
        if (job.pool != nullptr) job.pool->end_simulated();
        job.how->lose(job, loss::none, nullptr);
        return;
    }
    if (job.stop != nullptr) job.stop->request_stop();
    if (job_link* const l = job.link.load(); l != nullptr) l->give_up();
    if (job.pool != nullptr && job.pool->give_up(job)) job.how->lose(job, loss::none, nullptr);
}

} // namespace eddy::detail

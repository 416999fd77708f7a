#include <eddy/offload/offload.hpp>

#include "core/state.hpp"
#include "offload/helper_threads.hpp"

namespace eddy::detail {

namespace {

void run_with_locals(abandoned_job& job) noexcept {
    const locals_scope locals(std::move(job.locals)); // the job may go while it runs
    job.run();
}

constexpr engine::wait_kind step_kind{.name = "offload_abandon",
                                      .outside = false,
                                      .pinned = false,
                                      .abort = nullptr,
                                      .describe = nullptr,
                                      .resume = [](engine::runnable& r) noexcept {
                                          loop::current().detail_state().running =
                                              nullptr; // it is no task, here as on a thread
                                          run_with_locals(*static_cast<abandoned_step&>(r).job);
                                      }};

} // namespace

void start_abandoned(abandoned_job& job, engine::loop_core& l) {
    job.locals = captured_locals();
    if (loop_state::of(l).uv == nullptr) {
        job.step.kind = &step_kind;
        l.make_ready(job.step);
        return;
    }
    job.run_job = [](helper_job& j) noexcept { run_with_locals(static_cast<abandoned_job&>(j)); };
    if (const int error = run_on_helper(job); error != 0) {
        job.drop();
        throw uv_error(error, "eddy: no thread can be made for offload_abandon()");
    }
}

void give_up_abandoned(abandoned_job& job) noexcept {
    if (job.step.linked()) {
        job.step.unlink();
        job.drop();
    } else if (job.stop != nullptr) {
        job.stop->request_stop();
    }
}

} // namespace eddy::detail

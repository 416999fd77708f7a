#include <eddy/offload/offload.hpp>

#include "core/state.hpp"
#include "offload/helper_threads.hpp"

namespace eddy::detail {

namespace {

constexpr engine::wait_kind step_kind{
    .name = "offload_abandon",
    .outside = false,
    .pinned = false,
    .abort = nullptr,
    .describe = nullptr,
    .resume = [](engine::runnable& r) noexcept { static_cast<abandoned_step&>(r).job->run(); }};

} // namespace

void start_abandoned(abandoned_job& job, engine::loop_core& l) {
    if (loop_state::of(l).uv == nullptr) {
        job.step.kind = &step_kind;
        l.make_ready(job.step);
        return;
    }
    job.run_job = [](helper_job& j) noexcept { static_cast<abandoned_job&>(j).run(); };
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

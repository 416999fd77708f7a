// What a job does on its loop's own thread: run there, where time is simulated, and be asked to stop.
#pragma once

#include <eddy/offload/job.hpp>

#include "core/state.hpp"

namespace eddy::detail {

// Runs the job at a later step of the loop, as one more thing that is ready.
void simulate(offload_job& job, engine::loop_core& l) noexcept;
// False: it has run.
bool take_back_simulated(offload_job& job) noexcept;
// On the loop: the function learns that `where`, in which its call waits, was cancelled.
void ask_to_stop(offload_job& job, const engine::scope& where) noexcept;

} // namespace eddy::detail

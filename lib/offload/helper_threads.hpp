// Threads of eddy's own, for work that may block for long or for ever. As many as are busy at a time; an idle one ends
// after a while. They are detached: a program may end while one of them is stuck. All signals are blocked in them.
#pragma once

#include <eddy/offload/job.hpp>

namespace eddy::detail {

// Any thread. Runs the job soon on a thread of its own; loss::no_thread when the system has none for it: then the job
// has not been taken.
[[nodiscard]] loss run_on_helper(thread_job& job) noexcept;

} // namespace eddy::detail

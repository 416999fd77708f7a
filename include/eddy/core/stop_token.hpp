// Cancellation for code that knows only std::stop_token.
#pragma once

#include <stop_token>

namespace eddy {

namespace this_task {
// The token of the innermost scope of the running task. Stop is requested when that scope is cancelled; the callbacks
// then run on the loop, from its ready queue. After the scope has ended the token stays as it is. Made on the first
// call (allocates). Throws no_running_loop when no task is running on this thread.
[[nodiscard]] std::stop_token stop_token();
} // namespace this_task

// The same, by its other name.
[[nodiscard]] inline std::stop_token cancel_token() { return this_task::stop_token(); }

} // namespace eddy

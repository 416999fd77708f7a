// The running task.
#pragma once

#include <eddy/core/task_handle.hpp>

#include <stop_token>

// All of these throw no_running_loop when no task is running on this thread.
namespace eddy::this_task {

[[nodiscard]] std::string name();
[[nodiscard]] std::uint64_t id();
// The next checkpoint will throw.
[[nodiscard]] bool cancel_requested();
[[nodiscard]] any_task_handle handle();

} // namespace eddy::this_task

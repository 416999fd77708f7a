// What a worker process does with a job; apart from its process, for tests.
#pragma once

#include <eddy/io/process_function.hpp>

#include "io/frame.hpp"

namespace eddy::detail {

// How a worker ends where it can tell nobody why.
enum worker_exit : int {
    worker_exit_usage = 64,
    worker_exit_bad_frame = 65,
    worker_exit_lost = 66, // the pool has gone
    worker_exit_no_memory = 67,
};

// Runs one job. `answer` becomes room for a header, then the payload of a frame of the type that is returned.
frame_type answer_job(const process_function_table& table, std::span<const std::byte> job, std::uint64_t most,
                      std::vector<std::byte>& answer);
// Greets, and answers jobs until the connection ends between two of them; ends the process when anything is wrong.
void serve_pool(int fd, std::uint64_t most);

} // namespace eddy::detail

#include <eddy/sync/queue.hpp>

#include <string>

namespace eddy::detail {

void throw_too_many_done(std::size_t unfinished, std::size_t others) {
    throw std::logic_error("eddy: queue.task_done() called more often than items were taken with get() or next(): " +
                           std::to_string(unfinished) + " unfinished, of which " + std::to_string(others) +
                           " not taken yet or in a job");
}

} // namespace eddy::detail

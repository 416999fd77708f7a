// What an exception handler is told.
#pragma once

#include <cstdint>
#include <exception>
#include <functional>
#include <source_location>
#include <string_view>

namespace eddy {

// An exception that nobody will receive, and where it came from. The views are valid during the call.
struct error_context {
    std::string_view message; // "task failed and nobody awaited it"
    std::exception_ptr exception;
    std::string_view task_name; // empty when it was no task
    std::uint64_t task_id = 0;  // 0 when it was no task
    std::source_location spawn_site;
};

// Runs on the loop's thread. An exception that leaves it is reported by the default handler, which prints one line.
using exception_handler = std::function<void(const error_context&)>;

} // namespace eddy

// The log: where eddy writes what no call can return.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

namespace eddy {

// The numbers are those of the C interface (EDDY_LOG_…). off: for set_log() only.
enum class log_level : unsigned char { off, misuse, error, warning, info, debug };

// "misuse", "error", … Static text. Any thread.
[[nodiscard]] std::string_view to_string(log_level l) noexcept;

// One message. The views are valid during the call.
struct log_record {
    log_level level = log_level::error;
    std::string_view message; // without "eddy: " before it and a newline behind it; a task dump has several lines
};

// Called on the thread where it happened, perhaps on several at once and inside of other calls of eddy. May log, but is
// best left to do nothing else with eddy. What it throws is caught; the message then goes to standard error.
using log_sink = std::function<void(const log_record&)>;

// For the whole process, any thread. Records up to `most` go to `sink`; an empty one, as there is from the start,
// writes "eddy: message" to standard error. From the start `most` is `warning`. The old sink may still be running when
// this returns; it is destroyed when it is not. Throws std::bad_alloc; std::logic_error when `most` is no level.
void set_log(log_level most, log_sink sink = nullptr);

} // namespace eddy

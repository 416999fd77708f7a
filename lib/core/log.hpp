// Writing to the log. Private to lib/.
#pragma once

#include <eddy/core/log.hpp>

namespace eddy::detail {

// Any thread. `message` as in log_record. Allocates nothing by itself.
void log(log_level l, std::string_view message) noexcept;
// As printf; cut where it is longer than a kilobyte.
void log_as(log_level l, const char* format, ...) noexcept __attribute__((format(printf, 2, 3)));

} // namespace eddy::detail

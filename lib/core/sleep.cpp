#include <eddy/core/sleep.hpp>

#include <algorithm>
#include <cstdio>

namespace eddy::detail {

std::size_t describe_sleep(std::int64_t left, char* out, std::size_t room) noexcept {
    const int n = std::snprintf(out, room, "sleep (%.3f s left)", left < 0 ? 0.0 : static_cast<double>(left) / 1e9);
    return n < 0 || room == 0 ? 0 : std::min(static_cast<std::size_t>(n), room - 1);
}

} // namespace eddy::detail

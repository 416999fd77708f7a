#include <eddy/flow/timeout.hpp>

#include <array>
#include <cstdio>

namespace eddy::detail {

std::string time_limit::text() const {
    std::array<char, 64> out{};
    const double seconds = static_cast<double>(after_.count()) / 1e9;
    if (absolute_) return "an absolute deadline";
    std::snprintf(out.data(), out.size(), "%.9g s", seconds);
    return out.data();
}

} // namespace eddy::detail

#include <eddy/sync/broadcast.hpp>

#include <string>

namespace eddy {

lagged::lagged(std::uint64_t missed)
    : error("eddy: a receiver was too slow, and has missed " + std::to_string(missed) + " items"), missed_(missed) {}

namespace detail {

void throw_no_capacity() {
    throw std::logic_error("eddy: a broadcast of capacity 0: it keeps the newest items, at least one");
}

void throw_broadcast_closed() { throw queue_closed("eddy: broadcast.send: the broadcast is closed"); }

} // namespace detail
} // namespace eddy

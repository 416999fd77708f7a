// How an operation ended. The numbers are those of the C ABI.
#pragma once

#include <cstdint>

namespace eddy::engine {

enum class status : std::int32_t {
    ok = 0,
    pending = 1,
    no_memory = -10001,
    invalid = -10002,
    cancelled = -10003,
    timed_out = -10004,
    closed = -10005,
    busy = -10007,
    state = -10008,
    broken = -10013,
    exception = -10014,
    // Inside only; the C face says `closed`.
    object_destroyed = -10901,
};

// Why a scope was cancelled.
enum class why : std::uint8_t { requested, timeout, sibling_failed, shutdown, interrupt };

} // namespace eddy::engine

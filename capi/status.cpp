// Error numbers, names and texts: one table.
#include "eddy.h"

#include <cstdint>

#include <uv.h>

#define EDDY_STATUS_MAP(X)                                                                                             \
    X(EDDY_OK, "success")                                                                                              \
    X(EDDY_PENDING, "not finished")                                                                                    \
    X(EDDY_ENOMEM, "out of memory")                                                                                    \
    X(EDDY_EINVAL, "an argument the function cannot work with")                                                        \
    X(EDDY_ECANCELED, "cancelled")                                                                                     \
    X(EDDY_ETIMEDOUT, "the deadline passed")                                                                           \
    X(EDDY_ECLOSED, "closed")                                                                                          \
    X(EDDY_EAGAIN, "would have to wait")                                                                               \
    X(EDDY_EBUSY, "already awaited, or still in use")                                                                  \
    X(EDDY_ESTATE, "not allowed in this state")                                                                        \
    X(EDDY_ENOTSUP, "not supported")                                                                                   \
    X(EDDY_ETOOBIG, "a struct sets a field that this library does not know")                                           \
    X(EDDY_EABI, "the adopted uv loop belongs to another libuv")                                                       \
    X(EDDY_EFORKED, "the loop was created before a fork")                                                              \
    X(EDDY_EBROKEN, "the barrier is broken")                                                                           \
    X(EDDY_EEXCEPTION, "an exception escaped from C++ code")                                                           \
    X(EDDY_EDEADLK, "nothing can ever finish this")

namespace {

bool is_system(int status) noexcept { return status < 0 && status > -10000; }

// libuv's own functions for these leak for numbers that it does not know.
const char* system_name(int status, bool text) noexcept {
    switch (status) {
#define EDDY_CASE(name, message)                                                                                       \
    case UV_##name:                                                                                                    \
        return text ? message : #name;
        UV_ERRNO_MAP(EDDY_CASE)
#undef EDDY_CASE
    default:
        return text ? "unknown system error" : "unknown";
    }
}

} // namespace

const char* eddy_strerror(int status) noexcept {
    switch (status) {
#define EDDY_CASE(name, message)                                                                                       \
    case name:                                                                                                         \
        return message;
        EDDY_STATUS_MAP(EDDY_CASE)
#undef EDDY_CASE
    default:
        break;
    }
    if (is_system(status)) return system_name(status, true);
    return status <= EDDY_EUSER && status > EDDY_EUSER - 10000 ? "an error of the application" : "unknown error";
}

const char* eddy_errname(int status) noexcept {
    switch (status) {
#define EDDY_CASE(name, message)                                                                                       \
    case name:                                                                                                         \
        return #name;
        EDDY_STATUS_MAP(EDDY_CASE)
#undef EDDY_CASE
    default:
        break;
    }
    if (is_system(status)) return system_name(status, false);
    return status <= EDDY_EUSER && status > EDDY_EUSER - 10000 ? "EDDY_EUSER" : "unknown";
}

#define EDDY_TEXT_(x) #x
#define EDDY_TEXT(x) EDDY_TEXT_(x)

std::uint32_t eddy_version() noexcept { return EDDY_VERSION_HEX; }
std::uint32_t eddy_abi() noexcept { return EDDY_ABI; }
const char* eddy_version_string() noexcept {
    return EDDY_TEXT(EDDY_VERSION_MAJOR) "." EDDY_TEXT(EDDY_VERSION_MINOR) "." EDDY_TEXT(EDDY_VERSION_PATCH);
}

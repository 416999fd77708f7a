#include <eddy/io/await_uv.hpp>

namespace eddy::detail {

namespace {

const char* name_of_type(int type) noexcept {
    const char* name =
        type > UV_UNKNOWN_REQ && type < UV_REQ_TYPE_MAX ? uv_req_type_name(static_cast<uv_req_type>(type)) : nullptr;
    return name == nullptr ? "unknown" : name;
}

} // namespace

std::size_t describe_uv_request(int type, char* out, std::size_t room) noexcept {
    const int n = std::snprintf(out, room, "uv request (%s)", name_of_type(type));
    return n < 0 || room == 0 ? 0 : std::min(static_cast<std::size_t>(n), room - 1);
}

void throw_uv_request(int type, int code) {
    throw uv_error(code, std::string("eddy: a libuv request (") + name_of_type(type) + ") failed");
}

} // namespace eddy::detail

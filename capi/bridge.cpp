// The compiled half of eddy/capi/bridge.hpp.
#include <eddy/capi/bridge.hpp>

#include "internal.hpp"

#include "core/state.hpp"

namespace eddy {

namespace {

// Closes the C side of a C++ loop with it.
struct c_face final : detail::loop_part {
    explicit c_face(eddy_loop* l) noexcept : c(l) {}
    void after_drain() noexcept override {}
    void close(bool) noexcept override {
        capi::close_with_loop(*c);
        eddy_unref(std::exchange(c, nullptr));
    }
    eddy_loop* c;
};

} // namespace

c_error::c_error(int status, const char* message)
    : error(message != nullptr && *message != '\0' ? message : eddy_strerror(status)), status_(status) {}

eddy_loop* c_loop(loop& l) {
    detail::loop_state& s = l.detail_state();
    if (s.c_face == nullptr) {
        detail::check_open(l, "c_loop");
        eddy_loop* const c = capi::borrow(l);
        try {
            s.c_face = std::make_shared<c_face>(c);
        } catch (...) {
            capi::close_with_loop(*c);
            eddy_unref(c);
            throw;
        }
    }
    return static_cast<c_face&>(*s.c_face).c;
}

namespace detail {

void throw_c_status(int status, const char* message) {
    const auto text = [&] { return message != nullptr && *message != '\0' ? message : eddy_strerror(status); };
    switch (status) {
    case EDDY_ENOMEM:
        throw std::bad_alloc();
    case EDDY_ECANCELED:
        throw task_cancelled(cancel_reason(cancel_kind::requested, text()));
    case EDDY_ETIMEDOUT:
        throw timeout_error(text());
    case EDDY_ECLOSED:
        throw closed(text());
    case EDDY_EBUSY:
        throw std::logic_error(std::string("eddy: ") + text());
    default:
        break;
    }
    if (status < 0 && status > -10000) throw uv_error(status, text());
    throw c_error(status, message);
}

int current_exception_to_c(std::string& message) noexcept {
    const auto say = [&message](const char* what) noexcept {
        try {
            message = what;
        } catch (...) {
            message.clear(); // no memory for it
        }
    };
    try {
        throw;
    } catch (const cancelled&) {
        return EDDY_ECANCELED;
    } catch (const std::bad_alloc&) {
        return EDDY_ENOMEM;
    } catch (const task_cancelled& e) {
        say(e.what());
        return EDDY_ECANCELED;
    } catch (const timeout_error& e) {
        say(e.what());
        return EDDY_ETIMEDOUT;
    } catch (const queue_closed& e) {
        say(e.what());
        return EDDY_ECLOSED;
    } catch (const closed& e) {
        say(e.what());
        return EDDY_ECLOSED;
    } catch (const object_destroyed& e) {
        say(e.what());
        return EDDY_ECLOSED;
    } catch (const c_error& e) {
        say(e.what());
        return e.status();
    } catch (const uv_error& e) {
        say(e.what());
        return e.code().value();
    } catch (const std::logic_error& e) {
        say(e.what());
        return EDDY_EINVAL;
    } catch (const std::exception& e) {
        say(e.what());
        return EDDY_EEXCEPTION;
    } catch (...) {
        say("an exception that is no std::exception");
        return EDDY_EEXCEPTION;
    }
}

} // namespace detail
} // namespace eddy

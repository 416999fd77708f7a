#include <eddy/core/error.hpp>
#include <eddy/core/operation.hpp>
#include <eddy/core/record.hpp>

#include <new>
#include <uv.h>

namespace eddy {

std::string_view to_string(cancel_kind k) noexcept {
    switch (k) {
    case cancel_kind::requested:
        return "requested";
    case cancel_kind::timeout:
        return "timeout";
    case cancel_kind::sibling_failed:
        return "sibling failed";
    case cancel_kind::shutdown:
        return "shutdown";
    case cancel_kind::interrupt:
        return "interrupt";
    }
    return "unknown";
}

namespace {

std::string task_cancelled_text(const cancel_reason& reason, std::string_view name) {
    std::string s = "eddy: task";
    if (!name.empty()) s.append(" '").append(name).append("'");
    s.append(" was cancelled (").append(to_string(reason.kind()));
    if (!reason.text().empty()) s.append(": ").append(reason.text());
    return s + ")";
}

class uv_error_category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "uv"; }
    [[nodiscard]] std::string message(int code) const override {
        return code < 0 ? std::string(uv_strerror(code)) : "libuv error " + std::to_string(code);
    }
    // On Unix libuv's numbers are negated errno values.
    [[nodiscard]] std::error_condition default_error_condition(int code) const noexcept override {
#if defined(_WIN32)
        return {code, *this};
#else
        return code < 0 && code > -4000 ? std::error_condition(-code, std::generic_category())
                                        : std::error_condition(code, *this);
#endif
    }
};

} // namespace

task_cancelled::task_cancelled(cancel_reason reason, std::string_view task_name)
    : error(task_cancelled_text(reason, task_name)), reason_(std::move(reason)) {}

no_running_loop::no_running_loop(std::string_view what)
    : error("eddy: " + std::string(what) + " needs a running loop on this thread, and there is none") {}

uv_error::uv_error(int code, const std::string& what) : std::system_error(code, uv_category(), what) {}

const std::error_category& uv_category() noexcept {
    static const uv_error_category category;
    return category;
}

namespace detail {

cancel_reason reason_at(const engine::scope& where) {
    const engine::scope* s = engine::cancelling_scope(where);
    if (s == nullptr) return {};
    const auto kind = static_cast<cancel_kind>(s->reason());
    if (s->has(engine::scope::is_task)) return reason_of(static_cast<const engine::task_record&>(*s));
    const auto* text = s->has(engine::scope::unstarted) ? nullptr : static_cast<const std::string*>(s->live.text);
    return text == nullptr ? cancel_reason(kind) : cancel_reason(kind, *text);
}

void throw_cancelled(const engine::scope& where) { throw cancelled(reason_at(where)); }

void throw_status(engine::status s, const engine::scope* where) {
    switch (s) {
    case engine::status::cancelled:
        if (where == nullptr) throw cancelled();
        throw_cancelled(*where);
    case engine::status::no_memory:
        throw std::bad_alloc();
    case engine::status::timed_out:
        throw timeout_error();
    case engine::status::closed:
        throw queue_closed();
    case engine::status::broken:
        throw broken_barrier();
    case engine::status::object_destroyed:
        throw object_destroyed("eddy: the object that was waited for has been destroyed");
    default:
        break;
    }
    throw std::logic_error("eddy: the result of an operation was taken before it had ended");
}

void throw_awaited_twice(const char* what) {
    throw std::logic_error(std::string("eddy: this ") + what + " operation has been awaited already");
}

} // namespace detail
} // namespace eddy

// Where exceptions go that nobody will receive.
#include "core/log.hpp"
#include "core/state.hpp"

namespace eddy::detail {

std::string describe(std::exception_ptr e) {
    if (e == nullptr) return "no exception";
    try {
        std::rethrow_exception(e);
    } catch (const std::exception& x) {
        return x.what();
    } catch (const cancelled& c) {
        return "eddy::cancelled (" + std::string(to_string(c.reason().kind())) + ")";
    } catch (...) {
        return "an exception that is no std::exception";
    }
}

namespace {

void default_handler(const error_context& c) {
    std::string line(c.message);
    if (c.task_id != 0) {
        line += " (task '";
        line.append(c.task_name);
        line += "' #" + std::to_string(c.task_id);
        if (c.spawn_site.line() != 0)
            line += std::string(", spawned at ") + c.spawn_site.file_name() + ":" + std::to_string(c.spawn_site.line());
        line += ")";
    }
    log(log_level::error, line + ": " + describe(c.exception));
}

} // namespace

void report(loop_state* l, engine::task_record* r, std::string_view message, std::exception_ptr e) noexcept {
    try {
        error_context c;
        c.message = message;
        c.exception = e;
        std::string name;
        const exception_handler* handler = l != nullptr && l->handler ? &l->handler : nullptr;
        if (r != nullptr) {
            name = name_of(*r);
            c.task_name = name;
            c.task_id = number_of(*r);
            c.spawn_site = r->spawned_at;
            if (auto* x = find_extension(*r); x != nullptr && x->handler) handler = &x->handler;
        }
        if (handler != nullptr) {
            try {
                const exception_handler mine = *handler; // it may replace itself
                mine(c);
                return;
            } catch (...) {
                error_context broken;
                broken.message = "an exception handler threw";
                broken.exception = std::current_exception();
                default_handler(broken);
            }
        }
        default_handler(c);
    } catch (...) {
        log(log_level::error, "an exception could not be reported: out of memory");
    }
}

} // namespace eddy::detail

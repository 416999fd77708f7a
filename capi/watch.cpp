// Watching what goes on: the log, unhandled errors, names, figures.
#include "embed.hpp"
#include "sync.hpp"

#include "core/state.hpp"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <sstream>

namespace engine = eddy::engine;
using eddy::capi::call_free;

namespace eddy::capi {

namespace {

struct log_sink {
    std::mutex guard;
    int level = EDDY_LOG_ERROR;
    hook<eddy_log_fn> to;
};

// Never destroyed: threads log until the process ends.
log_sink& sink() noexcept {
    alignas(log_sink) static std::byte room[sizeof(log_sink)];
    static log_sink* const s = ::new (static_cast<void*>(room)) log_sink;
    return *s;
}

} // namespace

void log(int level, const eddy_loop* l, const char* message, std::uint64_t op_id) noexcept {
    log_sink& s = sink();
    const std::lock_guard lock(s.guard);
    if (level > s.level) return;
    if (s.to.fn == nullptr) {
        std::fprintf(stderr, "eddy: %s\n", message);
        return;
    }
    eddy_log_record r{};
    r.size = sizeof r;
    r.level = level;
    r.message = message;
    r.loop_name = l == nullptr ? nullptr : l->name;
    r.op_id = op_id;
    try {
        s.to.fn(&r, s.to.user);
    } catch (...) {
        std::fprintf(stderr, "eddy: a C++ exception left a log function; the message was: %s\n", message);
    }
}

// Unique in the process, given when somebody asks.
std::uint64_t id_of(eddy_op& op) noexcept {
    static std::atomic<std::uint64_t> last{0};
    if (op.id == 0) op.id = last.fetch_add(1, std::memory_order_relaxed) + 1;
    return op.id;
}

} // namespace eddy::capi

void eddy_loop::say_unhandled(const eddy::capi::outcome& o, const char* op_name, std::uint64_t op_id) noexcept {
    try {
        std::string what = eddy_errname(o.status);
        if (*o.message.c_str() != '\0') what.append(": ").append(o.message.c_str());
        if (borrowed && over() == EDDY_OK) {
            eddy::detail::report(&eddy::detail::loop_state::of(*core), nullptr,
                                 "an operation failed and nobody looked at it",
                                 std::make_exception_ptr(eddy::error(what)));
        } else {
            std::string text = "an operation failed and nobody looked at it";
            if (*op_name != '\0') text.append(" (").append(op_name).append(")");
            eddy::capi::log(EDDY_LOG_ERROR, this, (text + ": " + what).c_str(), op_id);
        }
    } catch (...) {
        eddy::capi::log(EDDY_LOG_ERROR, this, "an operation failed and nobody looked at it", op_id);
    }
    if ((flags & EDDY_LOOP_ABORT_UNHANDLED) != 0) std::abort();
}

void eddy_loop::abort_if_misuse(int status, const char* what) const noexcept {
    if (status != EDDY_EINVAL && status != EDDY_ESTATE && status != EDDY_EBUSY) return;
    char text[256];
    const bool is_known = what != nullptr && *what != '\0';
    std::snprintf(text, sizeof text, "misuse: %s: %s", eddy_errname(status), is_known ? what : eddy_strerror(status));
    eddy::capi::log(EDDY_LOG_MISUSE, this, text, 0);
    std::abort();
}

void eddy_loop::say_exception(const char* what) noexcept {
    eddy::detail::report(over() == EDDY_OK ? &eddy::detail::loop_state::of(*core) : nullptr, nullptr, what,
                         std::current_exception());
}

void eddy_init_struct(void* s, std::size_t size) noexcept {
    if (s == nullptr || size < sizeof(std::uint32_t) || size > UINT32_MAX) return;
    std::memset(s, 0, size);
    const auto n = static_cast<std::uint32_t>(size);
    std::memcpy(s, &n, sizeof n);
}

int eddy_has(const char* feature) noexcept {
    if (feature == nullptr) return 0;
    for (const char* mine : {
             "offload",
             "pools",
#if defined(__linux__)
             "fd-only",
#endif
         })
        if (std::strcmp(feature, mine) == 0) return 1;
    return 0;
}

int eddy_set_log(int max_level, eddy_log_fn fn, void* user, eddy_free_fn drop) noexcept {
    if (max_level < EDDY_LOG_OFF || max_level > EDDY_LOG_DEBUG) {
        call_free(drop, user);
        return EDDY_EINVAL;
    }
    eddy::capi::hook<eddy_log_fn> before;
    {
        eddy::capi::log_sink& s = eddy::capi::sink();
        const std::lock_guard lock(s.guard);
        before = s.to;
        s.to = {fn, user, drop};
        s.level = max_level;
    }
    before.clear();
    return EDDY_OK;
}

int eddy_loop_on_unhandled(eddy_loop* loop, eddy_done_fn fn, void* user, eddy_free_fn drop) noexcept {
    const int status = loop == nullptr ? EDDY_EINVAL : loop->over();
    if (status != EDDY_OK) {
        call_free(drop, user);
        return status;
    }
    loop->sync();
    eddy::capi::hook<eddy_done_fn> before = loop->unhandled;
    loop->unhandled = {fn, user, drop};
    before.clear();
    return EDDY_OK;
}

int eddy_op_set_name(eddy_op* op, const char* name) noexcept {
    if (op == nullptr) return EDDY_ENOMEM;
    if (op->loop->over() == EDDY_OK) op->loop->sync();
    op->name.set(name);
    if (name != nullptr && *name != '\0' && *op->name.c_str() == '\0') return EDDY_ENOMEM;
    op->was_named();
    return EDDY_OK;
}

const char* eddy_op_name(const eddy_op* op) noexcept { return op == nullptr ? "" : op->name.c_str(); }

int eddy_op_get_info(const eddy_op* op, eddy_op_info* out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    eddy_op_info i{};
    if (op == nullptr) {
        i.status = EDDY_ENOMEM;
        i.deadline = EDDY_FOREVER;
        i.name = i.waiting_for = "";
        return eddy::capi::write_struct(out, &i, sizeof i);
    }
    auto& o = const_cast<eddy_op&>(*op); // it may be given its number
    if (o.loop->over() == EDDY_OK) o.loop->sync();
    i.kind = o.kind_number();
    i.status = o.is_done() ? o.peek() : EDDY_PENDING;
    i.id = eddy::capi::id_of(o);
    i.created = static_cast<std::uint64_t>(o.created);
    i.deadline = o.deadline_time();
    i.steps = o.steps();
    i.name = o.name.c_str();
    i.waiting_for = o.waiting_for();
    if (const eddy_op* const a = o.awaited_op(); a != nullptr)
        i.waiting_id = eddy::capi::id_of(const_cast<eddy_op&>(*a));
    return eddy::capi::write_struct(out, &i, sizeof i);
}

std::size_t eddy_loop_tasks(eddy_loop* loop, eddy_op** out, std::size_t cap) noexcept {
    if (loop == nullptr || loop->over() != EDDY_OK) return 0;
    loop->sync();
    const std::size_t n = loop->running_tasks;
    if (out == nullptr) return n;
    std::size_t left = n; // the youngest stands first in the list
    for (eddy_op* op = loop->ops; op != nullptr && left != 0; op = op->next_listed()) {
        if (!op->is_running_task() || left-- > cap) continue;
        op->retain();
        out[left] = op;
    }
    return n;
}

int eddy_loop_get_stats(const eddy_loop* loop, eddy_loop_stats* out) noexcept {
    if (loop == nullptr || out == nullptr) return EDDY_EINVAL;
    eddy_loop_stats s{};
    s.steps = loop->steps;
    s.callbacks = loop->callbacks;
    if (loop->over() == EDDY_OK) {
        const_cast<eddy_loop*>(loop)->sync();
        const eddy::loop_statistics core = loop->core->statistics();
        s.tasks = loop->running_tasks;
        s.ops = loop->op_count;
        s.ready = core.ready;
        s.timers = core.timers;
        s.offloaded = loop->at_workers;
        s.iterations = core.ticks;
        s.bytes = core.bytes;
    }
    return eddy::capi::write_struct(out, &s, sizeof s);
}

int eddy_sync_get_stats(const void* object, eddy_sync_stats* out) noexcept {
    if (object == nullptr || out == nullptr) return EDDY_EINVAL;
    const auto& o = *static_cast<const eddy::capi::object*>(object);
    if (const auto* of_loop = dynamic_cast<const eddy::capi::loop_object*>(&o); of_loop != nullptr)
        static_cast<void>(eddy::capi::enter(of_loop));
    eddy_sync_stats s{};
    try {
        return o.tell(s) ? eddy::capi::write_struct(out, &s, sizeof s) : EDDY_EINVAL;
    } catch (...) {
        return eddy::capi::current_status(EDDY_EINVAL);
    }
}

int eddy_loop_dump(eddy_loop* loop, eddy_line_fn fn, void* user) noexcept {
    if (loop == nullptr || fn == nullptr) return EDDY_EINVAL;
    if (const int s = loop->over(); s != EDDY_OK) return s;
    loop->sync();
    try {
        std::ostringstream text;
        loop->cpp->dump_tasks(text);
        const std::string all = text.str();
        for (std::size_t at = 0; at < all.size();) {
            const std::size_t end = std::min(all.find('\n', at), all.size());
            fn(all.substr(at, end - at).c_str(), user);
            at = end + 1;
        }
        return EDDY_OK;
    } catch (...) {
        return eddy::capi::current_status(EDDY_EEXCEPTION);
    }
}

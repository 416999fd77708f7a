#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/finally.hpp>
#include <eddy/flow/group_base.hpp>

#include "core/log.hpp"
#include "core/state.hpp"

#include <algorithm>
#include <cstdio>
#include <new>

namespace eddy {

clock::time_point current_deadline() noexcept {
    loop* l = loop::try_current();
    engine::scope* s = l == nullptr ? nullptr : l->detail_state().running;
    return clock::time_point(duration(s == nullptr ? engine::never : detail::effective_deadline(*s)));
}

namespace detail {

child_group::~child_group() {
    if (live_children != 0) {
        log_as(log_level::misuse, "a task group was destroyed with %u live children",
               static_cast<unsigned>(live_children));
        std::terminate();
    }
    close();
    delete static_cast<std::string*>(live.text);
}

std::size_t drain_operation::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    const auto& g = static_cast<const child_group&>(*w.where);
    const int n = g.name == nullptr ? std::snprintf(out, room, "children")
                                    : std::snprintf(out, room, "children of group '%s'", g.name);
    return std::min(static_cast<std::size_t>(std::max(n, 0)), room - 1);
}

bool child_group::cancel_with(const cancel_reason& r) noexcept {
    if (has(requested)) return false;
    auto& text = live.text;
    if (!r.text().empty() && text == nullptr) text = new (std::nothrow) std::string(r.text());
    return engine::cancel_scope_tree(*this, static_cast<engine::why>(r.kind()));
}

void child_group::discard_children() noexcept {
    first_done = nullptr;
    while (engine::scope* c = live.first_child) {
        c->flags |= abandoned; // it ends cancelled though nobody has cancelled it
        loop->finish(static_cast<engine::task_record&>(*c));
    }
}

void child_group::fail(std::exception_ptr e, engine::task_record* from) noexcept {
    if (first_error == nullptr) {
        first_error = std::move(e);
        if (!collect_only) engine::cancel_scope_tree(*this, engine::why::sibling_failed);
        return;
    }
    if (e == first_error) return; // the body awaited the child that failed
    fail_later(std::move(e), from);
}

void child_group::fail_later(std::exception_ptr e, engine::task_record* from) noexcept {
    report(&loop_state::of(*loop), from, "a task failed after its group had", e);
    try {
        later_errors.push_back(std::move(e));
    } catch (const std::bad_alloc&) {
        // It has been reported; only the list is incomplete.
    }
}

void child_group::on_child_ended(engine::group_core& g, engine::task_record& r) noexcept {
    auto& self = static_cast<child_group&>(g);
    if (self.first_done != nullptr) {
        self.first_done(self, r);
    } else if (!self.collect_only && r.has(engine::scope::failed) && !r.has(engine::scope::observed)) {
        r.flags |= engine::scope::observed;
        self.fail(slot_of(r).error, &r);
    } else if (self.needs_all && r.has(engine::scope::ended_cancelled) && !self.has(engine::scope::cancelled)) {
        self.fail(exception_of(r), &r);
    }
    if (r.has(engine::scope::ended_cancelled) && self.parent->has(engine::scope::cancelled))
        self.child_cancelled = true;
    if (self.live_children == 0 && self.drained != nullptr) {
        engine::waiter& w = *std::exchange(self.drained, nullptr);
        self.loop->grant(w, engine::status::ok);
    }
}

void report_lost(std::string_view message, std::exception_ptr e) noexcept {
    loop* l = loop::try_current();
    loop_state* s = l == nullptr ? nullptr : &l->detail_state();
    report(s, s == nullptr || s->running == nullptr ? nullptr : engine::task_of(*s->running), message, std::move(e));
}

const engine::scope& running_scope() noexcept { return *loop::current().detail_state().running; }

} // namespace detail
} // namespace eddy

// The task dump: what runs, what waits, for what, and the co_await lines that led there.
#include "core/state.hpp"

#include <algorithm>
#include <array>

namespace eddy::detail {

namespace {

// The innermost scope of a task that is no task itself.
engine::scope& innermost(engine::task_record& r) noexcept {
    engine::scope* s = &r;
    for (;;) {
        engine::scope* plain = nullptr;
        for (engine::scope* c = s->first_child(); c != nullptr; c = c->next_sibling())
            if (!c->has(engine::scope::is_task)) plain = c;
        if (plain == nullptr) return *s;
        s = plain;
    }
}

std::string waits_for(const engine::waiter& w) {
    if (w.kind->describe != nullptr) {
        std::array<char, 200> text{};
        const std::size_t n = w.kind->describe(w, text.data(), text.size());
        return {text.data(), n};
    }
    return w.kind->name;
}

void state_of(engine::task_record& r, std::ostream& out, int indent) {
    const auto pad = [&] { out << std::string(static_cast<std::size_t>(indent), ' '); };
    if (r.has(engine::scope::unstarted)) {
        out << "  not started";
    } else if (engine::waiter* w = innermost(r).wait(); w != nullptr) {
        if (w->state == engine::wait_state::ready)
            out << "  ready (was: " << waits_for(*w) << ")";
        else
            out << "  waits for " << waits_for(*w);
    } else {
        out << "  running";
    }
    if (r.has(engine::scope::cancelled)) out << "  cancelled";
    out << "\n";
    if (!r.kind().is_coroutine || r.has(engine::scope::unstarted)) return;
    const engine::waiter* leaf = innermost(r).wait();
    if (leaf == nullptr || leaf->target == nullptr) return;
    // From the leaf outwards; long recursions are cut in the middle of nowhere interesting.
    constexpr int most = 16;
    const result_slot& top = slot_of(r);
    void* frame = leaf->target;
    for (int n = 0; frame != nullptr; ++n) {
        const promise_base& p = std::coroutine_handle<promise_base>::from_address(frame).promise();
        if (n < most) {
            pad();
            out << "    at " << place_of(p.at) << "\n";
        } else if (n == most) {
            pad();
            out << "    …\n";
        }
        if (p.slot == &top) break;
        frame = p.slot->parent();
    }
}

// The innermost group with a name whose task it is.
const char* group_of(const engine::task_record& r) noexcept {
    for (const engine::scope* s = r.parent; s != nullptr && !s->has(engine::scope::is_task); s = s->parent)
        if (s->has(engine::scope::is_group))
            if (const char* name = static_cast<const engine::group_core*>(s)->name; name != nullptr) return name;
    return nullptr;
}

int depth_below(const engine::scope& s, const engine::scope& top) noexcept {
    int depth = 0;
    for (const engine::scope* at = s.parent; at != &top && at != nullptr; at = at->parent)
        if (at->has(engine::scope::is_task)) ++depth;
    return depth;
}

} // namespace

std::string place_of(const std::source_location& at) {
    std::string_view file = at.file_name();
    if (const auto slash = file.find_last_of('/'); slash != std::string_view::npos) file.remove_prefix(slash + 1);
    return std::string(file) + ":" + std::to_string(at.line());
}

const std::source_location* await_site(engine::task_record& r) noexcept {
    if (!r.kind().is_coroutine || r.has(engine::scope::unstarted)) return nullptr;
    const engine::waiter* leaf = innermost(r).wait();
    if (leaf == nullptr || leaf->target == nullptr) return nullptr;
    return &std::coroutine_handle<promise_base>::from_address(leaf->target).promise().at;
}

void dump_task(engine::task_record& r, std::ostream& out, int indent) {
    out << std::string(static_cast<std::size_t>(indent), ' ') << "#" << number_of(r) << " " << name_of(r);
    if (r.spawned_at.line() != 0) out << " (spawned at " << place_of(r.spawned_at) << ")";
    if (const char* group = group_of(r); group != nullptr) out << "  in group '" << group << "'";
    state_of(r, out, indent);
}

void dump(engine::loop_core& l, std::ostream& out) {
    const engine::loop_statistics s = l.statistics();
    out << "tasks: " << s.tasks << ", ready: " << s.ready << ", timers: " << s.timers << "\n";
    for (engine::scope* at = engine::next_in_tree(l.root, l.root, true); at != nullptr;
         at = engine::next_in_tree(*at, l.root, true))
        if (at->has(engine::scope::is_task))
            dump_task(static_cast<engine::task_record&>(*at), out, 2 + 2 * depth_below(*at, l.root));
}

} // namespace eddy::detail

#include <eddy/engine/loop_core.hpp>
#include <eddy/engine/scope.hpp>

namespace eddy::engine {

namespace {

// Asks the wait to let go. The hook is called once, however many scopes above are cancelled.
void abort_wait(waiter& w) noexcept {
    if (w.state != wait_state::waiting) return;
    w.state = wait_state::aborting;
    abort_result r = abort_result::gone;
    if (w.kind->abort != nullptr)
        r = w.kind->abort(w);
    else if (w.linked())
        w.unlink();
    if (r == abort_result::gone) w.where->loop->grant(w, status::cancelled);
}

// True when what is below has to be walked too.
bool mark(scope& s, bool by_request) noexcept {
    if (s.has(scope::once)) {
        s.flags |= scope::requested;
        if (waiter* w = s.wait(); w != nullptr && w->state == wait_state::waiting)
            abort_wait(*w);
        else if (waiter* busy = s.wait(); busy == nullptr || busy->state == wait_state::ready)
            s.flags |= scope::interrupt;
        return true;
    }
    if (s.has(scope::cancelled) && !by_request) return false; // so is all below it
    const bool already = s.has(scope::cancelled);
    s.flags |= scope::cancelled;
    if (s.has(scope::watched)) tell_watcher(s, false);
    if (waiter* w = s.wait(); w != nullptr) abort_wait(*w);
    return !already;
}

} // namespace

void tell_watcher(scope& s, bool closing) noexcept {
    if (s.loop->on_watched != nullptr) s.loop->on_watched(*s.loop, s, closing);
}

scope* next_in_tree(const scope& s, const scope& top, bool into_children) noexcept {
    if (into_children)
        if (scope* c = s.first_child(); c != nullptr) return c;
    for (const scope* at = &s; at != &top; at = at->parent)
        if (scope* n = at->next_sibling(); n != nullptr) return n;
    return nullptr;
}

bool cancel_scope_tree(scope& s, why reason) noexcept {
    if (s.has(scope::finished)) return false;
    if (s.has(scope::requested) && !s.has(scope::once)) return false;
    if (!s.has(scope::requested))
        s.flags |= scope::requested | (static_cast<std::uint32_t>(reason) << scope::why_shift);
    // Nothing below runs user code, so the tree stays as it is.
    bool into = mark(s, true);
    for (scope* at = next_in_tree(s, s, into); at != nullptr; at = next_in_tree(*at, s, into))
        into = !at->has(scope::shielded) && mark(*at, false);
    return true;
}

const scope* cancelling_scope(const scope& s) noexcept {
    const scope* found = nullptr;
    for (const scope* at = &s; at != nullptr; at = at->parent) {
        if (at->has(scope::requested)) found = at;
        if (at->has(scope::shielded)) break;
    }
    return found;
}

task_record* task_of(scope& s) noexcept {
    for (scope* at = &s; at != nullptr; at = at->parent)
        if (at->has(scope::is_task)) return static_cast<task_record*>(at);
    return nullptr;
}

void add_joiner(task_record& r, runnable& j) noexcept {
    if (runnable* const first = r.joiners(); first == nullptr) {
        j.next = j.prev = &j;
        r.set_joiners(&j);
    } else {
        runnable_list::insert_before(*first, j);
    }
}

void remove_joiner(task_record& r, runnable& j) noexcept {
    if (j.next == &j) {
        j.next = j.prev = nullptr;
        r.set_joiners(nullptr);
        return;
    }
    if (r.joiners() == &j) r.set_joiners(j.next);
    j.unlink();
}

} // namespace eddy::engine

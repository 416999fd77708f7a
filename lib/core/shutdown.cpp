// The end of a loop: cancel, join, and after a while tell about what does not end and destroy it.
#include "core/log.hpp"
#include "core/state.hpp"

#include <sstream>

namespace eddy::detail {

namespace {

bool has_task_below(engine::scope& top) noexcept {
    for (engine::scope* s = engine::next_in_tree(top, top, true); s != nullptr; s = engine::next_in_tree(*s, top, true))
        if (s->has(engine::scope::is_task)) return true;
    return false;
}

// The frame of a task whose wait can't be let go (a running offloaded call) has to stay.
bool is_pinned(engine::task_record& r) noexcept {
    for (engine::scope* s = &r; s != nullptr; s = engine::next_in_tree(*s, r, true))
        if (engine::waiter* w = s->wait();
            w != nullptr && w->kind->pinned &&
            (w->state == engine::wait_state::waiting || w->state == engine::wait_state::aborting))
            return true;
    return false;
}

// The first innermost task under `top` that can be destroyed, or null.
engine::task_record* next_victim(engine::scope& top) noexcept {
    for (engine::scope* s = engine::next_in_tree(top, top, true); s != nullptr;
         s = engine::next_in_tree(*s, top, true)) {
        if (!s->has(engine::scope::is_task) || has_task_below(*s)) continue;
        auto& r = static_cast<engine::task_record&>(*s);
        if (!is_pinned(r)) return &r;
    }
    return nullptr;
}

void tell_leftover(engine::task_record& r, const char* what) noexcept {
    try {
        std::ostringstream text;
        text << what << "\n";
        dump_task(r, text, 2);
        std::string message = text.str();
        message.pop_back(); // the last newline
        log(log_level::error, message);
    } catch (...) {
        log(log_level::error, "a task did not end at shutdown");
    }
}

// Destroys a task's frames from the drain loop: their destructors may spawn and ask for the running task and loop.
struct destroyer : engine::runnable {
    engine::task_record* victim;
    explicit destroyer(engine::task_record& r) noexcept : victim(&r) { kind = &kind_of; }
    static void run(engine::runnable& n) noexcept {
        engine::task_record& r = *static_cast<destroyer&>(n).victim;
        // What ran before us may have ended it, or given it something to wait for.
        if (r.has(engine::scope::finished) || has_task_below(r) || is_pinned(r)) return;
        r.loop->running = &r;
        r.flags |= engine::scope::abandoned;
        r.loop->finish(r);
    }
    static constexpr engine::wait_kind kind_of{
        .name = "destroy", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &run};
};

void destroy(loop_state& l, engine::task_record& r) noexcept {
    engine::retain(r);
    destroyer d(r);
    l.make_ready(d);
    while (d.linked())
        l.drain();
    engine::release(r);
}

void destroy_leftovers(loop_state& l) noexcept {
    while (engine::task_record* r = next_victim(l.root)) {
        tell_leftover(*r, "a task did not end after it was cancelled, and is destroyed where it waits:");
        destroy(l, *r);
    }
}

} // namespace

void destroy_innermost(loop_state& l, engine::task_record& top) noexcept {
    engine::task_record* r = next_victim(top);
    destroy(l, r != nullptr ? *r : top);
}

void shut_down(loop_state& l, duration limit) {
    if (l.hub->born_in != fork_generation()) return; // its tasks are the parent's
    engine::cancel_scope_tree(l.root, engine::why::shutdown);
    l.clear_stop();
    std::int64_t deadline = saturating_add(l.now(), limit);
    for (;;) {
        l.drain();
        l.clear_stop();
        if (l.live_tasks == 0) break;
        if (l.is_stuck() || l.now() >= deadline) {
            destroy_leftovers(l);
            if (l.live_tasks == 0) continue;
            // What is left waits for code that runs elsewhere: say so, and go on waiting.
            for (engine::scope* s = engine::next_in_tree(l.root, l.root, true); s != nullptr;
                 s = engine::next_in_tree(*s, l.root, true))
                if (s->has(engine::scope::is_task))
                    tell_leftover(static_cast<engine::task_record&>(*s),
                                  "still waiting at shutdown for a task that can't be interrupted:");
            deadline = saturating_add(l.now(), limit);
        }
        l.poll_once(deadline);
    }
}

} // namespace eddy::detail

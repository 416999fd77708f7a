#include <eddy/core/error.hpp>
#include <eddy/core/stop_token.hpp>

#include "core/state.hpp"

namespace eddy {

namespace {

void run_stop(engine::runnable& r) noexcept {
    // The callbacks may close the scope, and so drop the entry.
    std::stop_source source = static_cast<detail::stop_entry&>(r).source;
    loop::current().detail_state().running = nullptr; // they are no part of the task that ran before
    source.request_stop();
}

constexpr engine::wait_kind stop_kind{
    .name = "stop", .outside = false, .pinned = false, .abort = nullptr, .describe = nullptr, .resume = &run_stop};

void on_watched(engine::loop_core& core, engine::scope& s, bool closing) noexcept {
    auto& l = detail::loop_state::of(core);
    const auto found = l.stop_sources.find(&s);
    if (found == l.stop_sources.end()) return;
    detail::stop_entry& e = *found->second;
    if (closing) {
        // Cancelled and left in the same tick: the token must still hear of it.
        if (e.linked()) {
            e.unlink();
            e.source.request_stop();
        }
        l.stop_sources.erase(found);
    } else if (!e.linked()) {
        l.make_ready(e);
    }
}

} // namespace

std::stop_token this_task::stop_token() {
    loop* running = loop::try_current();
    engine::scope* s = running == nullptr ? nullptr : running->detail_state().running;
    if (s == nullptr || engine::task_of(*s) == nullptr) detail::throw_no_loop("this_task::stop_token()");
    detail::loop_state& l = running->detail_state();
    l.on_watched = &on_watched;
    auto& e = l.stop_sources[s];
    if (e == nullptr) {
        e = std::make_unique<detail::stop_entry>();
        e->kind = &stop_kind;
        s->flags |= engine::scope::watched;
        if (s->has(engine::scope::cancelled)) e->source.request_stop();
    }
    return e->source.get_token();
}

} // namespace eddy

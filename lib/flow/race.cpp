#include <eddy/flow/race.hpp>

namespace eddy::detail {

void race_group::on_first_done(child_group& g, engine::task_record& r) noexcept {
    auto& self = static_cast<race_group&>(g);
    // Cancelled from outside: nobody has won.
    if (self.winner.valid() || (r.has(engine::scope::ended_cancelled) && self.has(engine::scope::cancelled))) {
        if (r.has(engine::scope::failed) && self.winner.valid() && !r.has(engine::scope::observed)) {
            // A loser's failure is nobody's: as with the later failures of a group, it is reported.
            r.flags |= engine::scope::observed;
            self.fail_later(slot_of(r).error, &r);
        }
        return;
    }
    if (self.only_success && slot_of(r).st != engine::status::ok) {
        ++self.failures;
        // While cancelled from outside a failure is one of clean-up: nobody's, unless all fail.
        if (!self.has(engine::scope::cancelled)) r.flags |= engine::scope::observed;
        return;
    }
    self.winner = any_task_handle(r);
    engine::cancel_scope_tree(self, engine::why::sibling_failed);
    self.end_losers();
}

void race_group::end_losers() noexcept {
    // What was granted in this tick and not taken is undone by destroying its frame: nothing is lost with a loser. Only
    // where the operation itself waits: coroutines inside it (timeout(d, task), finally, groups) end by themselves.
    for (bool again = true; again;) {
        again = false;
        for (const any_task_handle& h : undoable) {
            engine::task_record* const loser = h.detail_record();
            engine::scope* s = loser;
            while (s->first_child() != nullptr && !s->has(engine::scope::is_group))
                s = s->first_child();
            const engine::waiter* w = s->wait();
            if (s->has(engine::scope::is_group) || w == nullptr || w->state != engine::wait_state::ready) continue;
            if (w->target != slot_of(*loser).child) continue;
            loser->flags |= engine::scope::abandoned;
            loser->loop->finish(*loser); // calls on_first_done; what is undone may be granted to another loser
            again = true;
        }
    }
}

} // namespace eddy::detail

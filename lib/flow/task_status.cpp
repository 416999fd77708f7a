#include <eddy/flow/task_status.hpp>

#include <algorithm>
#include <cstdio>

namespace eddy::detail {

void throw_started_twice() { throw std::logic_error("eddy: task_status::started() was called a second time"); }

void start_waiter::give() noexcept {
    given = true;
    if (listener.linked()) engine::remove_joiner(*child.detail_record(), listener);
    if (state == engine::wait_state::waiting) where->loop->grant(*this, engine::status::ok);
}

void start_waiter::leave() noexcept {
    if (listener.linked()) engine::remove_joiner(*child.detail_record(), listener);
    if (asker.linked()) asker.unlink();
    // A failure that start() was to throw, and did not: whoever gives the record up last reports it.
    if (state == engine::wait_state::ready && result == engine::status::exception)
        child.detail_record()->flags &= ~std::uint32_t{engine::scope::observed};
}

void start_waiter::on_end(engine::end_listener& l, engine::task_record& r) noexcept {
    start_waiter& self = *static_cast<end_of_child&>(l).owner;
    if (self.asker.linked()) self.asker.unlink();
    engine::status st = engine::status::exception; // also when it returned without a word
    if (r.has(engine::scope::failed))
        r.flags |= engine::scope::observed; // ours, not the group's
    else if (self.giving_up)
        st = engine::status::cancelled;
    self.where->loop->grant(self, st);
}

void start_waiter::throw_child_error() {
    engine::task_record& r = *child.detail_record();
    if (std::exception_ptr e = exception_of(r); e != nullptr) std::rethrow_exception(e);
    throw std::logic_error("eddy: task '" + name_of(r) + "' ended without having called task_status::started()");
}

engine::abort_result start_waiter::abort_it(engine::waiter& w) noexcept {
    auto& self = static_cast<start_waiter&>(w);
    self.giving_up = true;
    self.where->loop->make_ready(self.asker);
    return engine::abort_result::later; // when the child has ended
}

void start_waiter::ask_child(engine::runnable& r) noexcept {
    start_waiter& self = *static_cast<cancel_child&>(r).owner;
    const engine::scope* by = engine::cancelling_scope(*self.where);
    engine::cancel_scope_tree(*self.child.detail_record(), by == nullptr ? engine::why::requested : by->reason());
}

std::size_t start_waiter::describe_it(const engine::waiter& w, char* out, std::size_t room) noexcept {
    const auto& self = static_cast<const start_waiter&>(w);
    const int n = std::snprintf(out, room, "start of task %llu '%s'", static_cast<unsigned long long>(self.child.id()),
                                self.child.name().c_str());
    return n < 0 ? 0 : std::min(static_cast<std::size_t>(n), room == 0 ? 0 : room - 1);
}

} // namespace eddy::detail

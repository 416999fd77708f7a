#include <eddy/core/this_task.hpp>

#include "core/state.hpp"

namespace eddy {

namespace this_task {

namespace {
engine::task_record& current(const char* what) {
    loop* l = loop::try_current();
    engine::scope* s = l == nullptr ? nullptr : l->detail_state().running;
    engine::task_record* r = s == nullptr ? nullptr : engine::task_of(*s);
    if (r == nullptr) detail::throw_no_loop(what);
    return *r;
}
} // namespace

std::string name() { return detail::name_of(current("this_task::name()")); }
std::uint64_t id() { return detail::number_of(current("this_task::id()")); }
bool cancel_requested() {
    static_cast<void>(current("this_task::cancel_requested()"));
    return loop::current().detail_state().running->has(engine::scope::cancelled);
}
any_task_handle handle() { return any_task_handle(current("this_task::handle()")); }

} // namespace this_task

} // namespace eddy

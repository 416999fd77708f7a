#include <eddy/sync/event.hpp>

namespace eddy {

event::~event() { detail::detach_waiters("an event", {&waiters_}); }

void event::set() {
    waiters_.check_loop("event.set");
    set_ = true;
    waiters_.finish_all(engine::status::ok);
}

event_statistics event::statistics() const noexcept {
    event_statistics s;
    s.is_set = set_;
    s.waiters = waiters_.size();
    return s;
}

} // namespace eddy

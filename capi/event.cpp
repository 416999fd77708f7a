#include "leaf.hpp"

#include "sync.hpp"

using eddy::capi::enter;

namespace {
using wait_op = eddy::capi::leaf_op<eddy::detail::event_wait_operation, eddy::capi::take_nothing>;
}

void eddy_event::handle(unsigned requests) noexcept {
    // Another loop that runs here would make it throw: sync() has seen to it.
    if ((requests & request::set) != 0 && loop->over() == EDDY_OK)
        static_cast<void>(eddy::capi::call(*this, EDDY_ESTATE, [this] { flag.set(); }));
    if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
}

bool eddy_event::tell(eddy_sync_stats& to) const {
    const eddy::event_statistics s = flag.statistics();
    to.flags = s.is_set ? EDDY_SYNC_SET : 0;
    to.waiting = s.waiters;
    return true;
}

int eddy_event_new(eddy_loop* loop, eddy_event** out) noexcept { return eddy::capi::make_object(loop, out); }

eddy_op* eddy_event_wait(eddy_event* event) noexcept {
    return event == nullptr ? nullptr : eddy::capi::start_at<wait_op>(event, {}, event->flag);
}

void eddy_event_set(eddy_event* event) noexcept {
    if (event != nullptr) event->ask(eddy_event::request::set);
}

void eddy_event_clear(eddy_event* event) noexcept {
    if (enter(event) == EDDY_OK) event->flag.clear();
}

int eddy_event_is_set(const eddy_event* event) noexcept {
    if (event == nullptr) return 0;
    static_cast<void>(enter(event));
    return event->flag.is_set() ? 1 : 0;
}

#include "leaf.hpp"

#include "sync.hpp"

using eddy::capi::failed_op;

namespace {
using wait_op = eddy::capi::leaf_op<eddy::detail::event_wait_operation, eddy::capi::take_nothing>;
}

void eddy_event::handle(unsigned requests) noexcept {
    if ((requests & request::set) != 0 && loop->over() == EDDY_OK) {
        try {
            flag.set();
        } catch (...) {
            static_cast<void>(eddy::capi::current_status(EDDY_ESTATE)); // another loop runs here: sync() has seen to it
        }
        loop->touched();
    }
    if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
}

int eddy_event_new(eddy_loop* loop, eddy_event** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (loop == nullptr) return EDDY_EINVAL;
    if (const int s = loop->over(); s != EDDY_OK) return s;
    loop->sync();
    *out = eddy::capi::make<eddy_event>(*loop);
    return *out == nullptr ? EDDY_ENOMEM : EDDY_OK;
}

eddy_op* eddy_event_wait(eddy_event* event) noexcept {
    if (event == nullptr) return nullptr;
    if (const int s = event->loop->over(); s != EDDY_OK) return failed_op(*event->loop, s);
    event->loop->sync();
    return wait_op::start(*event->loop, {}, event->flag);
}

void eddy_event_set(eddy_event* event) noexcept {
    if (event != nullptr) event->ask(eddy_event::request::set);
}

void eddy_event_clear(eddy_event* event) noexcept {
    if (event == nullptr || event->loop->over() != EDDY_OK) return;
    event->loop->sync();
    event->flag.clear();
}

int eddy_event_is_set(const eddy_event* event) noexcept {
    if (event == nullptr) return 0;
    if (event->loop->over() == EDDY_OK) event->loop->sync();
    return event->flag.is_set() ? 1 : 0;
}

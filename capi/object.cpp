// eddy_ref and eddy_unref, and how other threads reach an object.
#include "object.hpp"

#include "internal.hpp"

#include <cstdio>

namespace eddy::capi {

loop_object::loop_object(eddy_loop& l) noexcept : loop(&l) {
    l.pin();
    l.keep_shell();
    // The bits before anything else: afterwards another thread may post the node again.
    deliver = [](engine::mail& m) noexcept { static_cast<loop_object&>(m).handle_pending(); };
    discard = deliver;
}

loop_object::~loop_object() { loop->drop_shell(); }

void loop_object::handle_pending() noexcept { handle(requests_.exchange(0, std::memory_order_acq_rel)); }

void loop_object::ask(request r) noexcept {
    eddy_loop& l = *loop;
    if (requests_.fetch_or(r, std::memory_order_acq_rel) != 0) return; // whoever handles the first finds this one too
    if (l.is_here() || !l.box.post(*this)) handle_pending();
}

void loop_object::unpin() noexcept {
    if (pinned_.exchange(false, std::memory_order_relaxed)) loop->unpin();
}

void loop_object::last_released() noexcept {
    eddy_loop& l = *loop;
    const bool pinned = pinned_.exchange(false, std::memory_order_relaxed);
    ask(finalise);
    // Only now: should this have been the last pin, closing the loop finds the request. A loop without this pin may be
    // gone already.
    if (pinned) l.unpin();
}

void call_free(eddy_free_fn f, void* p) noexcept {
    if (f == nullptr) return;
    try {
        f(p);
    } catch (...) {
        std::fputs("eddy: a C++ exception left a function that frees; it is lost\n", stderr);
    }
}

} // namespace eddy::capi

void* eddy_ref(void* object) noexcept {
    if (object != nullptr) static_cast<eddy::capi::object*>(object)->retain();
    return object;
}

void eddy_unref(void* object) noexcept {
    if (object != nullptr) static_cast<eddy::capi::object*>(object)->release();
}

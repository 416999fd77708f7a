// eddy_ref and eddy_unref, and how other threads reach an object.
#include "object.hpp"

#include "internal.hpp"

#include <eddy/engine/pool.hpp>

#include <cstdio>

namespace eddy::capi {

loop_object::loop_object(eddy_loop& l, made where) noexcept : loop(&l) {
    // The bits before anything else: afterwards another thread may post the node again.
    deliver = [](engine::mail& m) noexcept { static_cast<loop_object&>(m).handle_pending(); };
    discard = deliver;
    if (where == made::on_the_loop && !l.over()) {
        ++l.own_shells;
        if (l.calling && l.young_count < l.young.size()) {
            young_place_ = static_cast<unsigned char>(l.young_count);
            l.young[l.young_count++] = this;
            return;
        }
    } else {
        l.keep_shell();
    }
    pinned_.store(true, std::memory_order_relaxed);
    l.pin();
}

loop_object::~loop_object() {
    if (young_place_ != not_young) loop->young[young_place_] = nullptr;
    unpin();
    if (loop->over())
        loop->drop_shell();
    else
        --loop->own_shells;
}

void loop_object::handle_pending() noexcept {
    const unsigned r = requests_.exchange(0, std::memory_order_acq_rel);
    if ((r & ~unsigned{finalise}) != 0) handle(r & ~unsigned{finalise});
    if ((r & finalise) != 0) finalise_now();
}

void loop_object::ask(request r) noexcept {
    eddy_loop& l = *loop;
    // Without the bits, which are for the node, unless it has been posted: then all of it comes in that order.
    if (l.is_here() && requests_.load(std::memory_order_acquire) == 0) {
        if (r == finalise)
            finalise_now();
        else
            handle(r);
        return;
    }
    if (requests_.fetch_or(r, std::memory_order_acq_rel) != 0) return; // whoever handles the first finds this one too
    if (!l.box.post(*this)) handle_pending();
}

// A list instead of recursion: what goes may hold the last reference to the next (a race of races).
void loop_object::finalise_now() noexcept {
    static thread_local engine::mail* going EDDY_DETAIL_TLS = nullptr;
    static thread_local bool active EDDY_DETAIL_TLS = false;
    next = going;
    going = this;
    if (active) return;
    active = true;
    while (going != nullptr) {
        auto& o = static_cast<loop_object&>(*going);
        going = o.next;
        o.handle(finalise);
    }
    active = false;
}

void loop_object::pin_young() noexcept {
    young_place_ = not_young;
    pinned_.store(true, std::memory_order_relaxed);
    loop->pin();
}

void loop_object::unpin() noexcept {
    if (young_place_ != not_young) {
        loop->young[young_place_] = nullptr;
        young_place_ = not_young;
    }
    if (pinned_.load(std::memory_order_relaxed) && pinned_.exchange(false, std::memory_order_relaxed)) loop->unpin();
}

void loop_object::last_released() noexcept {
    eddy_loop& l = *loop;
    const bool pinned = pinned_.load(std::memory_order_relaxed) && pinned_.exchange(false, std::memory_order_relaxed);
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

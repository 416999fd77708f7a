#include "leaf.hpp"

#include "sync.hpp"

using eddy::capi::call;
using eddy::capi::enter;

namespace {

using lock_operation = eddy::detail::lock_operation;

struct take_lock {
    static constexpr std::uint32_t kind = EDDY_KIND_SYNC;
    eddy_mutex* mutex;
    void operator()(eddy_op&, lock_operation& leaf) const noexcept {
        eddy::mutex::guard g = leaf.take();
        if (g.owns_lock()) mutex->held = std::move(g); // else the mutex is gone
    }
    void failed(eddy_op&, lock_operation&) const noexcept {}
};

using lock_op = eddy::capi::leaf_op<lock_operation, take_lock>;

} // namespace

int eddy::capi::current_status(int misuse) noexcept {
    outcome o;
    set_current_exception(o);
    return o.status == EDDY_EINVAL ? misuse : o.status;
}

void eddy_mutex::handle(unsigned requests) noexcept {
    if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
}

bool eddy_mutex::tell(eddy_sync_stats& to) const {
    to.flags = lock.locked() ? EDDY_SYNC_LOCKED : 0;
    to.waiting = lock.waiters();
    return true;
}

int eddy_mutex_new(eddy_loop* loop, eddy_mutex** out) noexcept { return eddy::capi::make_object(loop, out); }

eddy_op* eddy_mutex_lock(eddy_mutex* mutex) noexcept {
    if (mutex == nullptr) return nullptr;
    return eddy::capi::start_at<lock_op>(mutex, {mutex}, mutex->lock);
}

int eddy_mutex_try_lock(eddy_mutex* mutex) noexcept { return eddy::capi::try_hold(mutex); }

int eddy_mutex_unlock(eddy_mutex* mutex) noexcept {
    if (const int s = enter(mutex); s != EDDY_OK) return s;
    if (!mutex->held.owns_lock()) return mutex->loop->misused(EDDY_ESTATE, "eddy_mutex_unlock: it is not locked");
    mutex->held = eddy::mutex::guard(); // to who waits longest
    mutex->loop->touched();
    return EDDY_OK;
}

#include "leaf.hpp"

#include "sync.hpp"

using eddy::capi::failed_op;

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

int eddy_mutex_new(eddy_loop* loop, eddy_mutex** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (loop == nullptr) return EDDY_EINVAL;
    if (const int s = loop->over(); s != EDDY_OK) return s;
    loop->sync();
    *out = eddy::capi::make<eddy_mutex>(*loop);
    return *out == nullptr ? EDDY_ENOMEM : EDDY_OK;
}

eddy_op* eddy_mutex_lock(eddy_mutex* mutex) noexcept {
    if (mutex == nullptr) return nullptr;
    if (const int s = mutex->loop->over(); s != EDDY_OK) return failed_op(*mutex->loop, s);
    mutex->loop->sync();
    return lock_op::start(*mutex->loop, {mutex}, mutex->lock);
}

int eddy_mutex_try_lock(eddy_mutex* mutex) noexcept {
    if (mutex == nullptr) return EDDY_EINVAL;
    if (const int s = mutex->loop->over(); s != EDDY_OK) return s;
    mutex->loop->sync();
    try {
        auto g = mutex->lock.try_lock();
        if (!g) return EDDY_EAGAIN;
        mutex->held = std::move(*g);
        return EDDY_OK;
    } catch (...) {
        return eddy::capi::current_status(EDDY_ESTATE); // another loop runs here
    }
}

int eddy_mutex_unlock(eddy_mutex* mutex) noexcept {
    if (mutex == nullptr) return EDDY_EINVAL;
    if (const int s = mutex->loop->over(); s != EDDY_OK) return s;
    mutex->loop->sync();
    if (!mutex->held.owns_lock()) return EDDY_ESTATE;
    mutex->held = eddy::mutex::guard(); // to who waits longest
    mutex->loop->touched();
    return EDDY_OK;
}

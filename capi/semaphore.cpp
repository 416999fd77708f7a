#include "leaf.hpp"

#include "sync.hpp"

using eddy::capi::failed_op;

namespace {

using acquire_operation = eddy::detail::acquire_operation;
constexpr std::uint64_t most = PTRDIFF_MAX;

struct take_permits : eddy::capi::take_nothing {
    void operator()(eddy_op&, acquire_operation& leaf) const noexcept {
        auto p = leaf.take();
        if (p.count() == 0) return; // none were asked for, or the semaphore is gone
        try {
            p.forget(); // eddy_sem_release brings them back
        } catch (...) {
            static_cast<void>(
                eddy::capi::current_status(EDDY_ESTATE)); // a permit that holds something can be forgotten
        }
    }
};

using acquire_op = eddy::capi::leaf_op<acquire_operation, take_permits>;

// What is wrong before anything is tried.
int refusal(const eddy_sem* sem, std::uint64_t n) noexcept {
    if (sem == nullptr || n > most) return EDDY_EINVAL;
    return sem->loop->over();
}

} // namespace

void eddy_sem::handle(unsigned requests) noexcept {
    if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
}

int eddy_sem_new(eddy_loop* loop, std::uint64_t permits, eddy_sem** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    if (loop == nullptr || permits > most) return EDDY_EINVAL;
    if (const int s = loop->over(); s != EDDY_OK) return s;
    loop->sync();
    *out = eddy::capi::make<eddy_sem>(*loop, static_cast<std::ptrdiff_t>(permits));
    return *out == nullptr ? EDDY_ENOMEM : EDDY_OK;
}

eddy_op* eddy_sem_acquire(eddy_sem* sem, std::uint64_t n) noexcept {
    if (sem == nullptr) return nullptr;
    if (const int s = refusal(sem, n); s != EDDY_OK) return failed_op(*sem->loop, s);
    sem->loop->sync();
    return acquire_op::start(*sem->loop, {}, sem->permits, static_cast<std::ptrdiff_t>(n));
}

int eddy_sem_try_acquire(eddy_sem* sem, std::uint64_t n) noexcept {
    if (const int s = refusal(sem, n); s != EDDY_OK) return s;
    sem->loop->sync();
    try {
        auto p = sem->permits.try_acquire(static_cast<std::ptrdiff_t>(n));
        if (!p) return EDDY_EAGAIN;
        if (p->count() != 0) p->forget();
        return EDDY_OK;
    } catch (...) {
        return eddy::capi::current_status(EDDY_ESTATE); // another loop runs here
    }
}

int eddy_sem_release(eddy_sem* sem, std::uint64_t n) noexcept {
    if (const int s = refusal(sem, n); s != EDDY_OK) return s;
    sem->loop->sync();
    try {
        sem->permits.release(static_cast<std::ptrdiff_t>(n));
    } catch (...) {
        return eddy::capi::current_status(EDDY_EINVAL); // the count would overflow
    }
    sem->loop->touched();
    return EDDY_OK;
}

int eddy_sem_resize(eddy_sem* sem, std::uint64_t permits) noexcept {
    if (const int s = refusal(sem, permits); s != EDDY_OK) return s;
    sem->loop->sync();
    try {
        sem->permits.resize(static_cast<std::ptrdiff_t>(permits));
    } catch (...) {
        return eddy::capi::current_status(EDDY_EINVAL);
    }
    sem->loop->touched();
    return EDDY_OK;
}

#include "leaf.hpp"

#include "sync.hpp"

using eddy::capi::call;
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
    if (sem == nullptr) return EDDY_EINVAL;
    return n > most ? sem->loop->misused(EDDY_EINVAL, "a semaphore of so many permits") : sem->loop->over();
}

} // namespace

void eddy_sem::handle(unsigned requests) noexcept {
    if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
}

bool eddy_sem::tell(eddy_sync_stats& to) const {
    const eddy::semaphore_statistics s = permits.statistics();
    to.count = static_cast<std::uint64_t>(std::max<std::ptrdiff_t>(s.available, 0));
    to.limit = static_cast<std::uint64_t>(s.total);
    to.waiting = s.waiters;
    return true;
}

int eddy_sem_new(eddy_loop* loop, std::uint64_t permits, eddy_sem** out) noexcept {
    if (permits > most && out != nullptr) *out = nullptr;
    return permits > most ? eddy::capi::impossible(loop, "eddy_sem_new of so many permits")
                          : eddy::capi::make_object(loop, out, static_cast<std::ptrdiff_t>(permits));
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
    bool done = false;
    const int status = call(*sem, EDDY_ESTATE, [&] {
        auto p = sem->permits.try_acquire(static_cast<std::ptrdiff_t>(n));
        done = p.has_value();
        if (done && p->count() != 0) p->forget();
    });
    return status == EDDY_OK && !done ? EDDY_EAGAIN : status;
}

// EDDY_EINVAL: the count would overflow.
int eddy_sem_release(eddy_sem* sem, std::uint64_t n) noexcept {
    if (const int s = refusal(sem, n); s != EDDY_OK) return s;
    sem->loop->sync();
    return call(*sem, EDDY_EINVAL, [&] { sem->permits.release(static_cast<std::ptrdiff_t>(n)); });
}

int eddy_sem_resize(eddy_sem* sem, std::uint64_t permits) noexcept {
    if (const int s = refusal(sem, permits); s != EDDY_OK) return s;
    sem->loop->sync();
    return call(*sem, EDDY_EINVAL, [&] { sem->permits.resize(static_cast<std::ptrdiff_t>(permits)); });
}

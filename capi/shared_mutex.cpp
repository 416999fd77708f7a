// eddy_shared_mutex: the shared_mutex of the C++ face, and the guards that C code has of it.
//
// A share in hand is a guard in a block of its own, in the mutex's list. The block is made with the op, where that can
// still fail; looking at the op only moves it.
#include "leaf.hpp"

#include "sync.hpp"

#include <eddy/sync/shared_mutex.hpp>

using eddy::capi::call;
using eddy::capi::enter;
using eddy::capi::failed_op;

namespace {
struct share {
    share(eddy_loop&) noexcept {} // for make()
    eddy::shared_mutex::shared_guard guard;
    share* next = nullptr;
};
} // namespace

struct eddy_shared_mutex final : eddy::capi::loop_object {
    explicit eddy_shared_mutex(eddy_loop& l) noexcept : loop_object(l) {}
    ~eddy_shared_mutex() {
        while (shares != nullptr)
            drop_share();
    }
    void handle(unsigned requests) noexcept override {
        if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
    }
    bool tell(eddy_sync_stats& to) const override {
        const eddy::shared_mutex_statistics s = lock.statistics();
        to.flags = s.locked ? EDDY_SYNC_LOCKED : 0;
        to.count = s.readers;
        to.waiting = s.waiting_readers;
        to.waiting_writers = s.waiting_writers;
        return true;
    }
    void add_share(share& s) noexcept { s.next = std::exchange(shares, &s); }
    void drop_share() noexcept {
        share* const s = std::exchange(shares, shares->next);
        eddy::capi::destroy_block(s);
    }

    share* shares = nullptr; // what C code has; the mutex goes first, and ends who waits
    eddy::shared_mutex::guard held;
    eddy::shared_mutex lock;
};

namespace {

using lock_operation = eddy::detail::shared_mutex_operation<false>;
using share_operation = eddy::detail::shared_mutex_operation<true>;

struct take_exclusive : eddy::capi::take_nothing {
    eddy_shared_mutex* mutex;
    explicit take_exclusive(eddy_shared_mutex* m) noexcept : mutex(m) {}
    void operator()(eddy_op&, lock_operation& leaf) const noexcept {
        auto g = leaf.take();
        if (g.owns_lock()) mutex->held = std::move(g); // else the mutex is gone
    }
};

struct take_share : eddy::capi::take_nothing {
    eddy_shared_mutex* mutex;
    share** room; // the op's
    take_share(eddy_shared_mutex* m, share** r) noexcept : mutex(m), room(r) {}
    void operator()(eddy_op&, share_operation& leaf) const noexcept {
        auto g = leaf.take();
        if (!g.owns_lock()) return;
        (*room)->guard = std::move(g);
        mutex->add_share(*std::exchange(*room, nullptr));
    }
};

using exclusive_op = eddy::capi::leaf_op<lock_operation, take_exclusive>;

struct with_room {
    share* room;
};

struct share_op final : private with_room, eddy::capi::leaf_op<share_operation, take_share> {
    using base = leaf_op<share_operation, take_share>;
    share_op(eddy_loop& l, eddy_shared_mutex& m, share& s) noexcept
        : with_room{&s}, base(l, take_share(&m, &(with_room::room)), m.lock) {}
    ~share_op() {
        base::let_go();
        if (room != nullptr) eddy::capi::destroy_block(room);
    }
    void begin() noexcept { begin_wait(); }

private:
    void destroy() noexcept override { eddy::capi::destroy_block(this); }
};

} // namespace

int eddy_shared_mutex_new(eddy_loop* loop, eddy_shared_mutex** out) noexcept {
    return eddy::capi::make_object(loop, out);
}

eddy_op* eddy_shared_mutex_lock(eddy_shared_mutex* mutex) noexcept {
    if (mutex == nullptr) return nullptr;
    return eddy::capi::start_at<exclusive_op>(mutex, take_exclusive(mutex), mutex->lock);
}

int eddy_shared_mutex_try_lock(eddy_shared_mutex* mutex) noexcept { return eddy::capi::try_hold(mutex); }

int eddy_shared_mutex_unlock(eddy_shared_mutex* mutex) noexcept {
    if (const int s = enter(mutex); s != EDDY_OK) return s;
    if (!mutex->held.owns_lock())
        return mutex->loop->misused(EDDY_ESTATE, "eddy_shared_mutex_unlock: no writer has it");
    mutex->held = eddy::shared_mutex::guard(); // to who waits longest
    mutex->loop->touched();
    return EDDY_OK;
}

eddy_op* eddy_shared_mutex_lock_shared(eddy_shared_mutex* mutex) noexcept {
    if (mutex == nullptr) return nullptr;
    eddy_loop& l = *mutex->loop;
    if (const int s = enter(mutex); s != EDDY_OK) return failed_op(l, s);
    share* const room = eddy::capi::make<share>(l);
    if (room == nullptr) return nullptr;
    auto* const op = eddy::capi::make<share_op>(l, *mutex, *room);
    if (op == nullptr) {
        eddy::capi::destroy_block(room);
        return nullptr;
    }
    op->begin();
    l.touched();
    return op;
}

int eddy_shared_mutex_try_lock_shared(eddy_shared_mutex* mutex) noexcept {
    if (const int s = enter(mutex); s != EDDY_OK) return s;
    share* const room = eddy::capi::make<share>(*mutex->loop);
    if (room == nullptr) return EDDY_ENOMEM;
    const int status = call(*mutex, EDDY_ESTATE, [&] {
        if (auto g = mutex->lock.try_lock_shared()) room->guard = std::move(*g);
    });
    if (room->guard.owns_lock()) {
        mutex->add_share(*room);
        return EDDY_OK;
    }
    eddy::capi::destroy_block(room);
    return status == EDDY_OK ? EDDY_EAGAIN : status;
}

int eddy_shared_mutex_unlock_shared(eddy_shared_mutex* mutex) noexcept {
    if (const int s = enter(mutex); s != EDDY_OK) return s;
    if (mutex->shares == nullptr)
        return mutex->loop->misused(EDDY_ESTATE, "eddy_shared_mutex_unlock_shared: no reader has it");
    mutex->drop_share();
    mutex->loop->touched();
    return EDDY_OK;
}

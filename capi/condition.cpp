// eddy_cond: the condition of the C++ face, on the lock that C code has (eddy_mutex::held).
//
// A wait takes that lock out of the mutex and keeps it: what it is handed again stays in the op until somebody looks.
// So an op that nobody looked at unlocks when it goes, and one whose mutex is gone touches nothing of it.
#include "leaf.hpp"

#include "sync.hpp"

#include <eddy/sync/condition.hpp>

using eddy::capi::call;
using eddy::capi::enter;
using eddy::capi::failed_op;

struct eddy_cond final : eddy::capi::loop_object {
    eddy_cond(eddy_loop& l, eddy_mutex& m) noexcept : loop_object(l), mutex(&m), signal(m.lock) { m.retain(); }
    void handle(unsigned requests) noexcept override {
        if ((requests & request::finalise) == 0) return;
        eddy_mutex* const m = mutex;
        eddy::capi::destroy_block(this);
        m->release();
    }
    bool tell(eddy_sync_stats& to) const override {
        const eddy::condition_statistics s = signal.statistics();
        to.flags = s.lock.locked ? EDDY_SYNC_LOCKED : 0;
        to.waiting = s.waiters;
        return true;
    }

    eddy_mutex* const mutex; // a reference is ours
    eddy::condition signal;
};

namespace {

using wait_operation = eddy::detail::condition_wait_operation;

// However it ends, whoever looks has the lock.
struct lock_again {
    static constexpr std::uint32_t kind = EDDY_KIND_SYNC;
    eddy_mutex* mutex; // alive while `mine` owns its lock
    eddy::mutex::guard* mine;

    void operator()(eddy_op& op, wait_operation& leaf) const noexcept {
        leaf.take();
        failed(op, leaf);
    }
    void failed(eddy_op&, wait_operation&) const noexcept {
        if (mine->owns_lock()) mutex->held = std::move(*mine);
    }
};

// Before the leaf, which uses it.
struct with_lock {
    eddy::mutex::guard mine;
};

struct cond_op final : private with_lock, eddy::capi::leaf_op<wait_operation, lock_again> {
    using base = leaf_op<wait_operation, lock_again>;
    cond_op(eddy_loop& l, eddy_cond& c) noexcept
        : with_lock{std::move(c.mutex->held)},
          base(l, lock_again{c.mutex, &(with_lock::mine)}, c.signal, with_lock::mine) {}
    ~cond_op() { cond_op::let_go(); }
    void begin() noexcept { begin_wait(); }

private:
    // Its task has to find the lock in its hands.
    [[nodiscard]] bool can_be_undone() const noexcept override { return false; }
    void let_go() noexcept override {
        base::let_go();
        mine = eddy::mutex::guard();
    }
    void destroy() noexcept override { eddy::capi::destroy_block(this); }
};

} // namespace

int eddy_cond_new(eddy_mutex* mutex, eddy_cond** out) noexcept {
    if (mutex == nullptr && out != nullptr) *out = nullptr;
    return mutex == nullptr ? EDDY_EINVAL : eddy::capi::make_object(mutex->loop, out, *mutex);
}

eddy_op* eddy_cond_wait(eddy_cond* cond) noexcept {
    if (cond == nullptr) return nullptr;
    eddy_loop& l = *cond->loop;
    if (const int s = enter(cond); s != EDDY_OK) return failed_op(l, s);
    if (!cond->mutex->held.owns_lock())
        return failed_op(l, EDDY_ESTATE, "eddy_cond_wait without the lock of its mutex");
    auto* const op = eddy::capi::make<cond_op>(l, *cond);
    if (op != nullptr) op->begin();
    l.touched();
    return op;
}

int eddy_cond_notify(eddy_cond* cond, std::size_t n) noexcept {
    if (const int s = enter(cond); s != EDDY_OK) return s;
    const auto at_most = static_cast<std::ptrdiff_t>(std::min<std::size_t>(n, PTRDIFF_MAX));
    return call(*cond, EDDY_ESTATE, [&] { cond->signal.notify(at_most); });
}

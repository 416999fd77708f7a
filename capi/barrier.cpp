// eddy_barrier and eddy_latch: waiting for each other, and for a number of events.
#include "leaf.hpp"

#include "sync.hpp"

#include <eddy/sync/barrier.hpp>
#include <eddy/sync/latch.hpp>

using eddy::capi::call;
using eddy::capi::enter;
using eddy::capi::leaf_op;
using eddy::capi::start_at;
using eddy::capi::take_nothing;

struct eddy_barrier final : eddy::capi::loop_object {
    eddy_barrier(eddy_loop& l, std::ptrdiff_t parties) : loop_object(l), rounds(parties) {}
    void handle(unsigned requests) noexcept override {
        if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
    }
    bool tell(eddy_sync_stats& to) const override {
        const eddy::barrier_statistics s = rounds.statistics();
        to.flags = s.broken ? EDDY_SYNC_BROKEN : 0;
        to.limit = s.parties;
        to.waiting = s.waiters;
        return true;
    }

    eddy::barrier rounds;
};

struct eddy_latch final : eddy::capi::loop_object {
    eddy_latch(eddy_loop& l, std::ptrdiff_t n) : loop_object(l), gate(n) {}
    void handle(unsigned requests) noexcept override {
        if ((requests & request::finalise) != 0) eddy::capi::destroy_block(this);
    }
    bool tell(eddy_sync_stats& to) const override {
        const eddy::latch_statistics s = gate.statistics();
        to.flags = s.count == 0 ? EDDY_SYNC_SET : 0;
        to.count = static_cast<std::uint64_t>(s.count);
        to.waiting = s.waiters;
        return true;
    }

    eddy::latch gate;
};

namespace {

constexpr std::uint64_t most = PTRDIFF_MAX;

struct take_index : take_nothing {
    void operator()(eddy_op& op, eddy::detail::barrier_operation& leaf) const noexcept {
        op.out.number = static_cast<std::int64_t>(leaf.take());
    }
};

using barrier_op = leaf_op<eddy::detail::barrier_operation, take_index>;
using latch_op = leaf_op<eddy::detail::latch_operation, take_nothing>;

} // namespace

int eddy_barrier_new(eddy_loop* loop, std::size_t parties, eddy_barrier** out) noexcept {
    const bool possible = parties != 0 && parties <= most;
    if (!possible && out != nullptr) *out = nullptr;
    return possible ? eddy::capi::make_object(loop, out, static_cast<std::ptrdiff_t>(parties))
                    : eddy::capi::impossible(loop, "eddy_barrier_new of so many parties");
}

eddy_op* eddy_barrier_wait(eddy_barrier* barrier) noexcept {
    return barrier == nullptr ? nullptr : start_at<barrier_op>(barrier, {}, barrier->rounds);
}

// Where another loop than its own runs here, these do nothing: overlapping calls, which are not allowed.
void eddy_barrier_reset(eddy_barrier* barrier) noexcept {
    if (enter(barrier) != EDDY_OK) return;
    static_cast<void>(call(*barrier, EDDY_ESTATE, [barrier] { barrier->rounds.reset(); }));
}

void eddy_barrier_abort(eddy_barrier* barrier) noexcept {
    if (enter(barrier) != EDDY_OK) return;
    static_cast<void>(call(*barrier, EDDY_ESTATE, [barrier] { barrier->rounds.abort(); }));
}

int eddy_latch_new(eddy_loop* loop, std::uint64_t count, eddy_latch** out) noexcept {
    if (count > most && out != nullptr) *out = nullptr;
    return count > most ? eddy::capi::impossible(loop, "eddy_latch_new of so much")
                        : eddy::capi::make_object(loop, out, static_cast<std::ptrdiff_t>(count));
}

eddy_op* eddy_latch_wait(eddy_latch* latch) noexcept {
    return latch == nullptr ? nullptr : start_at<latch_op>(latch, {}, latch->gate, false);
}

int eddy_latch_count_down(eddy_latch* latch, std::uint64_t n) noexcept {
    if (const int s = enter(latch); s != EDDY_OK) return s;
    if (n > static_cast<std::uint64_t>(latch->gate.count()))
        return latch->loop->misused(EDDY_EINVAL, "eddy_latch_count_down by more than is left");
    return call(*latch, EDDY_ESTATE, [&] { latch->gate.count_down(static_cast<std::ptrdiff_t>(n)); });
}

std::uint64_t eddy_latch_count(const eddy_latch* latch) noexcept {
    if (latch == nullptr) return 0;
    static_cast<void>(enter(latch));
    return static_cast<std::uint64_t>(latch->gate.count());
}

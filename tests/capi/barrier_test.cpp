// eddy_barrier, eddy_latch.
#include "fixture.hpp"

using namespace eddy_test;

namespace {

eddy_barrier* new_barrier(eddy_loop* l, std::size_t n) {
    eddy_barrier* b = nullptr;
    REQUIRE(eddy_barrier_new(l, n, &b) == EDDY_OK);
    return b;
}
eddy_latch* new_latch(eddy_loop* l, std::uint64_t n) {
    eddy_latch* b = nullptr;
    REQUIRE(eddy_latch_new(l, n, &b) == EDDY_OK);
    return b;
}

} // namespace

TEST_CASE(
    "BA-2 BA-3 BA-4 BA-5 barrier: rounds of n; places are given in the order of arrival; who leaves takes his back") {
    c_loop l;
    held b(new_barrier(l, 3));
    for (int round = 0; round < 2; ++round) {
        held a(eddy_barrier_wait(b));
        held gone(eddy_barrier_wait(b));
        held late(eddy_op_timeout(eddy_barrier_wait(b), EDDY_MS(1)));
        // The third is there: passed, though time goes on.
        CHECK(eddy_op_status(late) == EDDY_OK);
        CHECK(eddy_op_number(late) == 2);
        CHECK(l.until(gone) == EDDY_OK);
        CHECK(eddy_op_number(gone) == 1);
        CHECK(eddy_op_number(a) == 0);
        eddy_op_cancel(a);
        CHECK(eddy_op_status(a) == EDDY_OK);
    }
    held first(eddy_barrier_wait(b));
    held cancelled(eddy_barrier_wait(b));
    eddy_op_cancel(cancelled);
    CHECK(l.until(cancelled) == EDDY_ECANCELED);
    held timed(eddy_op_timeout(eddy_barrier_wait(b), EDDY_MS(1)));
    CHECK(l.until(timed) == EDDY_ETIMEDOUT);
    held dropped_one(eddy_barrier_wait(b));
    dropped_one.drop();
    l.settle();
    const eddy_sync_stats s = sync_stats_of(b);
    CHECK(s.waiting == 1);
    CHECK(s.limit == 3);
    held second(eddy_barrier_wait(b));
    held third(eddy_barrier_wait(b));
    CHECK(l.until(first) == EDDY_OK);
    CHECK(eddy_op_number(first) == 0);
    CHECK(eddy_op_number(second) == 1);
    CHECK(eddy_op_number(third) == 2);
}

TEST_CASE("BA-1 BA-6 BA-7 barrier: reset lets go who waits, abort also who comes later") {
    c_loop l;
    held b(new_barrier(l, 2));
    held a(eddy_barrier_wait(b));
    eddy_barrier_reset(b);
    CHECK(l.until(a) == EDDY_EBROKEN);
    held c(eddy_barrier_wait(b));
    CHECK(eddy_op_status(c) == EDDY_PENDING); // an empty round
    eddy_barrier_abort(b);
    CHECK(l.until(c) == EDDY_EBROKEN);
    held late(eddy_barrier_wait(b));
    CHECK(eddy_op_status(late) == EDDY_EBROKEN);
    const eddy_sync_stats s = sync_stats_of(b);
    CHECK(s.flags == EDDY_SYNC_BROKEN);
    eddy_barrier_reset(b);
    held d(eddy_barrier_wait(b));
    held e(eddy_barrier_wait(b));
    CHECK(l.until(d) == EDDY_OK);
    CHECK(l.until(e) == EDDY_OK);
    held left(eddy_barrier_wait(b));
    b.drop();
    CHECK(l.until(left) == EDDY_ECLOSED);
    eddy_barrier* none = nullptr;
    CHECK(eddy_barrier_new(l, 0, &none) == EDDY_EINVAL);
    CHECK(eddy_barrier_new(l, SIZE_MAX, &none) == EDDY_EINVAL);
    CHECK(none == nullptr);
}

TEST_CASE("latch: opens at zero for who waits and who comes later; counting too far changes nothing") {
    c_loop l;
    held gate(new_latch(l, 3));
    held a(eddy_latch_wait(gate));
    held b(eddy_latch_wait(gate));
    CHECK(eddy_latch_count_down(gate, 2) == EDDY_OK);
    CHECK(eddy_latch_count(gate) == 1);
    eddy_op_cancel(b);
    CHECK(l.until(b) == EDDY_ECANCELED);
    CHECK(eddy_latch_count_down(gate, 2) == EDDY_EINVAL);
    CHECK(eddy_latch_count_down(gate, UINT64_MAX) == EDDY_EINVAL);
    CHECK(eddy_latch_count(gate) == 1);
    CHECK(eddy_op_status(a) == EDDY_PENDING);
    CHECK(eddy_latch_count_down(gate, 1) == EDDY_OK);
    CHECK(l.until(a) == EDDY_OK);
    held late(eddy_latch_wait(gate));
    CHECK(eddy_op_status(late) == EDDY_OK);
    CHECK(eddy_latch_count_down(gate, 0) == EDDY_OK);
    const eddy_sync_stats s = sync_stats_of(gate);
    CHECK(s.flags == EDDY_SYNC_SET);
    held closed_one(new_latch(l, 1));
    held left(eddy_latch_wait(closed_one));
    closed_one.drop();
    CHECK(l.until(left) == EDDY_ECLOSED);
    eddy_latch* none = nullptr;
    CHECK(eddy_latch_new(l, UINT64_MAX, &none) == EDDY_EINVAL);
    CHECK(none == nullptr);
}

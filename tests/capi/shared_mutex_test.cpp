// eddy_shared_mutex.
#include "fixture.hpp"

using namespace eddy_test;

namespace {

eddy_shared_mutex* new_shared(eddy_loop* l) {
    eddy_shared_mutex* m = nullptr;
    REQUIRE(eddy_shared_mutex_new(l, &m) == EDDY_OK);
    return m;
}

} // namespace

TEST_CASE("shared mutex: readers together, a writer alone, in the order of asking") {
    c_loop l;
    held m(new_shared(l));
    held r1(eddy_shared_mutex_lock_shared(m));
    held r2(eddy_shared_mutex_lock_shared(m));
    CHECK(eddy_op_status(r1) == EDDY_OK);
    CHECK(eddy_op_status(r2) == EDDY_OK);
    CHECK(eddy_shared_mutex_try_lock(m) == EDDY_EAGAIN);
    CHECK(eddy_shared_mutex_unlock(m) == EDDY_ESTATE);
    held w(eddy_shared_mutex_lock(m));
    held r3(eddy_shared_mutex_lock_shared(m)); // behind the writer
    CHECK(eddy_shared_mutex_try_lock_shared(m) == EDDY_EAGAIN);
    const eddy_sync_stats s = sync_stats_of(m);
    CHECK(s.flags == 0);
    CHECK(s.count == 2);
    CHECK(s.waiting == 1);
    CHECK(s.waiting_writers == 1);
    CHECK(eddy_shared_mutex_unlock_shared(m) == EDDY_OK);
    CHECK(eddy_op_status(w) == EDDY_PENDING);
    CHECK(eddy_shared_mutex_unlock_shared(m) == EDDY_OK);
    CHECK(eddy_shared_mutex_unlock_shared(m) == EDDY_ESTATE);
    CHECK(eddy_shared_mutex_unlock(m) == EDDY_ESTATE); // nobody has looked
    CHECK(l.until(w) == EDDY_OK);
    CHECK(sync_stats_of(m).flags == EDDY_SYNC_LOCKED);
    CHECK(eddy_op_status(r3) == EDDY_PENDING);
    CHECK(eddy_shared_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(r3) == EDDY_OK);
    CHECK(eddy_shared_mutex_try_lock_shared(m) == EDDY_OK);
    CHECK(eddy_shared_mutex_unlock_shared(m) == EDDY_OK);
    CHECK(eddy_shared_mutex_unlock_shared(m) == EDDY_OK);
    CHECK(eddy_shared_mutex_try_lock(m) == EDDY_OK);
    CHECK(eddy_shared_mutex_unlock(m) == EDDY_OK);
}

TEST_CASE("shared mutex: a writer that leaves lets the readers behind it in; what nobody looked at is given back") {
    c_loop l;
    held m(new_shared(l));
    CHECK(eddy_shared_mutex_try_lock_shared(m) == EDDY_OK);
    held w(eddy_op_timeout(eddy_shared_mutex_lock(m), EDDY_MS(1)));
    held r(eddy_shared_mutex_lock_shared(m));
    CHECK(l.until(w) == EDDY_ETIMEDOUT);
    CHECK(l.until(r) == EDDY_OK);
    CHECK(eddy_shared_mutex_unlock_shared(m) == EDDY_OK);
    CHECK(eddy_shared_mutex_unlock_shared(m) == EDDY_OK);
    {
        held unseen(eddy_shared_mutex_lock(m));
        CHECK(eddy_shared_mutex_try_lock_shared(m) == EDDY_EAGAIN);
    }
    {
        held unseen(eddy_shared_mutex_lock_shared(m));
        CHECK(eddy_shared_mutex_try_lock(m) == EDDY_EAGAIN);
    }
    l.settle();
    CHECK(eddy_shared_mutex_try_lock(m) == EDDY_OK);
    held waits(eddy_shared_mutex_lock_shared(m));
    eddy_op_cancel(waits);
    CHECK(l.until(waits) == EDDY_ECANCELED);
    held left(eddy_shared_mutex_lock_shared(m));
    m.drop(); // locked, and waited for
    CHECK(l.until(left) == EDDY_ECLOSED);
    held again(new_shared(l));
    CHECK(eddy_shared_mutex_try_lock_shared(again) == EDDY_OK);
    held granted(eddy_shared_mutex_lock_shared(again));
    again.drop(); // a share in hand, one that nobody took
    l.settle();
    CHECK(eddy_op_status(granted) == EDDY_OK); // it had been granted, when there was something to own
}

// eddy_cond: the lock comes back however a wait ends, once somebody looks.
#include "fixture.hpp"

#include <cstdint>

using namespace eddy_test;

namespace {

eddy_cond* new_cond(eddy_mutex* m) {
    eddy_cond* c = nullptr;
    REQUIRE(eddy_cond_new(m, &c) == EDDY_OK);
    return c;
}

} // namespace

TEST_CASE("CV-1 CV-4 condition: wait puts the lock down, and has it again when it has been notified") {
    c_loop l;
    held m(new_mutex(l));
    held c(new_cond(m));
    held without(eddy_cond_wait(c));
    CHECK(eddy_op_status(without) == EDDY_ESTATE);
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    held wait(eddy_cond_wait(c));
    CHECK(eddy_op_status(wait) == EDDY_PENDING);
    CHECK(sync_stats_of(c).waiting == 1);
    CHECK(eddy_cond_notify(c, 1) == EDDY_ESTATE); // not locked
    CHECK(eddy_mutex_unlock(m) == EDDY_ESTATE);   // the wait has put it down
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    CHECK(eddy_cond_notify(c, 1) == EDDY_OK);
    CHECK(eddy_op_status(wait) == EDDY_PENDING); // it waits for the lock now
    CHECK(sync_stats_of(c).waiting == 0);
    CHECK(sync_stats_of(m).waiting == 1);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(eddy_mutex_unlock(m) == EDDY_ESTATE); // handed over, and not looked at yet
    CHECK(l.until(wait) == EDDY_OK);
    CHECK(sync_stats_of(m).flags == EDDY_SYNC_LOCKED);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
}

TEST_CASE("CV-3 CV-5 CV-10 condition: cancelled and timed out, the lock is held again; notified in order") {
    c_loop l;
    held m(new_mutex(l));
    held c(new_cond(m));
    const auto wait = [&] {
        REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
        return eddy_cond_wait(c);
    };
    held first(wait());
    held second(wait());
    held third(wait());
    REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
    eddy_op_cancel(first);
    l.settle();
    CHECK(eddy_op_status(first) == EDDY_PENDING); // as long as somebody else has the lock
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(first) == EDDY_ECANCELED);
    CHECK(eddy_cond_notify(c, 1) == EDDY_OK); // `first` has the lock; the next in line is `second`
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(second) == EDDY_OK);
    CHECK(eddy_op_status(third) == EDDY_PENDING);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(eddy_op_timeout(third, EDDY_MS(3))) == EDDY_ETIMEDOUT);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    held fourth(wait());
    held fifth(wait());
    REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
    CHECK(eddy_cond_notify(c, SIZE_MAX) == EDDY_OK);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(fourth) == EDDY_OK);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(fifth) == EDDY_OK);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
}

TEST_CASE("CV-7 condition: a wait that nobody looked at unlocks, finished or not, also as the loser of a race") {
    c_loop l;
    held m(new_mutex(l));
    held c(new_cond(m));
    REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
    held wait(eddy_cond_wait(c));
    REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
    SUBCASE("in line for the notification") {
        wait.drop();
        l.settle();
        CHECK(sync_stats_of(c).waiting == 0);
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
    SUBCASE("in line for the lock") {
        CHECK(eddy_cond_notify(c, 1) == EDDY_OK);
        wait.drop();
        l.settle();
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
    SUBCASE("with the lock") {
        CHECK(eddy_cond_notify(c, 1) == EDDY_OK);
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
        CHECK(eddy_mutex_try_lock(m) == EDDY_EAGAIN);
        wait.drop();
        l.settle();
        CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
    SUBCASE("a race: both finish at the same time, and the first wins") {
        eddy_op* both[] = {eddy_sleep(l, 0), wait.give()};
        held race(eddy_race(l, both, 2));
        CHECK(eddy_cond_notify(c, 1) == EDDY_OK);
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
        CHECK(l.until(race) == EDDY_OK);
        CHECK(eddy_op_number(race) == 0);
        CHECK(eddy_mutex_try_lock(m) == EDDY_OK); // what the loser was handed
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
    SUBCASE("a race that it loses") {
        eddy_op* both[] = {wait.give(), eddy_sleep(l, 0)};
        held race(eddy_race(l, both, 2));
        l.settle(); // the sleep has won; the wait is cancelled, and waits for the lock
        CHECK(eddy_op_status(race) == EDDY_PENDING);
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
        CHECK(l.until(race) == EDDY_OK);
        CHECK(eddy_op_number(race) == 1);
        CHECK(eddy_mutex_try_lock(m) == EDDY_OK); // nobody looked at the wait
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
}

TEST_CASE("condition: keeps its mutex; dropped or closed while somebody waits") {
    c_loop l;
    held m(new_mutex(l));
    held c(new_cond(m));
    REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
    held wait(eddy_cond_wait(c));
    SUBCASE("the program's reference to the mutex goes first") {
        m.drop();
        l.settle();
        CHECK(eddy_op_status(wait) == EDDY_PENDING);
        c.drop();
        CHECK(l.until(wait) == EDDY_ECLOSED);
    }
    SUBCASE("the cond goes: closed, with the lock") {
        c.drop();
        CHECK(l.until(wait) == EDDY_ECLOSED);
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
    SUBCASE("the loop is closed") {
        l.finish(EDDY_OK, true);
        CHECK(eddy_op_status(wait) == EDDY_ECLOSED);
        held late(eddy_cond_wait(c));
        CHECK(eddy_op_status(late) == EDDY_ECLOSED);
        CHECK(eddy_cond_notify(c, 1) == EDDY_ECLOSED);
        m.drop();
    }
}

TEST_CASE("CV-3 condition: a task that is cancelled at a forced yield has the lock that its finished wait was given") {
    struct state {
        eddy_op* finished;
        eddy_mutex* mutex;
        int i;
        int status;
        int unlocked;
    };
    c_loop l;
    held m(new_mutex(l));
    held c(new_cond(m));
    REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
    eddy_op* const wait = eddy_cond_wait(c);
    REQUIRE(eddy_mutex_try_lock(m) == EDDY_OK);
    CHECK(eddy_cond_notify(c, 1) == EDDY_OK);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    l.settle();
    state s{wait, m, 0, EDDY_EUSER, EDDY_EUSER};
    const eddy_step_fn step = [](eddy_task* task, void* user) -> int {
        auto& me = *static_cast<state*>(user);
        if (eddy_task_point(task) != 2) {
            eddy_op_cancel(eddy_task_op(task));
            // The 128th ready await in a row has to yield.
            for (; me.i < 127; ++me.i) {
                eddy_op* const p = eddy_promise(eddy_task_loop(task), nullptr, nullptr, nullptr);
                eddy_promise_resolve(p, nullptr, nullptr, 0);
                if (eddy_await(task, p, 1) == EDDY_STEP_WAIT) return EDDY_STEP_WAIT;
            }
            if (eddy_await(task, std::exchange(me.finished, nullptr), 2) == EDDY_STEP_WAIT) return EDDY_STEP_WAIT;
        }
        me.status = eddy_task_status(task);
        me.unlocked = eddy_mutex_unlock(me.mutex);
        return EDDY_STEP_DONE;
    };
    held task(eddy_spawn(l, step, &s, nullptr));
    CHECK(l.until(task) == EDDY_OK);
    CHECK(s.status == EDDY_OK);
    CHECK(s.unlocked == EDDY_OK);
    CHECK(sync_stats_of(m).flags == 0);
}

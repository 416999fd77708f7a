// gather, race, join, shield, group.
#include "fixture.hpp"

#include "core/state.hpp"

#include <eddy/eddy.hpp>

#include <string>

using namespace eddy_test;

namespace {

eddy_op* again(eddy_op* op) { return static_cast<eddy_op*>(eddy_ref(op)); }

eddy_op* promise(eddy_loop* l) { return eddy_promise(l, nullptr, nullptr, nullptr); }
void resolve(eddy_op* p, std::int64_t n = 0) { REQUIRE(eddy_promise_resolve(p, nullptr, nullptr, n) == EDDY_OK); }
void reject(eddy_op* p, int status, const char* m) {
    REQUIRE(eddy_promise_reject(p, status, m, nullptr, nullptr) == EDDY_OK);
}

struct unhandled {
    int n = 0;
    int last = 0;
    static void told(eddy_op* op, void* user) {
        auto* u = static_cast<unhandled*>(user);
        ++u->n;
        u->last = eddy_op_status(op);
    }
};

} // namespace

TEST_CASE("GA-1 GA-2 gather finishes when all have; its parts tell their results in the order of the array") {
    c_loop l;
    held a(promise(l));
    held b(promise(l));
    eddy_op* parts[] = {again(a), eddy_sleep(l, EDDY_MS(3)), again(b)};
    held g(eddy_gather(l, parts, 3, 0));
    parts[0] = parts[1] = parts[2] = nullptr; // the array may go
    resolve(b, 2);
    CHECK(l.until(g, EDDY_MS(10)) == EDDY_PENDING);
    resolve(a, 1);
    CHECK(l.until(g) == EDDY_OK);
    CHECK(eddy_op_child_count(g) == 3);
    CHECK(eddy_op_number(eddy_op_child(g, 0)) == 1);
    CHECK(eddy_op_number(eddy_op_child(g, 2)) == 2);
    CHECK(eddy_op_child(g, 3) == nullptr);
    held none(eddy_gather(l, nullptr, 0, 0));
    CHECK(eddy_op_status(none) == EDDY_OK);
    CHECK(eddy_op_child_count(nullptr) == 0);
    CHECK(eddy_op_child_count(a) == 0);
}

TEST_CASE("GA-5 GA-6 gather: the first error cancels the rest, which are awaited; or not, with KEEP_GOING") {
    c_loop l;
    trace t{};
    cleaner clean{&t, 1, 0};
    for (const bool keep_going : {false, true}) {
        CAPTURE(keep_going);
        t.n = 0;
        clean.i = 0;
        held p(promise(l));
        eddy_op* parts[] = {eddy_spawn(l, &cleaner_step, &clean, nullptr), again(p), eddy_sleep(l, EDDY_SEC(1))};
        held g(eddy_gather(l, parts, 3, keep_going ? std::uint32_t{EDDY_GATHER_KEEP_GOING} : 0u));
        l.settle();
        const std::uint64_t before = eddy_loop_now(l);
        reject(p, -20001, "why");
        CHECK(l.until(g) == -20001);
        CHECK(std::string(eddy_op_message(g)) == "why");
        CHECK(eddy_op_number(g) == 1);
        // The task's clean-up took 10 ms; left alone it sleeps an hour.
        CHECK(eddy_loop_now(l) - before == (keep_going ? EDDY_SEC(3600) + EDDY_MS(10) : EDDY_MS(10)));
        CHECK(eddy_op_status(eddy_op_child(g, 0)) == EDDY_OK);
        CHECK(eddy_op_status(eddy_op_child(g, 2)) == (keep_going ? EDDY_OK : EDDY_ECANCELED));
    }
}

TEST_CASE("GA-8 cancelling a gather asks every part and waits for them; an error outranks the cancellation") {
    c_loop l;
    trace t{};
    cleaner clean{&t, 1, 0};
    held p(eddy_promise(
        l, [](eddy_op* op, void*) { eddy_promise_reject(op, -20007, "broke", nullptr, nullptr); }, nullptr, nullptr));
    eddy_op* parts[] = {eddy_sleep(l, EDDY_SEC(5)), eddy_spawn(l, &cleaner_step, &clean, nullptr), again(p)};
    held g(eddy_gather(l, parts, 3, 0));
    l.settle();
    eddy_op_cancel(g);
    CHECK(l.until(g) == -20007);
    CHECK(eddy_op_status(eddy_op_child(g, 0)) == EDDY_ECANCELED);
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, 1});
    eddy_op* more[] = {eddy_sleep(l, EDDY_SEC(5)), eddy_sleep(l, EDDY_SEC(6))};
    held timed(eddy_op_timeout(eddy_gather(l, more, 2, 0), EDDY_MS(5)));
    CHECK(l.until(timed) == EDDY_ETIMEDOUT);
}

TEST_CASE("a combination that nobody looked at gives back what its parts were granted; ops that can't be taken") {
    c_loop l;
    held m(new_mutex(l));
    held q(new_queue(l));
    static int item = 1;
    CHECK(eddy_queue_try_put(q, &item) == EDDY_OK);
    {
        eddy_op* parts[] = {eddy_mutex_lock(m), eddy_queue_get(q)};
        held g(eddy_gather(l, parts, 2, 0));
        l.settle();
        CHECK(eddy_queue_size(q) == 0);
        CHECK(eddy_mutex_try_lock(m) == EDDY_EAGAIN);
    }
    l.settle();
    CHECK(eddy_queue_size(q) == 1);
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    // One that is awaited elsewhere: the others are cancelled.
    held sleep(eddy_sleep(l, EDDY_SEC(9)));
    CHECK(eddy_op_then(again(sleep), [](eddy_op*, void*) {}, nullptr, nullptr) == EDDY_OK);
    held other(eddy_sleep(l, EDDY_SEC(9)));
    eddy_op* bad[] = {again(other), again(sleep)};
    held g(eddy_gather(l, bad, 2, 0));
    CHECK(eddy_op_status(g) == EDDY_EBUSY);
    CHECK(l.until(other) == EDDY_ECANCELED);
    CHECK(eddy_op_status(sleep) == EDDY_PENDING);
    eddy_op_cancel(sleep);
    held twice(promise(l));
    eddy_op* same[] = {again(twice), again(twice)};
    held r(eddy_race(l, same, 2));
    CHECK(eddy_op_status(r) == EDDY_EBUSY);
    CHECK(l.until(twice) == EDDY_ECANCELED);
    held none(eddy_race(l, nullptr, 0));
    CHECK(eddy_op_status(none) == EDDY_EINVAL);
    held unknown(eddy_gather(l, nullptr, 0, 8));
    CHECK(eddy_op_status(unknown) == EDDY_ETOOBIG);
    held nothing(eddy_gather(l, nullptr, 3, 0));
    CHECK(eddy_op_status(nothing) == EDDY_EINVAL);
    // NULL is an op that failed.
    eddy_op* with_null[] = {eddy_sleep(l, EDDY_SEC(9)), nullptr};
    held n(eddy_gather(l, with_null, 2, 0));
    CHECK(l.until(n) == EDDY_ENOMEM);
    CHECK(eddy_op_number(n) == 1);
}

TEST_CASE("race: the first decides; losers are cancelled and awaited, and what they were granted goes back") {
    c_loop l;
    held q(new_queue(l));
    held m(new_mutex(l));
    trace t{};
    cleaner clean{&t, 2, 0};
    static int items[2] = {5, 6};
    SUBCASE("a value, taken from the race") {
        eddy_op* parts[] = {eddy_sleep(l, EDDY_SEC(1)), eddy_queue_get(q),
                            eddy_spawn(l, &cleaner_step, &clean, nullptr)};
        held r(eddy_race(l, parts, 3));
        l.settle();
        CHECK(eddy_queue_try_put(q, &items[0]) == EDDY_OK);
        CHECK(l.until(r) == EDDY_OK);
        CHECK(eddy_op_number(r) == 1);
        CHECK(eddy_op_take(r) == &items[0]);
        CHECK(eddy_loop_now(l) == EDDY_MS(20)); // the task cleaned up
        CHECK(eddy_op_status(eddy_op_child(r, 0)) == EDDY_ECANCELED);
    }
    SUBCASE("two in one tick: the second gives back") {
        eddy_op* parts[] = {eddy_queue_get(q), eddy_queue_get(q), eddy_mutex_lock(m)};
        CHECK(eddy_queue_try_put(q, &items[0]) == EDDY_OK);
        CHECK(eddy_queue_try_put(q, &items[1]) == EDDY_OK);
        held r(eddy_race(l, parts, 3)); // all three were granted before
        CHECK(eddy_op_status(r) == EDDY_OK);
        CHECK(eddy_op_number(r) == 0);
        CHECK(eddy_queue_size(q) == 1);
        CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    }
    SUBCASE("dropped unseen: the winner's goes back as well") {
        eddy_op* parts[] = {eddy_queue_get(q), eddy_sleep(l, EDDY_SEC(1))};
        held r(eddy_race(l, parts, 2));
        CHECK(eddy_queue_try_put(q, &items[0]) == EDDY_OK);
        l.settle();
        CHECK(eddy_queue_size(q) == 0);
        r.drop();
        l.settle();
        CHECK(eddy_queue_size(q) == 1);
    }
    SUBCASE("an error decides too") {
        held p(promise(l));
        eddy_op* parts[] = {eddy_sleep(l, EDDY_SEC(1)), again(p)};
        held r(eddy_race(l, parts, 2));
        reject(p, -20002, "no");
        CHECK(l.until(r) == -20002);
        CHECK(std::string(eddy_op_message(r)) == "no");
    }
    SUBCASE("of races, cancelled") {
        eddy_op* inner[] = {eddy_queue_get(q), eddy_sleep(l, EDDY_SEC(1))};
        eddy_op* parts[] = {eddy_race(l, inner, 2), eddy_mutex_lock(m)};
        held r(eddy_race(l, parts, 2));
        CHECK(eddy_op_status(r) == EDDY_PENDING); // the inner race is still to end
        CHECK(l.until(r) == EDDY_OK);
        CHECK(eddy_op_number(r) == 1);
        CHECK(eddy_queue_try_put(q, &items[0]) == EDDY_OK);
        CHECK(eddy_queue_size(q) == 1); // nobody waits
    }
}

TEST_CASE("a hundred thousand races in each other are cancelled and dropped without using the stack") {
    c_loop l;
    eddy_op* op = eddy_sleep(l, EDDY_SEC(1));
    for (int i = 0; i < 100'000; ++i)
        op = eddy_race(l, &op, 1);
    held r(op);
    SUBCASE("cancelled") {
        eddy_op_cancel(r);
        CHECK(l.until(r) == EDDY_ECANCELED);
    }
    SUBCASE("finished") { CHECK(l.until(r) == EDDY_OK); }
    SUBCASE("dropped") {}
    r.drop();
    l.settle();
}

TEST_CASE("join: any number of observers, each cancelled for itself; the value stays the op's") {
    c_loop l;
    static int value = 3;
    held p(promise(l));
    held a(eddy_op_join(p));
    held b(eddy_op_join(p));
    held c(eddy_op_timeout(eddy_op_join(p), EDDY_MS(1)));
    const auto awaits = [](eddy_task* task, void* op) -> int {
        EDDY_BEGIN(task);
        EDDY_TRY(task, static_cast<eddy_op*>(op));
        EDDY_END(task);
    };
    held task(eddy_spawn(l, awaits, again(p), nullptr));
    CHECK(l.until(c) == EDDY_ETIMEDOUT);
    eddy_op_cancel(b);
    CHECK(l.until(b) == EDDY_ECANCELED);
    CHECK(eddy_op_status(p) == EDDY_PENDING);
    dropped() = 0;
    REQUIRE(eddy_promise_resolve(p, &value, &count_drop, 7) == EDDY_OK);
    CHECK(l.until(a) == EDDY_OK);
    CHECK(eddy_op_value(a) == &value);
    CHECK(eddy_op_number(a) == 7);
    CHECK(l.until(task) == EDDY_OK);
    held late(eddy_op_join(p));
    CHECK(eddy_op_status(late) == EDDY_OK);
    CHECK(eddy_op_join(nullptr) == nullptr);
    // Of a task, and of what is looked at before it is told.
    trace t{};
    yielder y{&t, 1, 3, 0};
    held other(eddy_spawn(l, &yielder_step, &y, nullptr));
    held j(eddy_op_join(other));
    CHECK(l.until(j) == EDDY_OK);
    held q(new_queue(l));
    held get(eddy_queue_get(q));
    held jg(eddy_op_join(get));
    CHECK(eddy_queue_try_put(q, &value) == EDDY_OK);
    CHECK(eddy_op_status(get) == EDDY_OK);
    CHECK(l.until(jg) == EDDY_OK);
    CHECK(dropped() == 0);
    for (eddy_op* op : {a.give(), late.give(), p.give(), task.give()})
        eddy_unref(op);
    l.settle();
    CHECK(dropped() == 1);
}

TEST_CASE("SH-1 SH-3 shield: value, number and error pass through; the inner op's own cancellation too") {
    c_loop l;
    static int value = 3;
    held p(promise(l));
    held s(eddy_op_shield(again(p)));
    REQUIRE(eddy_promise_resolve(p, &value, nullptr, 7) == EDDY_OK);
    CHECK(l.until(s) == EDDY_OK);
    CHECK(eddy_op_take(s) == &value);
    CHECK(eddy_op_number(s) == 7);
    held failed(promise(l));
    reject(failed, -20003, "no");
    held sf(eddy_op_shield(again(failed))); // had finished
    CHECK(eddy_op_status(sf) == -20003);
    CHECK(std::string(eddy_op_message(sf)) == "no");
    held sleep(eddy_sleep(l, EDDY_SEC(1)));
    held ss(eddy_op_shield(again(sleep)));
    eddy_op_cancel(sleep);
    CHECK(l.until(ss) == EDDY_ECANCELED);
    held busy(eddy_op_shield(again(sleep)));
    CHECK(eddy_op_status(busy) == EDDY_EBUSY);
}

TEST_CASE("SH-2 SH-4 SH-5 SH-6 SH-7 shield: cancelled, timed out or dropped, the op inside goes on to its end") {
    c_loop l;
    unhandled u;
    CHECK(eddy_loop_on_unhandled(l, &unhandled::told, &u, nullptr) == EDDY_OK);
    const auto set = [](eddy_task* task, void* state) -> int {
        EDDY_BEGIN(task);
        EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(10)));
        ++*static_cast<int*>(state);
        if (*static_cast<int*>(state) == 4) return eddy_fail(task, -20004, "late");
        EDDY_END(task);
    };
    int ended = 0;
    held cancelled(eddy_op_shield(eddy_spawn(l, set, &ended, nullptr)));
    eddy_op_cancel(cancelled);
    CHECK(l.until(cancelled) == EDDY_ECANCELED);
    held timed(eddy_op_timeout(eddy_op_shield(eddy_spawn(l, set, &ended, nullptr)), 0));
    CHECK(l.until(timed) == EDDY_ETIMEDOUT);
    eddy_unref(eddy_op_shield(eddy_spawn(l, set, &ended, nullptr)));
    CHECK(ended == 0);
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    CHECK(ended == 3);
    CHECK(u.n == 0);
    held twice(eddy_op_shield(eddy_op_shield(eddy_spawn(l, set, &ended, nullptr))));
    eddy_op_cancel(twice);
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    CHECK(u.n == 1); // once
    CHECK(u.last == -20004);
    // A leaf is kept going as well: it would be cancelled if it were dropped.
    held m(new_mutex(l));
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    held lock(eddy_mutex_lock(m));
    eddy_unref(eddy_op_shield(again(lock)));
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(lock) == EDDY_OK);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    // shield(gather) lives on; gather(shield, shield) dies alone
    held a(eddy_sleep(l, EDDY_MS(5)));
    held b(eddy_sleep(l, EDDY_MS(5)));
    eddy_op* shields[] = {eddy_op_shield(again(a)), eddy_op_shield(again(b))};
    held g(eddy_gather(l, shields, 2, 0));
    eddy_op_cancel(g);
    CHECK(l.until(g) == EDDY_ECANCELED);
    CHECK(l.until(a) == EDDY_OK);
    CHECK(l.until(b) == EDDY_OK);
    // 10^4 observers of one op that lives long leave nothing with it.
    held longlived(promise(l));
    for (int i = 0; i < 10'000; ++i) {
        held j(eddy_op_join(longlived)); // what a shield is to an op that others await
        eddy_op_cancel(j);
    }
    l.settle();
    CHECK(l.cpp.statistics().frames < 100);
}

TEST_CASE("TG-1 TG-3 TG-5 TG-6 group: joined, the first failure cancels the rest, later ones are reported") {
    c_loop l;
    unhandled u;
    CHECK(eddy_loop_on_unhandled(l, &unhandled::told, &u, nullptr) == EDDY_OK);
    eddy_group* made = nullptr;
    REQUIRE(eddy_group_new(l, 0, &made) == EDDY_OK);
    held g(made);
    held empty(eddy_group_wait(g));
    CHECK(eddy_op_status(empty) == EDDY_OK);
    trace t{};
    cleaner clean{&t, 1, 0};
    const auto fails = [](eddy_task* task, void*) -> int {
        EDDY_BEGIN(task);
        EDDY_AWAIT(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(1)));
        return eddy_fail(task, -20005, "late");
        EDDY_END(task);
    };
    held p(promise(l));
    held alone(eddy_sleep(l, EDDY_SEC(1)));
    CHECK(eddy_group_add(g, eddy_spawn(l, &cleaner_step, &clean, nullptr)) == EDDY_OK);
    CHECK(eddy_group_add(g, again(p)) == EDDY_OK);
    CHECK(eddy_group_add(g, eddy_spawn(l, fails, nullptr, nullptr)) == EDDY_OK);
    CHECK(eddy_group_add(g, again(alone)) == EDDY_OK);
    CHECK(eddy_group_add(g, again(alone)) == EDDY_EBUSY);
    CHECK(eddy_group_size(g) == 4);
    held wait(eddy_group_wait(g));
    held impatient(eddy_op_timeout(eddy_group_wait(g), EDDY_US(1)));
    CHECK(l.until(impatient) == EDDY_ETIMEDOUT);
    eddy_op_cancel(alone); // by itself: no failure
    l.settle();
    CHECK(eddy_group_size(g) == 3);
    dropped() = 0;
    static int value = 1;
    REQUIRE(eddy_promise_reject(p, -20001, "why", &value, &count_drop) == EDDY_OK);
    CHECK(l.until(wait) == -20001);
    CHECK(std::string(eddy_op_message(wait)) == "why");
    CHECK(eddy_op_value(wait) == &value);
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, 1});
    CHECK(u.n == 1); // the second failure
    CHECK(u.last == -20005);
    held again_waited(eddy_group_wait(g));
    CHECK(eddy_op_status(again_waited) == -20001);
    CHECK(eddy_op_value(again_waited) == nullptr);
    wait.drop();
    l.settle();
    CHECK(dropped() == 1);
}

TEST_CASE("TG-12 TG-14 TG-15 group.cancel: no failure; what is added later is cancelled, and awaited") {
    c_loop l;
    eddy_group* made = nullptr;
    REQUIRE(eddy_group_new(l, EDDY_GATHER_KEEP_GOING, &made) == EDDY_OK);
    held g(made);
    for (int i = 0; i < 10'000; ++i)
        CHECK(eddy_group_add(g, eddy_sleep(l, EDDY_MS(1))) == EDDY_OK);
    held all(eddy_group_wait(g));
    CHECK(l.until(all) == EDDY_OK);
    all.drop();
    l.settle();
    CHECK(l.cpp.statistics().frames < 10); // 10^4 that have ended leave nothing
    held p(promise(l));
    CHECK(eddy_group_add(g, eddy_sleep(l, EDDY_SEC(1))) == EDDY_OK);
    CHECK(eddy_group_add(g, again(p)) == EDDY_OK);
    reject(p, -20001, "no"); // with KEEP_GOING the others go on
    held wait(eddy_group_wait(g));
    CHECK(l.until(wait, EDDY_MS(500)) == EDDY_PENDING);
    eddy_group_cancel(g);
    CHECK(l.until(wait) == -20001);
    eddy_group* second = nullptr;
    REQUIRE(eddy_group_new(l, 0, &second) == EDDY_OK);
    held h(second);
    CHECK(eddy_group_add(h, eddy_sleep(l, EDDY_SEC(1))) == EDDY_OK);
    eddy_group_cancel(h);
    held ok(eddy_group_wait(h));
    CHECK(l.until(ok) == EDDY_OK);
    trace t{};
    cleaner clean{&t, 1, 0};
    held late(eddy_spawn(l, &cleaner_step, &clean, nullptr));
    CHECK(eddy_group_add(h, again(late)) == EDDY_ECLOSED);
    held wait_late(eddy_group_wait(h));
    CHECK(l.until(wait_late) == EDDY_OK);
    CHECK(eddy_op_status(late) == EDDY_ECANCELED);
    CHECK(t.n == 0); // never called
    CHECK(eddy_group_add(h, nullptr) == EDDY_ENOMEM);
    CHECK(eddy_group_new(l, 4, &second) == EDDY_ETOOBIG);
    CHECK(second == nullptr);
}

TEST_CASE("dropping a group cancels its members, which the loop brings to their end") {
    c_loop l;
    trace t{};
    cleaner clean{&t, 1, 0};
    eddy_group* g = nullptr;
    REQUIRE(eddy_group_new(l, 0, &g) == EDDY_OK);
    CHECK(eddy_group_add(g, eddy_spawn(l, &cleaner_step, &clean, nullptr)) == EDDY_OK);
    CHECK(eddy_group_add(g, eddy_sleep(l, EDDY_SEC(1))) == EDDY_OK);
    l.settle();
    eddy_unref(g);
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    CHECK(eddy_loop_now(l) == EDDY_MS(10));
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, 1});
}

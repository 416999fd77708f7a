#include "fixture.hpp"

#include <eddy/eddy.hpp>

#include <stdexcept>

using namespace eddy_test;
using namespace std::chrono_literals;

TEST_CASE("CA-9 the interrupted await answers EDDY_ECANCELED once, later awaits work, cancelled stays 1") {
    c_loop l;
    trace t{};
    cleaner s{&t, 2, 0};
    held op(eddy_spawn(l, &cleaner_step, &s, nullptr));
    l.settle();
    eddy_op_cancel(op);
    eddy_op_cancel(op); // before the first is seen: counts as one
    CHECK(eddy_op_status(op) == EDDY_PENDING);
    CHECK(t.n == 0); // never from inside the call
    CHECK(l.until(op) == EDDY_OK);
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_OK, EDDY_OK, 1});
    CHECK(eddy_op_number(op) == 2);
    CHECK(eddy_loop_now(l) == EDDY_MS(20));
}

TEST_CASE("CA-11 a second cancel interrupts the clean-up") {
    c_loop l;
    trace t{};
    cleaner s{&t, 3, 0};
    held op(eddy_spawn(l, &cleaner_step, &s, nullptr));
    l.settle();
    eddy_op_cancel(op);
    l.settle();
    eddy_op_cancel(op);
    CHECK(l.until(op) == EDDY_OK);
    CHECK(seen(t) == std::vector<int>{EDDY_ECANCELED, 1, EDDY_ECANCELED, EDDY_OK, EDDY_OK, 1});
}

TEST_CASE("CA-6 a task that was cancelled before its first step is never called; its state is dropped once") {
    c_loop l;
    dropped() = 0;
    held op(eddy_spawn(l, [](eddy_task*, void*) -> int { throw std::logic_error("called"); }, nullptr, &count_drop));
    eddy_op_cancel(op);
    CHECK(l.until(op) == EDDY_ECANCELED);
    CHECK(dropped() == 1);
}

TEST_CASE("CA-13 a lock that was granted before the cancel is kept; the request moves on to the next await") {
    c_loop l;
    held m(new_mutex(l));
    trace t{};
    locker s{m, &t, 1, EDDY_SEC(10), EDDY_PENDING};
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    held op(eddy_spawn(l, &locker_step, &s, nullptr));
    l.settle();
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    eddy_op_cancel(op);
    CHECK(l.until(op) == EDDY_OK);
    CHECK(s.status == EDDY_OK);
    CHECK(seen(t) == std::vector<int>{1});
    CHECK(eddy_loop_now(l) == 0); // the sleep with the lock was interrupted
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
}

TEST_CASE("CA-14 a cancel before the unlock: the lock goes to the next") {
    c_loop l;
    held m(new_mutex(l));
    trace t{};
    locker s[2] = {{m, &t, 1, 0, EDDY_PENDING}, {m, &t, 2, 0, EDDY_PENDING}};
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    held a(eddy_spawn(l, &locker_step, &s[0], nullptr));
    held b(eddy_spawn(l, &locker_step, &s[1], nullptr));
    l.settle();
    eddy_op_cancel(a);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    CHECK(l.until(b) == EDDY_OK);
    CHECK(eddy_op_status(a) == EDDY_ECANCELED);
    CHECK(seen(t) == std::vector<int>{2});
}

TEST_CASE(
    "CA-7 X-9 a task that only awaits finished ops gives way, and is cancelled at the latest then; the op is undone") {
    c_loop l;
    held m(new_mutex(l));
    for (eddy_mutex* mutex : {static_cast<eddy_mutex*>(m), static_cast<eddy_mutex*>(nullptr)}) {
        CAPTURE(mutex == nullptr);
        runner s{mutex, 0};
        held op(eddy_spawn(l, &runner_step, &s, nullptr));
        trace t{};
        yielder y{&t, 1, 3, 0};
        held other(eddy_spawn(l, &yielder_step, &y, nullptr));
        CHECK(l.until(other) == EDDY_OK); // it is not starved
        CHECK(eddy_op_status(op) == EDDY_PENDING);
        if (mutex != nullptr) CHECK(s.n >= 127);
        eddy_op_cancel(op);
        CHECK(l.until(op) == EDDY_OK);
        CHECK(eddy_op_number(op) == s.n);
    }
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK); // the lock of the cancelled await was undone
}

TEST_CASE("CA-15 uncancel: the request that has not been delivered is forgotten") {
    c_loop l;
    held op(eddy_spawn_copy(
        l,
        [](eddy_task* task, void*) -> int {
            EDDY_BEGIN(task);
            eddy_op_cancel(eddy_task_op(task));
            if (eddy_task_cancelled(task) != 1) return eddy_fail(task, -20001, "not cancelled");
            eddy_task_uncancel(task);
            if (eddy_task_cancelled(task) != 0) return eddy_fail(task, -20002, "still cancelled");
            EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(1)));
            EDDY_END(task);
        },
        nullptr, 0));
    CHECK(l.until(op) == EDDY_OK);
}

TEST_CASE("CA-5 a task that cancels itself and returns has its value; the next unfinished await is interrupted") {
    c_loop l;
    held op(eddy_spawn_copy(
        l,
        [](eddy_task* task, void*) -> int {
            eddy_op_cancel(eddy_task_op(task));
            return eddy_return_number(task, 7);
        },
        nullptr, 0));
    CHECK(l.until(op) == EDDY_OK);
    CHECK(eddy_op_number(op) == 7);
    held next(eddy_spawn_copy(
        l,
        [](eddy_task* task, void*) -> int {
            EDDY_BEGIN(task);
            eddy_op_cancel(eddy_task_op(task));
            EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(1)));
            EDDY_END(task);
        },
        nullptr, 0));
    CHECK(l.until(next) == EDDY_ECANCELED);
    CHECK(eddy_loop_now(l) == 0);
}

TEST_CASE("CA-4 cancelling goes down a chain of awaits, 100000 deep, without using the stack") {
    c_loop l;
    constexpr int depth = 100'000;
    std::vector<waiter> states(depth);
    eddy_op* op = eddy_sleep(l, EDDY_SEC(1));
    for (waiter& s : states) {
        s.op = op;
        op = eddy_spawn(l, &waiter_step, &s, nullptr);
    }
    held top(op);
    l.settle();
    SUBCASE("cancelled") {
        eddy_op_cancel(top);
        CHECK(l.until(top) == EDDY_ECANCELED);
        CHECK(eddy_loop_now(l) == 0);
    }
    SUBCASE("run to its end") { CHECK(l.until(top) == EDDY_OK); }
    SUBCASE("a deadline on top") {
        eddy_op_timeout(top, EDDY_MS(5));
        CHECK(l.until(top) == EDDY_ETIMEDOUT);
        CHECK(eddy_loop_now(l) == EDDY_MS(5));
    }
    SUBCASE("dropped where they wait") {
        l.finish(EDDY_ETIMEDOUT, true); // more than can be cancelled in no time
        CHECK(eddy_op_status(top) == EDDY_ECLOSED);
        CHECK(l.cpp.statistics().frames == 1);
    }
}

TEST_CASE("outcomes: value, number, failure with value, propagation, message; the last one set counts") {
    c_loop l;
    dropped() = 0;
    static int value = 1;
    held inner(eddy_spawn_copy(
        l,
        [](eddy_task* task, void*) -> int {
            eddy_return(task, &value, &count_drop); // replaced
            return eddy_fail_with(task, -20005, "no luck", &value, &count_drop);
        },
        nullptr, 0));
    CHECK(eddy_op_value(inner) == nullptr);
    CHECK(l.until(inner) == -20005);
    CHECK(dropped() == 1);
    CHECK(std::string(eddy_op_message(inner)) == "no luck");
    CHECK(eddy_op_value(inner) == &value);
    waiter w{inner.give()};
    held outer(eddy_spawn(l, &waiter_step, &w, nullptr));
    CHECK(l.until(outer) == -20005);
    CHECK(std::string(eddy_op_message(outer)) == "no luck");
    CHECK(dropped() == 1);
    CHECK(eddy_op_take(outer) == &value);
    CHECK(eddy_op_take(outer) == nullptr);
    outer.drop();
    CHECK(dropped() == 1); // taken: no longer eddy's
    held positive(
        eddy_spawn_copy(l, [](eddy_task* task, void*) -> int { return eddy_fail(task, 5, nullptr); }, nullptr, 0));
    CHECK(l.until(positive) == EDDY_EINVAL);
}

TEST_CASE("eddy_spawn_copy copies the state, aligned, or gives zeroes") {
    c_loop l;
    struct state {
        long double x;
        int y;
    } init{1.5L, 9};
    const auto step = [](eddy_task* task, void* s) -> int {
        auto* mine = static_cast<state*>(s);
        if (reinterpret_cast<std::uintptr_t>(s) % 16 != 0) return eddy_fail(task, -20001, nullptr);
        return eddy_return_number(task, static_cast<std::int64_t>(mine->x * 2) + mine->y);
    };
    held copy(eddy_spawn_copy(l, step, &init, sizeof init));
    init.y = 0;
    CHECK(l.until(copy) == EDDY_OK);
    CHECK(eddy_op_number(copy) == 12);
    held zero(eddy_spawn_copy(l, step, nullptr, sizeof init));
    CHECK(l.until(zero) == EDDY_OK);
    CHECK(eddy_op_number(zero) == 0);
    CHECK(eddy_spawn_copy(l, step, nullptr, SIZE_MAX) == nullptr);
}

TEST_CASE("EDDY_YIELD lets the others go first") {
    c_loop l;
    trace t{};
    yielder s[2] = {{&t, 1, 3, 0}, {&t, 2, 3, 0}};
    held a(eddy_spawn(l, &yielder_step, &s[0], nullptr));
    held b(eddy_spawn(l, &yielder_step, &s[1], nullptr));
    CHECK(l.until(b) == EDDY_OK);
    CHECK(seen(t) == std::vector<int>{1, 2, 1, 2, 1, 2});
}

TEST_CASE("misuse of a step is the task's error, or EDDY_ESTATE") {
    c_loop l;
    const auto ends_with = [&](eddy_step_fn step) {
        held op(eddy_spawn(l, step, nullptr, nullptr));
        return l.until(op);
    };
    CHECK(ends_with([](eddy_task*, void*) -> int { return EDDY_STEP_WAIT; }) == EDDY_ESTATE);
    CHECK(ends_with([](eddy_task*, void*) -> int { return 77; }) == EDDY_EINVAL);
    CHECK(ends_with([](eddy_task* t, void*) -> int {
              eddy_await(t, eddy_sleep(eddy_task_loop(t), 5), 1);
              return EDDY_STEP_YIELD;
          }) == EDDY_ESTATE);
    CHECK(ends_with([](eddy_task* t, void*) -> int { // gives up what it awaits
              eddy_await(t, eddy_sleep(eddy_task_loop(t), EDDY_SEC(5)), 1);
              if (eddy_await(t, eddy_sleep(eddy_task_loop(t), 5), 1) != EDDY_ESTATE) return eddy_fail(t, -20001, "");
              return EDDY_STEP_DONE;
          }) == EDDY_OK);
    CHECK(ends_with([](eddy_task* t, void*) -> int {
              EDDY_BEGIN(t);
              EDDY_TRY(t, static_cast<eddy_op*>(eddy_ref(eddy_task_op(t))));
              EDDY_END(t);
          }) == EDDY_EINVAL); // itself
    CHECK(ends_with([](eddy_task* t, void*) -> int {
              EDDY_BEGIN(t);
              EDDY_TRY(t, nullptr);
              EDDY_END(t);
          }) == EDDY_ENOMEM);
    CHECK(ends_with([](eddy_task*, void*) -> int { throw std::runtime_error("out of a step"); }) == EDDY_EEXCEPTION);
    CHECK(eddy_loop_now(l) == 0);
    held none(eddy_spawn(l, nullptr, nullptr, nullptr));
    CHECK(eddy_op_status(none) == EDDY_EINVAL);
    CHECK(eddy_await(nullptr, eddy_sleep(l, 1), 0) == EDDY_ESTATE);
}

TEST_CASE("an op has one consumer: a second await answers EDDY_EBUSY") {
    c_loop l;
    eddy_op* sleep = eddy_sleep(l, EDDY_MS(1));
    waiter w[2] = {{sleep}, {static_cast<eddy_op*>(eddy_ref(sleep))}};
    held a(eddy_spawn(l, &waiter_step, &w[0], nullptr));
    held b(eddy_spawn(l, &waiter_step, &w[1], nullptr));
    CHECK(l.until(b) == EDDY_EBUSY);
    CHECK(l.until(a) == EDDY_OK);
}

TEST_CASE("an abandoned task goes on; its error, which nobody can see, is reported once") {
    c_loop l;
    int reports = 0;
    std::string what;
    l.cpp.set_exception_handler([&](const eddy::error_context& c) {
        ++reports;
        try {
            std::rethrow_exception(c.exception);
        } catch (const std::exception& e) {
            what = e.what();
        }
    });
    trace t{};
    yielder y{&t, 1, 2, 0};
    eddy_unref(eddy_spawn(l, &yielder_step, &y, nullptr));
    const auto fails = [](eddy_task* task, void*) -> int { return eddy_fail(task, EDDY_EINVAL, "bad luck"); };
    eddy_unref(eddy_spawn(l, fails, nullptr, nullptr));
    held looked(eddy_spawn(l, fails, nullptr, nullptr));
    l.settle();
    CHECK(t.n == 2);
    CHECK(reports == 1);
    CHECK(what == "EDDY_EINVAL: bad luck");
    CHECK(eddy_op_status(looked) == EDDY_EINVAL);
    looked.drop();
    l.settle();
    CHECK(reports == 1);
}

TEST_CASE("X-3 100000 gets that time out leave nothing") {
    c_loop l;
    held q(new_queue(l));
    for (int i = 0; i < 100'000; ++i) {
        held op(eddy_op_timeout(eddy_queue_get(q), 1));
        if (i % 2 == 0) {
            l.cpp.advance(1ns);
            CHECK(eddy_op_status(op) == EDDY_ETIMEDOUT);
        }
    }
    l.settle();
    CHECK(l.cpp.statistics().waiters == 0);
    CHECK(l.cpp.statistics().timers == 0);
    CHECK(eddy::capi::queue_of(q).statistics().getters == 0);
}

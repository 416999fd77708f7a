#include "fixture.hpp"

#include "core/state.hpp"

#include <eddy/eddy.hpp>

#include <string>
#include <thread>

using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

struct told {
    int calls = 0;
    int status = EDDY_PENDING;
    int drops = 0;
    static void done(eddy_op* op, void* user) {
        auto* self = static_cast<told*>(user);
        ++self->calls;
        self->status = eddy_op_status(op);
    }
    static void drop(void* user) { ++static_cast<told*>(user)->drops; }
};

} // namespace

TEST_CASE("eddy_op_then is told from the loop, never inside a call, and drops once") {
    c_loop l;
    told t;
    SUBCASE("of an op that finishes later") {
        CHECK(eddy_op_then(eddy_sleep(l, EDDY_MS(1)), &told::done, &t, &told::drop) == EDDY_OK);
        l.settle();
        CHECK(t.calls == 0);
        CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
        CHECK(t.status == EDDY_OK);
    }
    SUBCASE("of one that has finished, and was looked at") {
        held m(new_mutex(l));
        held lock(eddy_mutex_lock(m));
        CHECK(eddy_op_status(lock) == EDDY_OK);
        CHECK(eddy_op_then(static_cast<eddy_op*>(eddy_ref(lock)), &told::done, &t, &told::drop) == EDDY_OK);
        CHECK(t.calls == 0);
        CHECK(eddy_op_then(static_cast<eddy_op*>(eddy_ref(lock)), &told::done, &t, nullptr) == EDDY_EBUSY);
        l.settle();
        CHECK(t.status == EDDY_OK);
    }
    SUBCASE("of one that is looked at between its end and the call") {
        held q(new_queue(l));
        held get(eddy_queue_get(q));
        CHECK(eddy_op_then(static_cast<eddy_op*>(eddy_ref(get)), &told::done, &t, &told::drop) == EDDY_OK);
        int item = 1;
        CHECK(eddy_queue_try_put(q, &item) == EDDY_OK);
        CHECK(eddy_op_status(get) == EDDY_OK);
        CHECK(t.calls == 0);
        l.settle();
        CHECK(t.status == EDDY_OK);
    }
    SUBCASE("of one that is cancelled") {
        held op(eddy_sleep(l, EDDY_SEC(1)));
        CHECK(eddy_op_then(static_cast<eddy_op*>(eddy_ref(op)), &told::done, &t, &told::drop) == EDDY_OK);
        eddy_op_cancel(op);
        CHECK(t.calls == 0);
        l.settle();
        CHECK(t.status == EDDY_ECANCELED);
    }
    CHECK(t.calls == 1);
    CHECK(t.drops == 1);
}

TEST_CASE("eddy_op_then that is refused drops and does not call; NULL is an op everywhere") {
    c_loop l;
    told t;
    CHECK(eddy_op_then(nullptr, &told::done, &t, &told::drop) == EDDY_ENOMEM);
    CHECK(t.drops == 1);
    CHECK(eddy_op_then(eddy_sleep(l, 1), nullptr, &t, &told::drop) == EDDY_EINVAL);
    CHECK(t.drops == 2);
    CHECK(eddy_op_status(nullptr) == EDDY_ENOMEM);
    CHECK(std::string(eddy_op_message(nullptr)).empty());
    CHECK(eddy_op_value(nullptr) == nullptr);
    CHECK(eddy_op_take(nullptr) == nullptr);
    CHECK(eddy_op_number(nullptr) == 0);
    CHECK(eddy_op_loop(nullptr) == nullptr);
    CHECK(eddy_op_timeout(nullptr, 5) == nullptr);
    CHECK(eddy_loop_run_until(l, nullptr, 0) == EDDY_ENOMEM);
    eddy_op_cancel(nullptr);
    eddy_unref(nullptr);
    CHECK(eddy_ref(nullptr) == nullptr);
    CHECK(eddy_sleep(nullptr, 1) == nullptr);
    CHECK(eddy_queue_get(nullptr) == nullptr);
    CHECK(eddy_mutex_lock(nullptr) == nullptr);
    CHECK(eddy_promise_resolve(nullptr, nullptr, nullptr, 0) == EDDY_ESTATE);
    CHECK(eddy_promise(nullptr, nullptr, &t, &told::drop) == nullptr);
    CHECK(t.drops == 3);
    CHECK(t.calls == 0);
}

TEST_CASE("without memory for the op the answer is NULL, and what was taken is freed") {
    c_loop l;
    held q(new_queue(l, 0, &count_drop));
    dropped() = 0;
    eddy::engine::pool* pool = &l.cpp.detail_state().memory();
    static bool fail = false;
    pool->set_fault([](void*, std::size_t) noexcept { return fail; }, nullptr);
    static int item = 1;
    fail = true;
    eddy_op* put = eddy_queue_put(q, &item);
    eddy_op* spawned = eddy_spawn(l, [](eddy_task*, void*) -> int { return 0; }, nullptr, &count_drop);
    eddy_op* slept = eddy_sleep(l, 1);
    const int soon = eddy_call_soon(l, [](void*) {}, nullptr, &count_drop);
    fail = false;
    pool->set_fault(nullptr, nullptr);
    CHECK(put == nullptr);
    CHECK(spawned == nullptr);
    CHECK(slept == nullptr);
    CHECK(soon == EDDY_ENOMEM);
    CHECK(dropped() == 3);
    CHECK(eddy_queue_size(q) == 0);
}

TEST_CASE("EV-6 deadlines: a cancel with another name; the earliest counts; who comes in time has come in time") {
    c_loop l;
    held slow(eddy_op_timeout(eddy_op_timeout(eddy_sleep(l, EDDY_SEC(1)), EDDY_MS(500)), EDDY_MS(100)));
    eddy_op_timeout(slow, EDDY_MS(300));
    eddy_op_timeout(slow, EDDY_FOREVER);
    CHECK(l.until(slow) == EDDY_ETIMEDOUT);
    CHECK(eddy_loop_now(l) == EDDY_MS(100));
    held same(eddy_op_timeout(eddy_sleep(l, EDDY_MS(10)), EDDY_MS(10)));
    CHECK(l.until(same) == EDDY_OK);
    held cancelled(eddy_op_timeout(eddy_sleep(l, EDDY_SEC(1)), EDDY_MS(500)));
    eddy_op_cancel(cancelled);
    CHECK(l.until(cancelled) == EDDY_ECANCELED);
    CHECK(l.cpp.statistics().timers == 0);
    held m(new_mutex(l));
    held now(eddy_op_timeout(eddy_mutex_lock(m), 0)); // has succeeded
    CHECK(l.until(now) == EDDY_OK);
    held late(eddy_op_timeout(eddy_mutex_lock(m), 0));
    CHECK(l.until(late) == EDDY_ETIMEDOUT);
    CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    // Armed before the sleep that ends at the same instant.
    const auto sleeps = [](eddy_task* task, void*) -> int {
        EDDY_BEGIN(task);
        EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(10)));
        EDDY_END(task);
    };
    held just(eddy_op_timeout(eddy_spawn(l, sleeps, nullptr, nullptr), EDDY_MS(10)));
    CHECK(l.until(just) == EDDY_OK);
    held missed(eddy_op_timeout(eddy_spawn(l, sleeps, nullptr, nullptr), EDDY_MS(9)));
    CHECK(l.until(missed) == EDDY_ETIMEDOUT);
    CHECK(eddy_loop_now(l) == EDDY_MS(129));
    held endless(eddy_op_timeout(eddy_sleep(l, EDDY_FOREVER), EDDY_SEC(1)));
    CHECK(l.until(endless) == EDDY_ETIMEDOUT);
}

TEST_CASE("sleep: never early, zero and past give way, an absolute time") {
    c_loop l;
    held a(eddy_sleep(l, EDDY_MS(5)));
    CHECK(l.until(a, EDDY_MS(4)) == EDDY_PENDING);
    CHECK(l.until(a) == EDDY_OK);
    CHECK(eddy_loop_now(l) == EDDY_MS(5));
    held zero(eddy_sleep(l, 0));
    held past(eddy_sleep_until(l, EDDY_MS(1)));
    CHECK(eddy_op_status(zero) == EDDY_PENDING);
    CHECK(l.until(past) == EDDY_OK);
    CHECK(eddy_op_status(zero) == EDDY_OK);
    held at(eddy_sleep_until(l, EDDY_MS(9)));
    CHECK(l.until(at) == EDDY_OK);
    CHECK(eddy_loop_now(l) == EDDY_MS(9));
}

TEST_CASE("queue: closed, full, empty; a failed put keeps its item; items that nobody took are freed") {
    c_loop l;
    dropped() = 0;
    static int items[6] = {0, 1, 2, 3, 4, 5};
    held q(new_queue(l, 2, &count_drop));
    CHECK(eddy_queue_try_put(q, &items[0]) == EDDY_OK);
    held second(eddy_queue_put(q, &items[1]));
    CHECK(eddy_op_status(second) == EDDY_OK);
    CHECK(eddy_queue_try_put(q, &items[2]) == EDDY_EAGAIN);
    held third(eddy_queue_put(q, &items[3]));
    held fourth(eddy_queue_put(q, &items[4]));
    CHECK(eddy_op_status(third) == EDDY_PENDING);
    eddy_op_cancel(third);
    l.settle();
    CHECK(eddy_op_status(third) == EDDY_ECANCELED);
    CHECK(eddy_op_take(third) == &items[3]);
    eddy_queue_close(q);
    CHECK(eddy_op_status(fourth) == EDDY_ECLOSED);
    fourth.drop();
    l.settle();
    CHECK(dropped() == 1); // its item was the op's
    held fifth(eddy_queue_put(q, &items[5]));
    CHECK(eddy_op_status(fifth) == EDDY_ECLOSED);
    CHECK(eddy_op_value(fifth) == &items[5]);
    CHECK(eddy_queue_try_put(q, &items[2]) == EDDY_ECLOSED);
    void* out = nullptr;
    CHECK(eddy_queue_try_get(q, &out) == EDDY_OK);
    CHECK(out == &items[0]);
    CHECK(eddy_queue_done(q) == EDDY_OK);
    CHECK(eddy_queue_done(q) == EDDY_ESTATE);
    held join(eddy_queue_join(q));
    CHECK(eddy_op_status(join) == EDDY_PENDING);
    held get(eddy_queue_get(q));
    CHECK(eddy_op_status(get) == EDDY_OK);
    CHECK(eddy_queue_done(q) == EDDY_OK);
    CHECK(eddy_op_status(join) == EDDY_OK);
    get.drop(); // seen, not taken
    l.settle();
    CHECK(dropped() == 2);
    held last(eddy_queue_get(q));
    CHECK(eddy_op_status(last) == EDDY_ECLOSED);
    CHECK(eddy_queue_try_get(q, &out) == EDDY_ECLOSED);
    CHECK(out == nullptr);
    held open(new_queue(l, 0, &count_drop));
    CHECK(eddy_queue_try_get(open, &out) == EDDY_EAGAIN);
    CHECK(eddy_queue_try_put(open, &items[0]) == EDDY_OK);
    open.drop();
    l.settle();
    CHECK(dropped() == 3);
}

TEST_CASE("promise: the first outcome counts, a later one is freed; value, number, message; dropped unseen") {
    c_loop l;
    dropped() = 0;
    static int value = 1;
    held p(eddy_promise(l, nullptr, nullptr, nullptr));
    CHECK(eddy_op_status(p) == EDDY_PENDING);
    CHECK(eddy_promise_reject(p, 3, nullptr, &value, &count_drop) == EDDY_EINVAL);
    CHECK(dropped() == 1);
    CHECK(eddy_promise_resolve(p, &value, &count_drop, 42) == EDDY_OK);
    CHECK(eddy_promise_reject(p, -20001, "late", &value, &count_drop) == EDDY_ESTATE);
    CHECK(dropped() == 2);
    CHECK(eddy_op_status(p) == EDDY_OK);
    CHECK(eddy_op_number(p) == 42);
    p.drop();
    CHECK(dropped() == 2); // destroyed by the loop, soon
    l.settle();
    CHECK(dropped() == 3);
    held r(eddy_promise(l, nullptr, nullptr, nullptr));
    CHECK(eddy_promise_reject(r, -20001, "why", nullptr, &count_drop) == EDDY_OK);
    CHECK(l.until(r) == -20001);
    CHECK(std::string(eddy_op_message(r)) == "why");
    int reports = 0;
    l.cpp.set_exception_handler([&](const eddy::error_context&) { ++reports; });
    eddy_op* unseen = eddy_promise(l, nullptr, nullptr, nullptr);
    CHECK(eddy_promise_reject(unseen, -20001, "unseen", &value, &count_drop) == EDDY_OK);
    eddy_unref(unseen);
    l.settle();
    CHECK(dropped() == 4);
    CHECK(reports == 1);
    CHECK(eddy_promise_resolve(r, nullptr, nullptr, 0) == EDDY_ESTATE);
    held sleep(eddy_sleep(l, 1));
    CHECK(eddy_promise_resolve(sleep, nullptr, nullptr, 0) == EDDY_EINVAL);
}

TEST_CASE("promise: on_cancel is told once, from the loop, and answers; dropped once") {
    c_loop l;
    struct state {
        int told = 0;
        int drops = 0;
        int answer = 0;
        static void on_cancel(eddy_op* op, void* user) {
            auto* s = static_cast<state*>(user);
            ++s->told;
            if (s->answer == EDDY_OK)
                eddy_promise_resolve(op, nullptr, nullptr, 5);
            else
                eddy_promise_reject(op, s->answer, nullptr, nullptr, nullptr);
        }
        static void drop(void* user) { ++static_cast<state*>(user)->drops; }
    } s;
    SUBCASE("with its cancellation") { s.answer = EDDY_ECANCELED; }
    SUBCASE("with success: it has succeeded") { s.answer = EDDY_OK; }
    held p(eddy_promise(l, &state::on_cancel, &s, &state::drop));
    eddy_op_cancel(p);
    eddy_op_cancel(p);
    CHECK(s.told == 0);
    CHECK(l.until(p) == s.answer);
    CHECK(s.told == 1);
    CHECK(s.drops == 1);
    held plain(eddy_promise(l, nullptr, &s, &state::drop));
    eddy_op_cancel(plain); // nobody could answer
    CHECK(l.until(plain) == EDDY_ECANCELED);
    CHECK(s.drops == 2);
    CHECK(eddy_promise_resolve(plain, nullptr, nullptr, 0) == EDDY_ESTATE);
    held dropped_unfinished(eddy_promise(l, &state::on_cancel, &s, &state::drop));
    dropped_unfinished.drop();
    l.settle();
    CHECK(s.told == 1);
    CHECK(s.drops == 3);
}

TEST_CASE("promise: the task that awaits one is told by a deadline at the same instant or by the value, never twice") {
    for (int resolve_at = 9; resolve_at <= 11; ++resolve_at) {
        CAPTURE(resolve_at);
        c_loop l;
        held p(eddy_promise(l, nullptr, nullptr, nullptr));
        waiter w{eddy_op_timeout(static_cast<eddy_op*>(eddy_ref(p)), EDDY_MS(10))};
        held task(eddy_spawn(l, &waiter_step, &w, nullptr));
        int answer = 0;
        l.cpp.call_later(std::chrono::milliseconds(resolve_at),
                         [&] { answer = eddy_promise_resolve(p, nullptr, nullptr, 1); });
        CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
        CHECK((answer == EDDY_OK) == (eddy_op_status(task) == EDDY_OK));
        CHECK((eddy_op_status(task) == EDDY_OK || eddy_op_status(task) == EDDY_ETIMEDOUT));
    }
}

TEST_CASE("any thread: promises are made and resolved, ops cancelled and dropped elsewhere") {
    eddy_loop* l = nullptr;
    REQUIRE(eddy_loop_new(nullptr, &l) == EDDY_OK);
    constexpr int n = 2000;
    std::vector<eddy_op*> resolved;
    std::vector<eddy_op*> cancelled;
    std::vector<eddy_op*> shared;
    for (int i = 0; i < n; ++i) {
        resolved.push_back(eddy_promise(l, nullptr, nullptr, nullptr));
        cancelled.push_back(eddy_sleep(l, EDDY_SEC(3600)));
        shared.push_back(eddy_sleep(l, EDDY_SEC(3600)));
        eddy_ref(resolved.back());
        eddy_ref(cancelled.back());
        eddy_ref(shared.back());
    }
    held stop(eddy_promise(l, nullptr, nullptr, nullptr));
    std::thread other([&] {
        for (int i = 0; i < n; ++i) {
            const auto k = static_cast<std::size_t>(i);
            CHECK(eddy_promise_resolve(resolved[k], nullptr, nullptr, i) == EDDY_OK);
            eddy_unref(resolved[k]);
            eddy_op_cancel(cancelled[k]);
            eddy_op_cancel(cancelled[k]);
            eddy_unref(cancelled[k]);
            eddy_unref(shared[k]);
            eddy_op* mine = eddy_promise(l, nullptr, nullptr, nullptr);
            eddy_promise_reject(mine, EDDY_ECANCELED, "text", nullptr, nullptr);
            eddy_unref(mine);
        }
        eddy_promise_resolve(stop, nullptr, nullptr, 0);
    });
    for (eddy_op* op : shared)
        eddy_unref(op);
    CHECK(eddy_loop_run_until(l, stop, EDDY_FOREVER) == EDDY_OK);
    for (int i = 0; i < n; ++i) {
        const auto k = static_cast<std::size_t>(i);
        CHECK(eddy_loop_run_until(l, resolved[k], EDDY_FOREVER) == EDDY_OK);
        CHECK(eddy_op_number(resolved[k]) == i);
        CHECK(eddy_loop_run_until(l, cancelled[k], EDDY_FOREVER) == EDDY_ECANCELED);
        eddy_unref(resolved[k]);
        eddy_unref(cancelled[k]);
    }
    other.join();
    CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 0);
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    eddy_unref(l);
}

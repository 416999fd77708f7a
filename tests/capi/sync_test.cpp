// Semaphores, events, wakers, posts and puts from other threads, offloaded functions.
#include "fixture.hpp"

#include <eddy/eddy.hpp>

#include <atomic>
#include <string>
#include <thread>

using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

eddy_sem* new_sem(eddy_loop* l, std::uint64_t n) {
    eddy_sem* s = nullptr;
    REQUIRE(eddy_sem_new(l, n, &s) == EDDY_OK);
    return s;
}
eddy_event* new_event(eddy_loop* l) {
    eddy_event* e = nullptr;
    REQUIRE(eddy_event_new(l, &e) == EDDY_OK);
    return e;
}

} // namespace

TEST_CASE("SM-2 semaphore: in the order of asking, all or nothing; what nobody looked at goes back") {
    c_loop l;
    held s(new_sem(l, 3));
    held two(eddy_sem_acquire(s, 2));
    CHECK(eddy_op_status(two) == EDDY_OK);
    held big(eddy_sem_acquire(s, 3));
    held small(eddy_sem_acquire(s, 1));
    CHECK(eddy_op_status(small) == EDDY_PENDING); // behind the big one
    CHECK(eddy_sem_try_acquire(s, 1) == EDDY_EAGAIN);
    held none(eddy_sem_acquire(s, 0));
    CHECK(eddy_op_status(none) == EDDY_OK);
    eddy_op_cancel(big);
    CHECK(l.until(small) == EDDY_OK);
    CHECK(eddy_op_status(big) == EDDY_ECANCELED);
    CHECK(eddy_sem_release(s, 3) == EDDY_OK);
    {
        held unseen(eddy_sem_acquire(s, 3));
        CHECK(eddy_sem_try_acquire(s, 1) == EDDY_EAGAIN);
    }
    l.settle();
    CHECK(eddy_sem_try_acquire(s, 3) == EDDY_OK);
    CHECK(eddy_sem_release(s, PTRDIFF_MAX) == EDDY_OK);
    CHECK(eddy_sem_release(s, 1) == EDDY_EINVAL); // the count would overflow; it is unchanged
    CHECK(eddy_sem_try_acquire(s, PTRDIFF_MAX) == EDDY_OK);
    CHECK(eddy_sem_release(s, UINT64_MAX) == EDDY_EINVAL);
    held too_many(eddy_sem_acquire(s, UINT64_MAX));
    CHECK(eddy_op_status(too_many) == EDDY_EINVAL);
    CHECK(eddy_sem_resize(s, 5) == EDDY_OK); // from 3
    CHECK(eddy_sem_try_acquire(s, 2) == EDDY_OK);
    CHECK(eddy_sem_try_acquire(s, 1) == EDDY_EAGAIN);
    eddy_sem* out = nullptr;
    CHECK(eddy_sem_new(l, UINT64_MAX, &out) == EDDY_EINVAL);
    CHECK(eddy::capi::semaphore_of(s).available() == 0);
}

TEST_CASE("EV-1 EV-4 event: all who wait go, also when it is cleared at once; later ones until clear") {
    c_loop l;
    held e(new_event(l));
    held a(eddy_event_wait(e));
    held b(eddy_event_wait(e));
    CHECK(eddy_event_is_set(e) == 0);
    eddy_event_set(e);
    CHECK(eddy_event_is_set(e) == 1);
    eddy_event_clear(e);
    CHECK(eddy_event_is_set(e) == 0);
    CHECK(eddy_op_status(a) == EDDY_OK);
    CHECK(l.until(b) == EDDY_OK);
    held c(eddy_op_timeout(eddy_event_wait(e), EDDY_MS(1)));
    CHECK(l.until(c) == EDDY_ETIMEDOUT);
    eddy_event_set(e);
    held d(eddy_event_wait(e));
    CHECK(eddy_op_status(d) == EDDY_OK);
    // Dropped while somebody waits.
    eddy_event_clear(e);
    held w(eddy_event_wait(e));
    e.drop();
    CHECK(l.until(w) == EDDY_ECLOSED);
}

namespace {

struct parker {
    eddy_waker* waker;
    int rounds;
    int cancelled;
};
int parker_step(eddy_task* task, void* state) {
    auto* s = static_cast<parker*>(state);
    EDDY_BEGIN(task);
    s->waker = eddy_task_waker(task);
    for (;;) {
        EDDY_PARK(task);
        ++s->rounds;
        s->cancelled = eddy_task_cancelled(task);
        if (s->cancelled != 0) return eddy_fail(task, EDDY_ECANCELED, nullptr);
    }
    EDDY_END(task);
}

} // namespace

TEST_CASE("park: woken, woken before it parks, several wakes are one, cancelled; after its end nothing") {
    c_loop l;
    parker s{};
    held task(eddy_spawn(l, &parker_step, &s, nullptr));
    l.settle();
    REQUIRE(s.waker != nullptr);
    CHECK(s.rounds == 0);
    eddy_waker_wake(s.waker);
    eddy_waker_wake(s.waker);
    l.settle();
    CHECK(s.rounds == 1);
    CHECK(l.until(task, EDDY_SEC(1)) == EDDY_PENDING); // somebody may wake it: no deadlock
    eddy_op_info info;
    EDDY_INIT(&info);
    CHECK(eddy_op_get_info(task, &info) == EDDY_OK);
    CHECK(std::string(info.waiting_for) == "park");
    CHECK(info.steps == 2);
    eddy_op_cancel(task);
    CHECK(l.until(task) == EDDY_ECANCELED);
    CHECK(s.rounds == 2);
    CHECK(s.cancelled == 1);
    eddy_waker_wake(s.waker);
    eddy_waker_wake(nullptr);
    l.settle();
    CHECK(s.rounds == 2);
    eddy_unref(s.waker);
    CHECK(eddy_task_waker(nullptr) == nullptr);
    // A wake while it runs is remembered.
    const auto wakes_itself = [](eddy_task* t, void*) -> int {
        EDDY_BEGIN(t);
        {
            eddy_waker* w = eddy_task_waker(t);
            eddy_waker_wake(w);
            eddy_unref(w);
        }
        EDDY_PARK(t);
        EDDY_END(t);
    };
    held early(eddy_spawn(l, wakes_itself, nullptr, nullptr));
    CHECK(l.until(early) == EDDY_OK);
    const auto asked_before = [](eddy_task* t, void*) -> int {
        EDDY_BEGIN(t);
        eddy_op_cancel(eddy_task_op(t));
        EDDY_PARK(t);
        return eddy_return_number(t, eddy_task_cancelled(t));
        EDDY_END(t);
    };
    held interrupted(eddy_spawn(l, asked_before, nullptr, nullptr));
    CHECK(l.until(interrupted) == EDDY_OK);
    CHECK(eddy_op_number(interrupted) == 1);
}

TEST_CASE(
    "LP-13 LP-14 other threads: posts, puts, sets and wakes arrive, in each thread's order, while the loop sleeps") {
    eddy_loop* l = new_loop();
    constexpr int n = 5000;
    held q(new_queue(l, 1)); // full: it does not matter
    held e(new_event(l));
    struct state {
        std::vector<int> got;
        eddy_event* e;
    } s{{}, e};
    static std::vector<int>* got;
    got = &s.got;
    dropped() = 0;
    eddy_loop_hold(l); // who waits is woken by a thread that the loop does not know
    static int numbers[n];
    for (int i = 0; i < n; ++i)
        numbers[i] = i;
    std::thread other([&] {
        for (int& i : numbers) {
            const auto call = [](void* user) { got->push_back(*static_cast<int*>(user)); };
            CHECK(eddy_call_soon_threadsafe(l, call, &i, &count_drop) == EDDY_OK);
            CHECK(eddy_queue_put_threadsafe(q, &i) == EDDY_OK);
        }
        std::this_thread::sleep_for(5ms); // the loop sleeps meanwhile
        eddy_event_set(e);
    });
    held wait(eddy_event_wait(e));
    CHECK(eddy_loop_run_until(l, wait, EDDY_FOREVER) == EDDY_OK);
    other.join();
    CHECK(eddy_loop_alive(l) == 1);
    eddy_loop_release(l);
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
    CHECK(s.got.size() == n);
    CHECK(std::is_sorted(s.got.begin(), s.got.end()));
    CHECK(dropped() == n);
    CHECK(eddy_queue_size(q) == n);
    for (int& i : numbers) {
        void* item = nullptr;
        REQUIRE(eddy_queue_try_get(q, &item) == EDDY_OK);
        CHECK(item == &i);
    }
    eddy_queue_close(q);
    CHECK(eddy_queue_put_threadsafe(q, &numbers[0]) == EDDY_ECLOSED);
    CHECK(eddy_call_soon_threadsafe(l, nullptr, nullptr, &count_drop) == EDDY_EINVAL);
    CHECK(dropped() == n + 1);
    // Accepted, but the loop closes first: dropped, not called.
    CHECK(eddy_call_soon_threadsafe(l, [](void*) { CHECK(false); }, nullptr, &count_drop) == EDDY_OK);
    held late(new_queue(l, 0, &count_drop));
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    CHECK(dropped() == n + 2);
    CHECK(eddy_call_soon_threadsafe(l, [](void*) {}, nullptr, &count_drop) == EDDY_ECLOSED);
    CHECK(dropped() == n + 3);
    CHECK(eddy_queue_put_threadsafe(late, &numbers[0]) == EDDY_ECLOSED);
    CHECK(dropped() == n + 3); // stays the caller's
    eddy_unref(l);
}

TEST_CASE("a put from another thread that finds the queue closed is freed") {
    c_loop l;
    dropped() = 0;
    static int item = 1;
    held q(new_queue(l, 0, &count_drop));
    held put(eddy_queue_get(q));
    CHECK(eddy_queue_put_threadsafe(q, &item) == EDDY_OK);
    CHECK(l.until(put) == EDDY_OK);
    CHECK(eddy_op_take(put) == &item);
    std::thread([&] { CHECK(eddy_queue_put_threadsafe(q, &item) == EDDY_OK); }).join();
    eddy::capi::queue_of(q).close(); // as a C++ coroutine would
    l.settle();
    CHECK(dropped() == 1);
}

namespace {

struct job {
    std::atomic<bool> go{false};
    std::atomic<bool> started{false};
    std::atomic<int> seen_cancel{-1};
    std::thread::id on;
    int result = EDDY_OK;
    static int run(eddy_work* work, void* user) {
        auto* j = static_cast<job*>(user);
        j->started = true;
        while (!j->go)
            std::this_thread::yield();
        j->on = std::this_thread::get_id();
        j->seen_cancel = eddy_work_cancelled(work);
        static int first;
        static int value;
        eddy_work_set(work, &first, &count_drop, 1); // replaced
        eddy_work_set(work, &value, &count_drop, 42);
        if (j->result != EDDY_OK) eddy_work_set_message(work, "disk on fire");
        return j->result;
    }
};
std::thread::id& dropped_on() {
    static std::thread::id id;
    return id;
}
void drop_job(void*) {
    ++dropped();
    dropped_on() = std::this_thread::get_id();
}

} // namespace

TEST_CASE("TH-1 offload: runs elsewhere, tells value, number, error and message; drop on the loop, before the end") {
    eddy_loop* l = new_loop();
    for (const std::uint32_t flags : {0u, std::uint32_t{EDDY_WORK_ABANDON}}) {
        CAPTURE(flags);
        dropped() = 0;
        job j;
        j.go = true;
        held op(eddy_offload(l, nullptr, &job::run, &j, &drop_job, flags));
        CHECK(eddy_op_status(op) == EDDY_PENDING);
        eddy_loop_stats s;
        EDDY_INIT(&s);
        CHECK(eddy_loop_get_stats(l, &s) == EDDY_OK);
        CHECK(s.offloaded == 1);
        CHECK(eddy_loop_run_until(l, op, EDDY_FOREVER) == EDDY_OK);
        CHECK(j.on != std::this_thread::get_id());
        CHECK(eddy_op_number(op) == 42);
        CHECK(eddy_op_value(op) != nullptr);
        CHECK(dropped() == 2); // the value that was replaced, and the job
        CHECK(dropped_on() == std::this_thread::get_id());
        op.drop();
        CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 0);
        CHECK(dropped() == 3);
        j.result = -20009;
        held failed(eddy_offload(l, nullptr, &job::run, &j, nullptr, flags));
        CHECK(eddy_loop_run_until(l, failed, EDDY_FOREVER) == -20009);
        CHECK(std::string(eddy_op_message(failed)) == "disk on fire");
        const auto throws = [](eddy_work*, void*) -> int { throw std::runtime_error("oops"); };
        held thrown(eddy_offload(l, nullptr, throws, nullptr, nullptr, flags));
        CHECK(eddy_loop_run_until(l, thrown, EDDY_FOREVER) == EDDY_EEXCEPTION);
        CHECK(std::string(eddy_op_message(thrown)) == "oops");
        const auto positive = [](eddy_work*, void*) -> int { return 7; };
        held odd(eddy_offload(l, nullptr, positive, nullptr, nullptr, flags));
        CHECK(eddy_loop_run_until(l, odd, EDDY_FOREVER) == EDDY_EINVAL);
        failed.drop();
        CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 0);
    }
    dropped() = 0;
    held none(eddy_offload(l, nullptr, nullptr, nullptr, &count_drop, 0));
    CHECK(eddy_op_status(none) == EDDY_EINVAL);
    held unknown(eddy_offload(l, nullptr, &job::run, nullptr, &count_drop, 2));
    CHECK(eddy_op_status(unknown) == EDDY_ETOOBIG);
    CHECK(eddy_offload(nullptr, nullptr, &job::run, nullptr, &count_drop, 0) == nullptr);
    CHECK(dropped() == 3);
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    eddy_unref(l);
}

TEST_CASE(
    "TH-5 offload cancelled while it runs: told, and its result is delivered; abandoned, it is given up at once") {
    eddy_loop* l = new_loop();
    dropped() = 0;
    job j;
    held op(eddy_offload(l, nullptr, &job::run, &j, &drop_job, 0));
    while (!j.started) // the pool is full of nothing else
        CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
    eddy_op_cancel(op);
    CHECK(eddy_loop_run_until(l, op, EDDY_MS(5)) == EDDY_PENDING);
    SUBCASE("delivered") {
        j.go = true;
        CHECK(eddy_loop_run_until(l, op, EDDY_FOREVER) == EDDY_OK);
        CHECK(j.seen_cancel == 1);
        CHECK(eddy_op_number(op) == 42);
    }
    SUBCASE("dropped while it runs: nobody waits for it in that call") {
        op.drop();
        CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
        j.go = true;
        CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0);
        CHECK(dropped() == 3); // job, both values
    }
    SUBCASE("closing waits for the code") {
        CHECK(eddy_loop_close(l, EDDY_MS(1)) == EDDY_EBUSY);
        j.go = true;
        CHECK(eddy_loop_close(l, EDDY_SEC(60)) == EDDY_OK);
        CHECK(dropped() == 2);
    }
    job given_up;
    held abandoned(eddy_offload(l, nullptr, &job::run, &given_up, &drop_job, EDDY_WORK_ABANDON));
    if (eddy_loop_alive(l) == 1) {
        while (!given_up.started)
            CHECK(eddy_loop_run(l, EDDY_RUN_NOWAIT) == 1);
        eddy_op_cancel(abandoned);
        CHECK(eddy_loop_run_until(l, abandoned, EDDY_FOREVER) == EDDY_ECANCELED);
        const int before = dropped();
        given_up.go = true;
        while (dropped() != before + 3) // job, both values: they come home to the loop
            static_cast<void>(eddy_loop_run(l, EDDY_RUN_NOWAIT));
        CHECK(dropped_on() == std::this_thread::get_id());
        CHECK(given_up.seen_cancel == 1);
    }
    CHECK((eddy_loop_close(l, 0) == EDDY_OK || eddy_op_status(abandoned) == EDDY_ECLOSED));
    eddy_unref(l);
}

TEST_CASE("offload with simulated time runs at a later step; what is cancelled before never runs") {
    c_loop l;
    dropped() = 0;
    job j;
    j.go = true;
    for (const std::uint32_t flags : {0u, std::uint32_t{EDDY_WORK_ABANDON}}) {
        held op(eddy_offload(l, nullptr, &job::run, &j, &drop_job, flags));
        CHECK_FALSE(j.started);
        CHECK(l.until(op) == EDDY_OK);
        j.started = false;
        held cancelled(eddy_offload(l, nullptr, &job::run, &j, &drop_job, flags));
        eddy_op_cancel(cancelled);
        CHECK(l.until(cancelled) == EDDY_ECANCELED);
        CHECK_FALSE(j.started);
        held unseen(eddy_offload(l, nullptr, &job::run, &j, &drop_job, flags));
        unseen.drop();
        l.settle();
        CHECK_FALSE(j.started);
    }
}

// One engine, two faces: a step function in C and a coroutine wait for the same mutex and the same queue.
#include "fixture.hpp"

#include <eddy/eddy.hpp>

#include <algorithm>
#include <array>
#include <sstream>

using namespace eddy_test;
using namespace std::chrono_literals;

namespace {

eddy::task<void> cpp_locker(eddy::mutex& m, trace& t, int name, eddy::duration hold) {
    auto guard = co_await m.lock();
    t.what[t.n++] = name;
    if (hold != 0ns) co_await eddy::sleep(hold);
}

eddy::task<void> cpp_getter(eddy::queue<eddy::capi::item>& q, trace& t, int name, int limit) {
    for (int i = 0; limit == 0 || i < limit; ++i) {
        auto item = co_await q.next();
        if (!item) break;
        t.what[t.n++] = name * 1000 + *static_cast<int*>(item->release());
        q.task_done();
    }
}

eddy::task<void> cpp_putter(eddy::queue<eddy::capi::item>& q, int* items, int n) {
    for (int i = 0; i < n; ++i) {
        auto op = q.put(eddy::capi::item(&items[i], nullptr));
        co_await op;
    }
}

// Spawned in the order of their names, odd ones in C.
struct waiting_tasks {
    std::vector<eddy_op*> c;              // by name; null: in C++
    std::vector<eddy::task_handle<>> cpp; // by name
    void add(eddy_op* op) {
        c.push_back(op);
        cpp.emplace_back();
    }
    void add(eddy::task_handle<> h) {
        c.push_back(nullptr);
        cpp.push_back(std::move(h));
    }
    void cancel(std::size_t i) {
        if (c[i] != nullptr)
            eddy_op_cancel(c[i]);
        else
            cpp[i].cancel();
    }
    ~waiting_tasks() {
        for (eddy_op* op : c)
            eddy_unref(op);
    }
};

} // namespace

TEST_CASE("LK-3 X-12 a C task and a C++ coroutine wait for the same mutex in one line") {
    c_loop l;
    held m(new_mutex(l));
    eddy::mutex& cpp = eddy::capi::mutex_of(m);
    trace t{};
    locker first{m, &t, 1, EDDY_MS(10), 0};
    locker third{m, &t, 3, EDDY_MS(10), 0};
    held a(eddy_spawn(l, &locker_step, &first, nullptr));
    l.cpp.spawn(cpp_locker(cpp, t, 2, 10ms));
    held b(eddy_spawn(l, &locker_step, &third, nullptr));
    l.cpp.spawn(cpp_locker(cpp, t, 4, 10ms));
    l.settle();
    CHECK(seen(t) == std::vector<int>{1});
    CHECK(cpp.waiters() == 3);
    CHECK(eddy_mutex_try_lock(m) == EDDY_EAGAIN);
    l.cpp.advance(10ms);
    CHECK(seen(t) == std::vector<int>{1, 2});
    CHECK(eddy_mutex_unlock(m) == EDDY_ESTATE); // a guard of the C++ face has it
    CHECK(l.until(b) == EDDY_OK);
    l.cpp.run();
    CHECK(seen(t) == std::vector<int>{1, 2, 3, 4});
    CHECK(eddy_op_status(a) == EDDY_OK);
    CHECK_FALSE(cpp.locked());
}

TEST_CASE("LK-3 QU-4 tasks of both faces that are woken in one tick run in the order of waiting") {
    c_loop l;
    held q(new_queue(l));
    trace t{};
    getter g[4] = {{q, &t, 1, 1, 0, 0}, {q, &t, 3, 1, 0, 0}, {q, &t, 5, 1, 0, 0}, {q, &t, 7, 1, 0, 0}};
    std::vector<eddy_op*> ops;
    for (int i = 0; i < 4; ++i) {
        ops.push_back(eddy_spawn(l, &getter_step, &g[i], nullptr));
        l.cpp.spawn(cpp_getter(eddy::capi::queue_of(q), t, 2 * i + 2, 1));
    }
    l.settle();
    int items[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    for (int& i : items)
        CHECK(eddy_queue_try_put(q, &i) == EDDY_OK);
    l.settle();
    CHECK(seen(t) == std::vector<int>{1000, 2001, 3002, 4003, 5004, 6005, 7006, 8007});
    for (eddy_op* op : ops)
        eddy_unref(op);
}

TEST_CASE("X-1 X-2 X-4 LK-5 LK-6 LK-7 LK-9 cancel waiter i when the lock is handed on, in both orders, both faces") {
    constexpr int k = 6;
    for (int cancelled = 0; cancelled < k; ++cancelled)
        for (const bool unlock_first : {true, false}) {
            CAPTURE(cancelled);
            CAPTURE(unlock_first);
            c_loop l;
            held m(new_mutex(l));
            trace t{};
            CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
            std::vector<locker> states(k);
            {
                waiting_tasks tasks;
                for (int i = 0; i < k; ++i) {
                    states[static_cast<std::size_t>(i)] = {m, &t, i, 0, EDDY_PENDING};
                    if (i % 2 == 1)
                        tasks.add(eddy_spawn(l, &locker_step, &states[static_cast<std::size_t>(i)], nullptr));
                    else
                        tasks.add(l.cpp.spawn(cpp_locker(eddy::capi::mutex_of(m), t, i, 0ns)));
                }
                l.settle();
                if (unlock_first) CHECK(eddy_mutex_unlock(m) == EDDY_OK);
                tasks.cancel(static_cast<std::size_t>(cancelled));
                if (!unlock_first) CHECK(eddy_mutex_unlock(m) == EDDY_OK);
                l.settle();
                std::vector<int> expected;
                for (int i = 0; i < k; ++i) // the first had the lock already when it was cancelled second
                    if (i != cancelled || (unlock_first && i == 0)) expected.push_back(i);
                CHECK(seen(t) == expected);
            }
            CHECK(eddy_mutex_try_lock(m) == EDDY_OK); // nobody has it
            CHECK(eddy_mutex_unlock(m) == EDDY_OK);
        }
}

TEST_CASE("X-1 QU-5 QU-6 QU-7 cancel getter i when items come, in both orders, both faces") {
    constexpr int k = 6;
    for (int cancelled = 0; cancelled < k; ++cancelled)
        for (const bool put_first : {true, false}) {
            CAPTURE(cancelled);
            CAPTURE(put_first);
            c_loop l;
            held q(new_queue(l));
            trace t{};
            int items[2] = {7, 8};
            std::vector<getter> states(k);
            waiting_tasks tasks;
            for (int i = 0; i < k; ++i) {
                states[static_cast<std::size_t>(i)] = {q, &t, i, 1, 0, EDDY_PENDING};
                if (i % 2 == 1)
                    tasks.add(eddy_spawn(l, &getter_step, &states[static_cast<std::size_t>(i)], nullptr));
                else
                    tasks.add(l.cpp.spawn(cpp_getter(eddy::capi::queue_of(q), t, i, 1)));
            }
            l.settle();
            const auto put = [&] {
                for (int& i : items)
                    CHECK(eddy_queue_try_put(q, &i) == EDDY_OK);
            };
            if (put_first) put();
            tasks.cancel(static_cast<std::size_t>(cancelled));
            if (!put_first) put();
            l.settle();
            std::vector<int> expected;
            for (int i = 0; expected.size() < 2; ++i)
                if (put_first || i != cancelled) expected.push_back(i * 1000 + items[expected.size()]);
            CHECK(seen(t) == expected);
            eddy_queue_close(q); // the others go
            l.settle();
            CHECK(eddy_queue_size(q) == 0);
        }
}

TEST_CASE("QU-4 QU-8 QU-10 producers and consumers of both faces through a queue of one, a put timed out") {
    c_loop l;
    held q(new_queue(l, 1));
    auto& cpp = eddy::capi::queue_of(q);
    trace t{};
    int a[50];
    int b[50];
    for (int i = 0; i < 50; ++i) {
        a[i] = i;
        b[i] = 100 + i;
    }
    putter p{q, a, 50, 0, 0};
    held put(eddy_spawn(l, &putter_step, &p, nullptr));
    l.cpp.spawn(cpp_putter(cpp, b, 50));
    l.settle();
    int late = 999;
    held timed(eddy_op_timeout(eddy_queue_put(q, &late), EDDY_MS(5)));
    CHECK(eddy_op_status(timed) == EDDY_PENDING);
    l.cpp.advance(5ms);
    CHECK(eddy_op_status(timed) == EDDY_ETIMEDOUT);
    CHECK(eddy_op_take(timed) == &late); // nothing was put, so it is still ours
    getter g{q, &t, 0, 0, 0, 0};
    held got(eddy_spawn(l, &getter_step, &g, nullptr));
    auto other = l.cpp.spawn(cpp_getter(cpp, t, 1, 0));
    l.settle();
    held joined(eddy_queue_join(q));
    CHECK(l.until(joined) == EDDY_OK);
    CHECK(eddy_op_status(put) == EDDY_OK);
    CHECK(t.n == 100);
    // Each consumer sees the items of each producer in their order, and nothing is lost or twice.
    std::array<int, 4> last{-1, -1, -1, -1};
    std::vector<int> all = seen(t);
    for (int& w : all) {
        int& before = last.at(static_cast<std::size_t>(w / 1000 * 2 + w % 1000 / 100));
        w %= 1000;
        CHECK(w > before);
        before = w;
    }
    std::sort(all.begin(), all.end());
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
    CHECK(all.back() == 149);
    eddy_queue_close(q);
    CHECK(l.until(got) == EDDY_OK);
    CHECK(other.done());
    CHECK(g.got > 10); // each face had its share
    CHECK(g.got < 90);
}

TEST_CASE("WF-10 a get that times out at the instant of the put: the item is in one place") {
    for (const bool put_first : {true, false}) {
        CAPTURE(put_first);
        c_loop l;
        held q(new_queue(l));
        trace t{};
        int item = 5;
        const auto put_later = [&] { l.cpp.call_later(10ms, [&] { CHECK(eddy_queue_try_put(q, &item) == EDDY_OK); }); };
        if (put_first) put_later();
        held timed(eddy_op_timeout(eddy_queue_get(q), EDDY_MS(10)));
        if (!put_first) put_later();
        auto next = l.cpp.spawn(cpp_getter(eddy::capi::queue_of(q), t, 1, 1));
        CHECK(l.until(timed) <= EDDY_OK);
        if (eddy_op_status(timed) == EDDY_OK) {
            CHECK(*static_cast<int*>(eddy_op_take(timed)) == 5);
            next.cancel();
            l.settle();
        } else {
            CHECK(eddy_op_status(timed) == EDDY_ETIMEDOUT);
            l.settle();
            CHECK(seen(t) == std::vector<int>{1005});
        }
    }
}

TEST_CASE("QU-6 X-2 an op that was granted and is dropped unseen gives back, to either face") {
    c_loop l;
    held m(new_mutex(l));
    held q(new_queue(l));
    trace t{};
    SUBCASE("a lock that was free goes to the coroutine that waits") {
        eddy_op* lock = eddy_mutex_lock(m);
        l.cpp.spawn(cpp_locker(eddy::capi::mutex_of(m), t, 1, 0ns));
        l.settle();
        CHECK(t.n == 0);
        eddy_unref(lock);
        l.settle();
        CHECK(seen(t) == std::vector<int>{1});
    }
    SUBCASE("a lock that was handed over goes on to the next") {
        CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
        eddy_op* lock = eddy_mutex_lock(m);
        l.cpp.spawn(cpp_locker(eddy::capi::mutex_of(m), t, 1, 0ns));
        l.settle();
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
        eddy_unref(lock); // granted in this tick
        l.settle();
        CHECK(seen(t) == std::vector<int>{1});
    }
    SUBCASE("a lock that was seen stays") {
        held lock(eddy_mutex_lock(m));
        CHECK(eddy_mutex_unlock(m) == EDDY_ESTATE);
        CHECK(eddy_op_status(lock) == EDDY_OK);
        lock.drop();
        CHECK(eddy_mutex_try_lock(m) == EDDY_EAGAIN);
        CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
    SUBCASE("an item goes back to the front, though the queue is full") {
        held small(new_queue(l, 2));
        int items[3] = {1, 2, 3};
        CHECK(eddy_queue_try_put(small, &items[0]) == EDDY_OK);
        CHECK(eddy_queue_try_put(small, &items[1]) == EDDY_OK);
        eddy_op* get = eddy_queue_get(small);
        CHECK(eddy_queue_try_put(small, &items[2]) == EDDY_OK);
        eddy_unref(get);
        CHECK(eddy_queue_size(small) == 3);
        l.cpp.spawn(cpp_getter(eddy::capi::queue_of(small), t, 0, 3));
        l.settle();
        CHECK(seen(t) == std::vector<int>{1, 2, 3});
    }
    SUBCASE("an item goes to the coroutine that waits") {
        eddy_op* get = eddy_queue_get(q);
        l.cpp.spawn(cpp_getter(eddy::capi::queue_of(q), t, 0, 1));
        l.settle();
        int item = 4;
        CHECK(eddy_queue_try_put(q, &item) == EDDY_OK);
        eddy_unref(get);
        l.settle();
        CHECK(seen(t) == std::vector<int>{4});
    }
}

TEST_CASE("X-10 dropping a mutex or queue ends who waits there: EDDY_ECLOSED, and object_destroyed in C++") {
    c_loop l;
    eddy_mutex* m = new_mutex(l);
    eddy_queue* q = new_queue(l);
    CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    held lock(eddy_mutex_lock(m));
    held get(eddy_queue_get(q));
    int destroyed = 0;
    auto wait = [&destroyed](eddy::mutex& cpp) -> eddy::task<void> {
        try {
            auto guard = co_await cpp.lock();
        } catch (const eddy::object_destroyed&) {
            ++destroyed;
        }
    };
    l.cpp.spawn(wait, std::ref(eddy::capi::mutex_of(m)));
    l.settle();
    eddy_unref(m);
    eddy_unref(q);
    CHECK(eddy_op_status(lock) == EDDY_ECLOSED);
    CHECK(eddy_op_status(get) == EDDY_ECLOSED);
    l.settle();
    CHECK(destroyed == 1);
}

TEST_CASE("a coroutine joins a C task through its handle, and the dump names what it waits for") {
    c_loop l;
    held q(new_queue(l));
    trace t{};
    getter g{q, &t, 1, 1, 0, 0};
    eddy_unref(eddy_spawn(l, &getter_step, &g, nullptr)); // goes on, detached
    eddy_unref(
        eddy_spawn(l, [](eddy_task* task, void*) { return eddy_fail(task, -20001, "as ordered"); }, nullptr, nullptr));
    auto tasks = l.cpp.all_tasks();
    REQUIRE(tasks.size() == 2);
    l.cpp.set_exception_handler([](const eddy::error_context&) {});
    l.settle();
    std::ostringstream dump;
    l.cpp.dump_tasks(dump);
    CHECK(dump.str().find("waits for eddy_await of queue.get") != std::string::npos);
    std::string message;
    auto join = [&](eddy::any_task_handle good, eddy::any_task_handle bad) -> eddy::task<void> {
        co_await good;
        try {
            co_await bad;
        } catch (const eddy::error& e) {
            message = e.what();
        }
    };
    auto joiner = l.cpp.spawn(join, tasks[0], tasks[1]);
    l.settle();
    int item = 3;
    CHECK(eddy_queue_try_put(q, &item) == EDDY_OK);
    l.settle();
    CHECK(joiner.done());
    CHECK(message == "EDDY_EUSER: as ordered");
    CHECK(seen(t) == std::vector<int>{1003});
}

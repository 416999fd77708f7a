// How waits for a condition end: destroyed at any stage, with conditions and mutexes that go, in races, on other loops.
#include <eddy/sync/condition.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>

#include "sync/no_memory.hpp"
#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

namespace {

using order = std::vector<int>;

struct watched {
    mutex m;
    condition c{m};
    order seen; // who was notified
};

task<> wait_watched(watched& s, int id) {
    auto g = co_await s.m.lock();
    co_await s.c.wait(g);
    CHECK(g.owns_lock());
    s.seen.push_back(id);
}

task<> wait_tested(watched& s, int id) {
    auto g = co_await s.m.lock();
    bool first = true;
    co_await s.c.wait(g, [&first] { return !std::exchange(first, false); });
    CHECK(g.owns_lock());
    s.seen.push_back(id);
}

std::vector<task_handle<>> watchers(watched& s, int n, bool tested = false) {
    std::vector<task_handle<>> all;
    for (int i = 1; i <= n; ++i)
        all.push_back(spawn(tested ? wait_tested : wait_watched, std::ref(s), i));
    return all;
}

// The stages at which a waiter may be interrupted.
enum class stage { in_line, locking, has_lock };

order up_to(int n, int without) {
    order all;
    for (int i = 1; i <= n; ++i)
        if (i != without) all.push_back(i);
    return all;
}

} // namespace

TEST_CASE("CV-7 X-1 X-2 X-7 a frame that is destroyed at any stage loses neither lock nor notification") {
    for (const stage at : {stage::in_line, stage::locking, stage::has_lock})
        for (const bool tested : {false, true})
            for (const bool cancelled_before : {false, true})
                for (int k = 2; k <= 4; ++k) {
                    INFO(static_cast<int>(at), " ", tested, " ", cancelled_before, " ", k);
                    eddy_test::run([=]() -> task<> {
                        watched s;
                        auto all = watchers(s, k, tested);
                        co_await settle_all();
                        auto g = co_await s.m.lock();
                        if (at != stage::in_line) s.c.notify_one();
                        if (cancelled_before) all[0].cancel();
                        if (at == stage::has_lock) g.unlock();
                        destroy_task(all[0]);
                        if (at == stage::in_line) s.c.notify_one();
                        CHECK(s.c.statistics().waiters == static_cast<std::size_t>(k - 2));
                        if (g.owns_lock()) g.unlock();
                        co_await settle_all();
                        CHECK(s.seen == order{2});
                        CHECK(!s.m.locked());
                        g = co_await s.m.lock();
                        s.c.notify_all();
                        g.unlock();
                        co_await settle_all();
                        CHECK(s.seen == up_to(k, 1));
                    });
                }
}

TEST_CASE("CV-11 of n waiters k are cancelled, then all are notified: the others succeed, whatever the schedule") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        testing::seed(seed);
        eddy_test::run([seed]() -> task<> {
            watched s;
            auto all = watchers(s, 10);
            co_await settle_all();
            const order before = s.seen;
            CHECK(before.empty());
            auto g = co_await s.m.lock();
            order left;
            std::uint64_t bits = seed * 0x9e3779b97f4a7c15u;
            std::size_t cancelled = 0;
            for (std::size_t i = 0; i < 10; ++i, bits >>= 3)
                if ((bits & 1) != 0) {
                    all[i].cancel();
                    ++cancelled;
                }
            s.c.notify_all();
            CHECK(s.c.statistics().waiters == 0);
            g.unlock();
            co_await settle_all();
            co_await settle_all();
            CHECK(s.seen.size() == 10 - cancelled);
            CHECK(!s.m.locked());
        });
    }
    testing::seed(0);
}

TEST_CASE("WF-10 notified at the very instant at which its time is over, a wait has the lock, and nothing is lost") {
    for (const bool notify_first : {true, false})
        eddy_test::run([=]() -> task<> {
            watched s;
            int timed_out = 0;
            auto limited = [](watched& mine, int& n) -> task<> {
                auto g = co_await mine.m.lock();
                auto o = co_await settle(timeout(1s, mine.c.wait(g)));
                CHECK(g.owns_lock());
                if (o.has_value())
                    mine.seen.push_back(0);
                else
                    ++n;
            };
            auto notifier = [](watched& mine) -> task<> {
                co_await sleep(1s);
                const auto g = co_await mine.m.lock();
                mine.c.notify_one();
            };
            task_handle<> n;
            if (notify_first) n = spawn(notifier, std::ref(s));
            auto h = spawn(limited, std::ref(s), std::ref(timed_out));
            if (!notify_first) n = spawn(notifier, std::ref(s));
            auto next = spawn(wait_watched, std::ref(s), 1);
            co_await h;
            co_await n;
            co_await settle_all();
            CHECK(s.seen.size() == 1);
            CHECK(s.seen.size() + s.c.statistics().waiters == 2 - static_cast<std::size_t>(timed_out));
            const auto g = co_await s.m.lock();
            s.c.notify_all();
        });
}

TEST_CASE("CV-2 the loser of a race goes on with its lock, and its notification is somebody else's") {
    // The event is set before the notification, or after the lock was handed over, at once or after a while.
    for (int how = 0; how < 8; ++how) {
        const bool event_first = (how & 1) != 0;
        const bool notified = (how & 2) != 0;
        const bool busy = (how & 4) != 0;
        INFO(how);
        eddy_test::run([=]() -> task<> {
            watched s;
            event e;
            auto h = spawn(
                [](watched& mine, event& stop) -> task<> {
                    auto g = co_await mine.m.lock();
                    auto won = co_await race(mine.c.wait(g), stop.wait());
                    CHECK(g.owns_lock());
                    CHECK(mine.m.statistics().owner == this_task::name()); // not the race's child
                    if (won.index == 0) mine.seen.push_back(0);
                    // A new task may lie where the child lay: it must not be taken for the owner.
                    auto other =
                        spawn([](mutex& m) -> task<> { const auto mine_now = co_await m.lock(); }, std::ref(mine.m));
                    co_await settle_all();
                    CHECK(mine.m.waiters() >= 1);
                    g.unlock();
                    co_await other;
                },
                std::ref(s), std::ref(e));
            co_await settle_all();
            auto next = spawn(wait_watched, std::ref(s), 1);
            co_await settle_all();
            auto g = co_await s.m.lock();
            if (event_first) e.set();
            if (notified) s.c.notify_one();
            if (busy) co_await settle_all();
            g.unlock();
            if (!event_first) e.set();
            co_await h;
            co_await settle_all();
            // Exactly one had the notification.
            CHECK(s.seen.size() == (notified ? 1 : 0));
            if (s.seen != order{1}) {
                const auto again = co_await s.m.lock();
                s.c.notify_one();
            }
            co_await next;
            CHECK(!s.m.locked());
        });
    }
}

TEST_CASE("X-10 a condition that is destroyed ends the waits, each once it has the lock again") {
    captured_stderr err;
    for (const bool locked : {false, true})
        eddy_test::run([=]() -> task<> {
            mutex m;
            auto c = std::make_unique<condition>(m);
            int ended = 0;
            auto wait = [](mutex& lock, condition& mine, bool tested, int& n) -> task<> {
                auto g = co_await lock.lock();
                std::exception_ptr thrown;
                if (tested) {
                    auto o = co_await settle(mine.wait(g, [] { return false; }));
                    thrown = o.error();
                } else {
                    auto o = co_await settle(mine.wait(g));
                    thrown = o.error();
                }
                CHECK(holds<object_destroyed>(thrown));
                CHECK(contains(text_of(thrown),
                               "condition.wait of task '" + this_task::name() + "' at condition_end_test.cpp:"));
                CHECK(g.owns_lock());
                ++n;
                co_await sleep(1ms);
            };
            for (int i = 0; i < 4; ++i)
                spawn(wait, std::ref(m), std::ref(*c), i % 2 == 1, std::ref(ended));
            co_await settle_all();
            mutex::guard g;
            if (locked) g = co_await m.lock();
            c.reset();
            co_await settle_all();
            CHECK(ended == (locked ? 0 : 1)); // one after the other
            CHECK(m.waiters() == (locked ? 4 : 3));
            if (locked) g.unlock();
            co_await sleep(10ms);
            CHECK(ended == 4);
            CHECK(!m.locked());
        });
    CHECK(
        contains(err.text(), "eddy: a condition was destroyed while somebody waited for it: condition.wait of task '"));
}

TEST_CASE(
    "X-10 a condition that goes after it has notified: the wait returns, or is cancelled, and looks at it no more") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto c = std::make_unique<condition>(m);
        order seen;
        auto wait = [](mutex& lock, condition& mine, order& log, int id) -> task<> {
            auto g = co_await lock.lock();
            co_await mine.wait(g);
            log.push_back(id);
        };
        auto one = spawn(wait, std::ref(m), std::ref(*c), std::ref(seen), 1);
        auto two = spawn(wait, std::ref(m), std::ref(*c), std::ref(seen), 2);
        auto three = spawn(wait, std::ref(m), std::ref(*c), std::ref(seen), 3);
        co_await settle_all();
        auto g = co_await m.lock();
        c->notify_all();
        c.reset();
        two.cancel();
        destroy_task(three);
        CHECK(contains(dump_text(), "waits for condition.wait, locking again: mutex.lock held by '"));
        g.unlock();
        co_await settle_all();
        CHECK(seen == order{1});
        CHECK(one.done());
        CHECK(two.was_cancelled());
        CHECK(!m.locked());
    });
}

TEST_CASE("X-10 a predicate that finds its condition gone and is false ends with object_destroyed, the lock in hand") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto c = std::make_unique<condition>(m);
        auto h = spawn(
            [](mutex& lock, std::unique_ptr<condition>& mine) -> task<> {
                auto g = co_await lock.lock();
                int calls = 0;
                auto o = co_await settle(mine->wait(g, [&] {
                    if (++calls == 2) mine.reset();
                    return false;
                }));
                CHECK(calls == 2);
                CHECK(holds<object_destroyed>(o.error()));
                CHECK(g.owns_lock());
            },
            std::ref(m), std::ref(c));
        co_await settle_all();
        auto g = co_await m.lock();
        c->notify_one();
        g.unlock();
        co_await h;
        CHECK(!m.locked());
    });
}

TEST_CASE("X-10 a mutex that goes before its condition ends the waits; using the condition is an error") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto m = std::make_unique<mutex>();
        condition c(*m);
        auto other = std::make_unique<condition>(*m);
        condition third(*m);
        other.reset();
        auto wait = [](mutex& lock, condition& mine, bool tested) -> task<> {
            auto g = co_await lock.lock();
            std::exception_ptr thrown;
            int calls = 0;
            if (tested) {
                auto o = co_await settle(mine.wait(g, [&calls] { return ++calls > 1; }));
                thrown = o.error();
            } else {
                auto o = co_await settle(mine.wait(g));
                thrown = o.error();
            }
            CHECK(holds<object_destroyed>(thrown));
            CHECK(calls <= 1); // what it looks at has gone
            CHECK(!g.owns_lock());
        };
        std::vector<task_handle<>> all;
        for (int i = 0; i < 6; ++i)
            all.push_back(spawn(wait, std::ref(*m), std::ref(i == 5 ? third : c), i % 2 == 1));
        co_await settle_all();
        auto g = co_await m->lock();
        c.notify(3);     // two that lock again,
        g.unlock();      // one that has been handed the lock,
        all[2].cancel(); // one that will throw,
        m.reset();       // and three that wait
        CHECK(contains(dump_text(), "ready (was: condition.wait)"));
        for (const auto& h : all) {
            auto o = co_await settle(h);
        }
        CHECK(c.statistics().waiters == 0);
        CHECK(!c.statistics().lock.locked);
        CHECK_THROWS_WITH_AS(c.notify_one(), doctest::Contains("its mutex has been destroyed"), std::logic_error);
        mutex unrelated;
        auto mine = co_await unrelated.lock();
        auto o = co_await settle(c.wait(mine));
        CHECK(contains(text_of(o.error()), "its mutex has been destroyed"));
        CHECK(mine.owns_lock());
    });
    const std::string text = err.text();
    CHECK(contains(text, "eddy: a mutex was destroyed while somebody waited for it: condition.wait of task '"));
    CHECK(
        contains(text, "eddy: the mutex of a condition was destroyed while somebody waited for it: condition.wait of"));
}

TEST_CASE("X-3 a hundred thousand waits that time out leave nothing, and the lock in place") {
    eddy_test::run([]() -> task<> {
        watched s;
        auto g = co_await s.m.lock();
        const auto before = loop::current().statistics();
        for (int i = 0; i < 100'000; ++i) {
            bool done = co_await move_on_after(1ms, s.c.wait(g));
            if (done || !g.owns_lock()) FAIL("notified");
        }
        CHECK(s.c.statistics().waiters == 0);
        CHECK(s.m.waiters() == 0);
        CHECK(loop::current().statistics().bytes == before.bytes);
        CHECK(loop::current().statistics().timers == 0);
    });
}

TEST_CASE("waiting, notifying, cancelling and destroying need no memory") {
    eddy_test::run([]() -> task<> {
        watched s;
        s.seen.reserve(5);
        auto all = watchers(s, 4);
        auto tested = spawn(wait_tested, std::ref(s), 5);
        {
            const no_memory now;
            for (int i = 0; i < 5; ++i)
                co_await yield();
            const std::size_t bytes = loop::current().statistics().bytes;
            CHECK(s.c.statistics().waiters == 5);
            auto g = co_await s.m.lock();
            s.c.notify(3);
            all[0].cancel();
            destroy_task(all[1]);
            CHECK(loop::current().statistics().bytes <= bytes);
            g.unlock();
            for (int i = 0; i < 20; ++i)
                co_await yield();
        }
        std::sort(s.seen.begin(), s.seen.end());
        CHECK(s.seen == order{3, 4, 5});
    });
}

TEST_CASE("X-6 a condition that tasks of one loop wait for is refused to another loop") {
    watched s;
    testing::virtual_loop a;
    testing::virtual_loop b;
    a.spawn(wait_watched, std::ref(s), 1);
    a.settle();
    b.run([](watched& mine) -> task<> {
        auto g = co_await mine.m.lock();
        auto o = co_await settle(mine.c.wait(g));
        CHECK(contains(text_of(o.error()), "condition.wait from another loop"));
        CHECK(g.owns_lock());
        CHECK_THROWS_WITH_AS(mine.c.notify_all(), doctest::Contains("condition.notify from another loop"),
                             std::logic_error);
    }(s));
    CHECK(s.c.statistics().waiters == 1);
    {
        auto g = s.m.try_lock(); // outside of any loop: a host's callback
        s.c.notify_all();
    }
    a.settle();
    CHECK(s.seen == order{1});
}

TEST_CASE("an operation can be moved until it is awaited; a guard that got another lock meanwhile lets it go") {
    eddy_test::run([]() -> task<> {
        watched s;
        auto g = co_await s.m.lock();
        auto op = s.c.wait(g, [] { return true; });
        auto moved = std::move(op);
        co_await moved;
        CHECK(g.owns_lock());
        using op_type = decltype(op);
        CHECK_THROWS_AS(op_type(std::move(moved)), std::logic_error);
        auto plain = s.c.wait(g);
        auto plain_moved = std::move(plain);
        mutex other;
        auto h = spawn(
            [](watched& mine, mutex& m, mutex::guard& taken) -> task<> {
                taken = co_await m.lock();
                const auto mine_now = co_await mine.m.lock();
                mine.c.notify_one();
            },
            std::ref(s), std::ref(other), std::ref(g));
        co_await plain_moved;
        CHECK(g.owns_lock());
        CHECK(!other.locked());
        CHECK(s.m.locked());
        CHECK_THROWS_AS(detail::condition_wait_operation(std::move(plain_moved)), std::logic_error);
        co_await h;
    });
}

#include <eddy/sync/condition.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>

#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<condition>);
static_assert(std::is_void_v<await_result_t<decltype(std::declval<condition&>().wait(std::declval<mutex::guard&>()))>>);

namespace {

using order = std::vector<int>;

// What two or more tasks share.
struct shared {
    mutex m;
    condition c{m};
    order seen;     // who was notified
    order thrown;   // whose wait threw
    int inside = 0; // who have the lock
};

// Notes how its wait ended, and that it had the lock then.
task<> wait_once(shared& s, int id) {
    auto g = co_await s.m.lock();
    const at_end then([&s, &g, id] {
        CHECK(g.owns_lock());
        CHECK(s.inside == 0);
        if (s.seen.empty() || s.seen.back() != id) s.thrown.push_back(id);
    });
    co_await s.c.wait(g);
    s.seen.push_back(id);
    CHECK(++s.inside == 1);
    const at_end out([&s] { --s.inside; });
    co_await yield();
}

std::vector<task_handle<>> waiters(shared& s, int n) {
    std::vector<task_handle<>> all;
    for (int i = 1; i <= n; ++i)
        all.push_back(spawn(wait_once, std::ref(s), i));
    return all;
}

mutex::guard lock_now(mutex& m) {
    auto g = m.try_lock();
    REQUIRE(g.has_value());
    return std::move(*g);
}

void notify(shared& s, std::ptrdiff_t n) {
    const auto g = lock_now(s.m);
    s.c.notify(n);
}

} // namespace

TEST_CASE("CV-1 waiting without the lock is an error, and so is notifying while nobody holds it") {
    eddy_test::run([]() -> task<> {
        shared s;
        mutex::guard none;
        auto o = co_await settle(s.c.wait(none));
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(contains(text_of(o.error()), "a guard that owns no lock"));
        auto g = co_await s.m.lock();
        g.unlock();
        auto p = co_await settle(s.c.wait(g));
        CHECK(holds<std::logic_error>(p.error()));
        CHECK_THROWS_WITH_AS(s.c.notify_one(), doctest::Contains("its mutex is not locked"), std::logic_error);
        CHECK_THROWS_AS(s.c.notify_all(), std::logic_error);
        CHECK_THROWS_AS(s.c.notify(0), std::logic_error);
        CHECK_THROWS_WITH_AS(s.c.notify(-2), doctest::Contains("condition.notify(-2)"), std::logic_error);
        CHECK(s.c.statistics().waiters == 0);
        CHECK(!s.m.locked());
        // By whom it is locked does not matter.
        auto holder = spawn(
            [](mutex& m) -> task<> {
                const auto mine = co_await m.lock();
                co_await sleep(1s);
            },
            std::ref(s.m));
        co_await settle_all();
        s.c.notify_all();
        co_await holder;
    });
}

TEST_CASE("CV-2 the lock is free during the wait, and held after it has returned") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto all = waiters(s, 1);
        co_await settle_all();
        CHECK(!s.m.locked());
        CHECK(s.c.statistics().waiters == 1);
        CHECK(!s.c.statistics().lock.locked);
        notify(s, 1);
        CHECK(s.c.statistics().waiters == 0);
        CHECK(s.m.locked());
        co_await settle_all();
        CHECK(s.seen == order{1});
        CHECK(!s.m.locked());
    });
}

TEST_CASE(
    "CV-2 CV-10 cancelled or timed out, the guard owns the lock when the exception is seen, and no waiter is left") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto h = spawn(wait_once, std::ref(s), 1);
        co_await settle_all();
        h.cancel();
        CHECK(s.c.statistics().waiters == 0);
        CHECK(s.m.locked());
        co_await settle_all();
        CHECK(h.was_cancelled());
        CHECK(s.thrown == order{1});
        auto g = co_await s.m.lock();
        auto o = co_await settle(timeout(1s, s.c.wait(g)));
        CHECK(holds<timeout_error>(o.error()));
        CHECK(g.owns_lock());
        CHECK(s.m.statistics().owner == this_task::name());
        bool done = co_await move_on_after(1s, s.c.wait(g));
        CHECK(!done);
        CHECK(g.owns_lock());
        CHECK(s.c.statistics().waiters == 0);
    });
}

TEST_CASE("CV-2 a wait that is cancelled before it begins keeps the lock") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto h = spawn(
            [](shared& mine) -> task<> {
                auto g = co_await mine.m.lock();
                this_task::handle().cancel();
                auto o = co_await settle(mine.c.wait(g));
                CHECK(o.is_cancelled());
                CHECK(g.owns_lock());
                bool tested = false;
                auto p = co_await settle(mine.c.wait(g, [&tested] { return tested = true; }));
                CHECK(p.is_cancelled());
                CHECK(!tested);
                CHECK(g.owns_lock());
            },
            std::ref(s));
        co_await h;
        CHECK(!s.m.locked());
    });
}

TEST_CASE("CV-3 X-12 notify(n) wakes at most n, in the order of waiting") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto all = waiters(s, 6);
        co_await settle_all();
        notify(s, 1);
        co_await settle_all();
        CHECK(s.seen == order{1});
        notify(s, 2);
        co_await settle_all();
        CHECK(s.seen == order{1, 2, 3});
        notify(s, 0);
        co_await settle_all();
        CHECK(s.seen == order{1, 2, 3});
        notify(s, 2048);
        co_await settle_all();
        CHECK(s.seen == order{1, 2, 3, 4, 5, 6});
        // Nobody waits: that is not remembered.
        notify(s, 2048);
        auto late = spawn(wait_once, std::ref(s), 7);
        co_await settle_all();
        CHECK(s.seen.size() == 6);
        {
            const auto g = lock_now(s.m);
            s.c.notify_all();
        }
        co_await late;
    });
}

TEST_CASE("CV-4 who is notified does not run while the lock is held, and stands in line behind others") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto h = spawn(wait_once, std::ref(s), 1);
        co_await settle_all();
        auto g = co_await s.m.lock();
        auto before = spawn(
            [](shared& mine) -> task<> {
                const auto guard = co_await mine.m.lock();
                mine.seen.push_back(10);
            },
            std::ref(s));
        co_await settle_all();
        s.c.notify_one();
        CHECK(s.m.waiters() == 2);
        co_await settle_all();
        CHECK(s.seen.empty());
        CHECK(
            contains(dump_text(), "waits for condition.wait, locking again: mutex.lock held by '" + this_task::name()));
        g.unlock();
        co_await h;
        CHECK(s.seen == order{10, 1});
        co_await before;
    });
}

TEST_CASE(
    "CV-5 cancelled while waiting, it throws once it has the lock, however long that takes and often it is asked") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto h = spawn(
            [](shared& mine) -> task<> {
                // Five scopes, each of which will be cancelled.
                auto g = co_await mine.m.lock();
                auto op = timeout(1s, timeout(2s, timeout(3s, timeout(4s, mine.c.wait(g)))));
                try {
                    co_await op;
                } catch (const cancelled& c) {
                    CHECK(g.owns_lock());
                    CHECK(c.reason().text() == "first");
                    mine.seen.push_back(1);
                    throw;
                }
            },
            std::ref(s));
        co_await settle_all();
        auto g = co_await s.m.lock();
        h.cancel({cancel_kind::requested, "first"});
        h.cancel({cancel_kind::requested, "second"});
        co_await sleep(10s);
        CHECK(!h.done());
        CHECK(s.c.statistics().waiters == 0);
        CHECK(s.m.waiters() == 1);
        g.unlock();
        co_await settle_all();
        CHECK(h.was_cancelled());
        CHECK(s.seen == order{1});
        CHECK(!s.m.locked());
    });
}

TEST_CASE("CV-6 CV-7 cancelled while it locks again, it throws once it has the lock, and the notification is the next "
          "one's") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto all = waiters(s, 3);
        co_await settle_all();
        auto g = co_await s.m.lock();
        s.c.notify_one();
        co_await settle_all();
        CHECK(s.c.statistics().waiters == 2);
        all[0].cancel({cancel_kind::requested, "why"});
        CHECK(s.c.statistics().waiters == 1);
        CHECK(s.m.waiters() == 2);
        all[0].cancel();
        co_await settle_all();
        CHECK(s.thrown.empty());
        g.unlock();
        co_await settle_all();
        CHECK(s.thrown == order{1});
        CHECK(s.seen == order{2});
        notify(s, 5);
        co_await all[2];
        CHECK(s.seen == order{2, 3});
    });
}

TEST_CASE("CV-7 notified and cancelled in the same tick: exactly one is woken, whatever the order") {
    for (const bool notify_first : {true, false}) {
        for (const bool lock_first : {true, false}) {
            INFO(notify_first, lock_first);
            eddy_test::run([=]() -> task<> {
                shared s;
                auto all = waiters(s, 3);
                co_await settle_all();
                auto g = co_await s.m.lock();
                if (!notify_first) all[0].cancel();
                s.c.notify_one();
                if (lock_first) g.unlock(); // then the first has the lock before it is cancelled: it keeps both
                if (notify_first) all[0].cancel();
                if (!lock_first) g.unlock();
                co_await settle_all();
                const bool kept = notify_first && lock_first;
                CHECK(s.seen == (kept ? order{1} : order{2}));
                CHECK(all[0].was_cancelled()); // at its next checkpoint, if not in the wait
                CHECK(s.c.statistics().waiters == (kept ? 2 : 1));
                notify(s, 5);
                co_await settle_all();
                CHECK(s.seen == (kept ? order{1, 2, 3} : order{2, 3}));
            });
        }
    }
}

TEST_CASE("CV-7 a whole group that is cancelled passes one notification on to whoever is left") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto all = waiters(s, 5);
        co_await settle_all();
        auto g = co_await s.m.lock();
        s.c.notify_one();
        for (std::size_t i = 0; i < 4; ++i)
            all[i].cancel();
        g.unlock();
        co_await settle_all();
        CHECK(s.thrown == order{1, 2, 3, 4});
        CHECK(s.seen == order{5});
    });
}

TEST_CASE("CV-8 with a predicate: true on entry it does not wait, and waits on while it is false") {
    eddy_test::run([]() -> task<> {
        shared s;
        int level = 1;
        int tests = 0;
        bool other = false;
        auto bystander = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(other));
        auto g = co_await s.m.lock();
        co_await s.c.wait(g, [&] { return level == 1; });
        CHECK(!other);
        g.unlock();
        auto h = spawn(
            [](shared& mine, int& value, int& n) -> task<> {
                auto guard = co_await mine.m.lock();
                co_await mine.c.wait(guard, [&] {
                    CHECK(guard.owns_lock());
                    ++n;
                    return value == 3;
                });
                CHECK(guard.owns_lock());
                CHECK(mine.m.statistics().owner == this_task::name());
                mine.seen.push_back(value);
            },
            std::ref(s), std::ref(level), std::ref(tests));
        co_await settle_all();
        CHECK(tests == 1);
        for (level = 2; level <= 3; ++level) {
            CHECK(!s.m.locked());
            CHECK(s.c.statistics().waiters == 1);
            notify(s, 1);
            co_await settle_all();
            CHECK(tests == level);
        }
        CHECK(h.done());
        CHECK(s.seen == order{3});
        mutex::guard none;
        auto o = co_await settle(s.c.wait(none, [] { return true; }));
        CHECK(holds<std::logic_error>(o.error()));
        co_await bystander;
    });
}

TEST_CASE("a predicate that throws: the guard owns the lock, and the notification is the next one's") {
    eddy_test::run([]() -> task<> {
        shared s;
        bool bad = true;
        auto test = [](shared& mine, bool& flag, int bad_from) -> task<> {
            auto g = co_await mine.m.lock();
            int calls = 0;
            auto o = co_await settle(mine.c.wait(g, [&] {
                if (flag && ++calls >= bad_from) throw std::range_error("out of range");
                return false;
            }));
            CHECK(holds<std::range_error>(o.error()));
            CHECK(g.owns_lock());
        };
        co_await test(s, bad, 1); // on entry
        CHECK(!s.m.locked());
        auto h = spawn(test, std::ref(s), std::ref(bad), 2);
        auto next = spawn(wait_once, std::ref(s), 1);
        co_await settle_all();
        notify(s, 1);
        co_await settle_all();
        CHECK(h.done());
        CHECK(s.seen == order{1});
    });
}

TEST_CASE("CV-7 cancelled between the lock and a predicate that is false, it throws and passes the notification on") {
    eddy_test::run([]() -> task<> {
        shared s;
        auto h = spawn(
            [](shared& mine) -> task<> {
                auto g = co_await mine.m.lock();
                const at_end then([&g] { CHECK(g.owns_lock()); });
                co_await mine.c.wait(g, [] { return false; });
            },
            std::ref(s));
        auto next = spawn(wait_once, std::ref(s), 1);
        co_await settle_all();
        notify(s, 1);
        h.cancel();
        co_await settle_all();
        CHECK(h.was_cancelled());
        CHECK(s.seen == order{1});
        CHECK(!s.m.locked());
    });
}

TEST_CASE("CV-9 two conditions share a lock; a guard of another mutex is refused") {
    eddy_test::run([]() -> task<> {
        mutex m;
        mutex other;
        condition full(m);
        condition empty(m);
        int items = 0;
        auto producer = spawn(
            [](mutex& lock, condition& is_full, condition& is_empty, int& n) -> task<> {
                for (int i = 0; i < 20; ++i) {
                    auto g = co_await lock.lock();
                    co_await is_empty.wait(g, [&n] { return n == 0; });
                    ++n;
                    is_full.notify_one();
                }
            },
            std::ref(m), std::ref(full), std::ref(empty), std::ref(items));
        int got = 0;
        while (got < 20) {
            auto g = co_await m.lock();
            co_await full.wait(g, [&] { return items == 1; });
            --items;
            ++got;
            empty.notify_one();
        }
        co_await producer;
        auto wrong = co_await other.lock();
        auto o = co_await settle(full.wait(wrong));
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(contains(text_of(o.error()), "a guard of another mutex"));
        CHECK(wrong.owns_lock());
        CHECK(!m.locked());
    });
}

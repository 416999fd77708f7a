#include <eddy/sync/mutex.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_copy_constructible_v<mutex::guard> && std::is_nothrow_move_constructible_v<mutex::guard>);
static_assert(!std::is_move_constructible_v<mutex>);
static_assert(std::is_same_v<await_result_t<decltype(std::declval<mutex&>().lock())>, mutex::guard>);

namespace {

using order = std::vector<int>;

task<> lock_once(mutex& m, int id, order& seen) {
    const auto guard = co_await m.lock();
    seen.push_back(id);
    co_await yield();
}

std::vector<task_handle<>> lockers(mutex& m, int n, order& seen) {
    std::vector<task_handle<>> all;
    for (int i = 1; i <= n; ++i)
        all.push_back(spawn(lock_once, std::ref(m), i, std::ref(seen)));
    return all;
}

} // namespace

TEST_CASE("LK-1 a free lock is taken at once, and is free again when the guard goes") {
    eddy_test::run([]() -> task<> {
        mutex m;
        CHECK(!m.locked());
        {
            const auto g = co_await m.lock();
            CHECK(g.owns_lock());
            CHECK(m.locked());
        }
        CHECK(!m.locked());
    });
}

TEST_CASE("LK-2 only a guard unlocks, once") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto g = co_await m.lock();
        g.unlock();
        CHECK(!m.locked());
        CHECK(!g.owns_lock());
        CHECK_THROWS_WITH_AS(g.unlock(), doctest::Contains("owns no lock"), std::logic_error);
        mutex::guard none;
        CHECK_THROWS_AS(none.unlock(), std::logic_error);
        CHECK(!m.locked());
    });
}

TEST_CASE("LK-2 locking again from the task that holds the lock is an error that names it") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto h = spawn(
            spawn_options().name("writer"),
            [](mutex& mine) -> task<> {
                const auto g = co_await mine.lock();
                auto second = co_await settle(mine.lock());
                CHECK(holds<std::logic_error>(second.error()));
                CHECK(contains(text_of(second.error()), "'writer' locks a mutex that it holds already"));
                // Also where an inner scope is open, and after try_lock.
                auto inner = co_await settle(timeout(1s, mine.lock()));
                CHECK(holds<std::logic_error>(inner.error()));
                CHECK(mine.waiters() == 0);
                auto none = mine.try_lock();
                CHECK(!none.has_value());
            },
            std::ref(m));
        co_await h;
        auto g = m.try_lock();
        REQUIRE(g.has_value());
        CHECK(m.statistics().owner == this_task::name());
        auto again = co_await settle(m.lock());
        CHECK(holds<std::logic_error>(again.error()));
    });
}

TEST_CASE("LK-2 a guard that was moved has no known owner: then locking again waits") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto g = co_await m.lock();
        CHECK(m.statistics().owner == this_task::name());
        mutex::guard moved = std::move(g);
        CHECK(!g.owns_lock()); // NOLINT: moved from
        CHECK(m.statistics().owner.empty());
        auto second = co_await settle(timeout(1s, m.lock()));
        CHECK(holds<timeout_error>(second.error()));
        CHECK(m.locked());
        moved.unlock();
        CHECK(!m.locked());
    });
}

TEST_CASE("a guard that is assigned unlocks what it had") {
    eddy_test::run([]() -> task<> {
        mutex a;
        mutex b;
        auto g = co_await a.lock();
        g = co_await b.lock();
        CHECK(!a.locked());
        CHECK(b.locked());
        auto& same = g;
        g = std::move(same);
        CHECK(b.locked());
        g = mutex::guard();
        CHECK(!b.locked());
    });
}

TEST_CASE("LK-3 X-12 the lock goes round in the order of asking, and who comes late queues behind") {
    eddy_test::run([]() -> task<> {
        mutex m;
        order seen;
        auto g = co_await m.lock();
        lockers(m, 3, seen);
        co_await settle_all();
        CHECK(m.waiters() == 3);
        g.unlock();
        auto late = spawn(lock_once, std::ref(m), 4, std::ref(seen));
        co_await late;
        CHECK(seen == order{1, 2, 3, 4});
    });
}

TEST_CASE("LK-4 unlocking wakes exactly one") {
    eddy_test::run([]() -> task<> {
        mutex m;
        order seen;
        auto g = co_await m.lock();
        auto all = lockers(m, 2, seen);
        co_await settle_all();
        g.unlock();
        co_await yield();
        CHECK(seen == order{1});
        CHECK(m.waiters() == 1);
        co_await settle_all();
        CHECK(seen == order{1, 2});
    });
}

TEST_CASE("LK-5 X-3 X-11 a cancelled waiter is gone at once; holder and others are as before") {
    eddy_test::run([]() -> task<> {
        mutex m;
        order seen;
        auto g = co_await m.lock();
        auto all = lockers(m, 3, seen);
        co_await settle_all();
        all[1].cancel();
        CHECK(m.waiters() == 2);
        CHECK(m.statistics().waiters == 2);
        CHECK(m.statistics().locked);
        co_await settle_all();
        CHECK(all[1].was_cancelled());
        CHECK(g.owns_lock());
        g.unlock();
        co_await settle_all();
        CHECK(seen == order{1, 3});
    });
}

TEST_CASE("LK-7 cancelled head and unlock never give the lock to two") {
    eddy_test::run([]() -> task<> {
        mutex m;
        order seen;
        auto g = co_await m.lock();
        auto all = lockers(m, 3, seen);
        co_await settle_all();
        all[0].cancel();
        g.unlock();
        co_await yield();
        CHECK(seen == order{2});
        co_await settle_all();
        CHECK(seen == order{2, 3});
        CHECK(!m.locked());
    });
}

TEST_CASE("LK-8 a cancelled waiter that has not run yet is in nobody's way") {
    eddy_test::run([]() -> task<> {
        mutex m;
        order seen;
        auto g = co_await m.lock();
        auto all = lockers(m, 1, seen);
        co_await settle_all();
        all[0].cancel();
        g.unlock();
        auto mine = m.try_lock();
        CHECK(mine.has_value());
        CHECK(!all[0].done());
        mine.reset();
        co_await settle_all();
        CHECK(seen.empty());
        CHECK(!m.locked());
    });
}

TEST_CASE("LK-10 one at a time, whatever the schedule") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        testing::seed(seed);
        int entered = 0;
        eddy_test::run([&]() -> task<> {
            mutex m;
            int inside = 0;
            auto worker = [](mutex& lock, int& in, int& count) -> task<> {
                for (int i = 0; i < 10; ++i) {
                    const auto guard = co_await lock.lock();
                    CHECK(++in == 1);
                    co_await yield();
                    co_await yield();
                    --in;
                    ++count;
                }
            };
            std::vector<task_handle<>> all;
            for (int i = 0; i < 5; ++i)
                all.push_back(spawn(worker, std::ref(m), std::ref(inside), std::ref(entered)));
            for (const auto& h : all)
                co_await h;
        });
        CHECK(entered == 50);
    }
    testing::seed(0);
}

TEST_CASE("LK-11 LK-12 X-5 from unlock on the next waiter owns the lock, though it has not run") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto g = co_await m.lock();
        order seen;
        auto h = spawn(spawn_options().name("next"), lock_once, std::ref(m), 1, std::ref(seen));
        co_await settle_all();
        g.unlock();
        CHECK(seen.empty());
        CHECK(m.locked());
        CHECK(m.statistics().owner == "next");
        auto none = m.try_lock();
        CHECK(!none.has_value());
        auto late = spawn(lock_once, std::ref(m), 2, std::ref(seen));
        co_await late;
        CHECK(seen == order{1, 2});
    });
}

TEST_CASE("LK-14 X-7 the guard lets go on return, exception, cancellation and when its frame is destroyed") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto hold = [](mutex& mine, int how) -> task<> {
            const auto g = co_await mine.lock();
            if (how == 1) throw std::runtime_error("inside");
            if (how > 1) co_await sleep(1h);
        };
        for (int how = 0; how < 4; ++how) {
            auto h = spawn(hold, std::ref(m), how);
            co_await settle_all();
            if (how == 2) h.cancel();
            if (how == 3) destroy_task(h);
            auto o = co_await settle(h);
            CHECK(!m.locked());
            auto g = m.try_lock();
            CHECK(g.has_value());
        }
    });
}

TEST_CASE("LK-15 a free lock does not cost a turn") {
    eddy_test::run([]() -> task<> {
        mutex m;
        bool other = false;
        auto h = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(other));
        for (int i = 0; i < 10; ++i)
            auto g = co_await m.lock();
        CHECK(!other);
        co_await h;
    });
}

TEST_CASE("X-9 a task that takes free locks for ever does not keep others from running") {
    eddy_test::run([]() -> task<> {
        mutex m;
        bool stop = false;
        auto h = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(stop));
        int rounds = 0;
        while (!stop) {
            auto g = co_await m.lock();
            ++rounds;
        }
        CHECK(rounds <= 129);
        co_await h;
    });
}

TEST_CASE("a free lock of a cancelled task is not taken: locking is a checkpoint") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto h = spawn(
            [](mutex& mine) -> task<> {
                this_task::handle().cancel();
                auto g = co_await mine.lock();
                FAIL("reached");
            },
            std::ref(m));
        auto o = co_await settle(h);
        CHECK(h.was_cancelled());
        CHECK(!m.locked());
    });
}

TEST_CASE("a lock that was granted and not taken is handed on: operation driven by hand") {
    eddy_test::run([]() -> task<> {
        mutex m;
        context c = here();
        {
            auto op = m.lock();
            op.bind(c);
            const bool ready = op.start();
            CHECK(ready);
            CHECK(op.state() == engine::status::ok);
            CHECK(m.locked());
        }
        CHECK(!m.locked());
        // It may also be that the mutex goes first.
        auto other = std::make_unique<mutex>();
        auto op = other->lock();
        op.bind(c);
        const bool ready = op.start();
        CHECK(ready);
        other.reset();
        const auto g = op.take();
        CHECK(!g.owns_lock());
        co_return;
    });
}

TEST_CASE("an operation can be moved until it is awaited, and awaited once") {
    eddy_test::run([]() -> task<> {
        mutex m;
        auto op = m.lock();
        auto moved = std::move(op);
        auto g = co_await moved;
        CHECK(g.owns_lock());
        auto twice = co_await settle([](detail::lock_operation& o) -> task<> { auto never = co_await o; }(moved));
        CHECK(holds<std::logic_error>(twice.error()));
        CHECK_THROWS_AS(detail::lock_operation(std::move(moved)), std::logic_error);
    });
}

TEST_CASE("X-10 a mutex that is destroyed ends the waits, with a text that says where, and a line on standard error") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto m = std::make_unique<mutex>();
        auto g = co_await m->lock();
        auto wait = [](mutex& mine) -> task<> { auto guard = co_await mine.lock(); };
        auto first = spawn(spawn_options().name("reader"), wait, std::ref(*m));
        auto second = spawn(wait, std::ref(*m));
        co_await settle_all();
        m.reset();
        CHECK(contains(dump_text(), "ready (was: mutex.lock)")); // no look at what is gone
        CHECK(!g.owns_lock());
        CHECK_THROWS_AS(g.unlock(), std::logic_error);
        auto o = co_await settle(first);
        CHECK(holds<object_destroyed>(o.error()));
        const std::string text = text_of(o.error());
        CHECK(contains(text, "mutex.lock of task 'reader' at mutex_test.cpp:"));
        auto p = co_await settle(second);
        CHECK(holds<object_destroyed>(p.error()));
        // Nobody waits: nothing to tell.
        mutex quiet;
        auto held = co_await quiet.lock();
    });
    const std::string text = err.text();
    CHECK(contains(text, "eddy: a mutex was destroyed while somebody waited for it: mutex.lock of task 'reader'"));
    CHECK(contains(text, " and 1 more\n"));
    CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}

TEST_CASE("X-10 a waiter that was cancelled, or has not begun, does not look at a mutex that is gone") {
    eddy_test::run([]() -> task<> {
        auto m = std::make_unique<mutex>();
        auto g = co_await m->lock();
        auto h = spawn([](mutex& mine) -> task<> { auto guard = co_await mine.lock(); }, std::ref(*m));
        auto unused = m->lock();
        co_await settle_all();
        h.cancel();
        m.reset();
        CHECK(contains(dump_text(), "ready (was: mutex.lock)"));
        co_await settle_all();
        CHECK(h.was_cancelled());
        // A task that has been given something else than a name.
        char text[20];
        auto other = spawn([]() -> task<> { co_return; });
        other.cancel({cancel_kind::requested, "a text"});
        CHECK(detail::describe_name(*other.detail_record(), text, sizeof text) == other.name().size());
        CHECK(text == other.name());
    });
}

TEST_CASE("X-6 a lock that tasks of one loop wait for can't be waited for on another") {
    mutex m; // outside of any loop
    testing::virtual_loop a;
    testing::virtual_loop b;
    order seen;
    auto held = std::make_unique<mutex::guard>();
    auto hold = [](mutex& mine, mutex::guard& out) -> task<> { out = co_await mine.lock(); };
    a.spawn(hold, std::ref(m), std::ref(*held));
    a.spawn(lock_once, std::ref(m), 1, std::ref(seen));
    a.settle();
    CHECK(m.waiters() == 1);
    auto other = [](mutex& mine) -> task<> {
        auto o = co_await settle(mine.lock());
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(contains(text_of(o.error()), "mutex.lock from another loop"));
    };
    b.run(other(m));
    CHECK(m.waiters() == 1);
    held.reset();
    a.settle();
    CHECK(seen == order{1});
    // Nobody waits any more: it may be the other loop's now.
    b.run(lock_once(m, 2, seen));
    CHECK(seen == order{1, 2});
}

TEST_CASE("a dump says who holds the lock that is waited for") {
    eddy_test::run([]() -> task<> {
        mutex m;
        order seen;
        auto holder = spawn(
            spawn_options().name("writer"),
            [](mutex& mine) -> task<> {
                const auto g = co_await mine.lock();
                co_await sleep(1s);
            },
            std::ref(m));
        auto h = spawn(lock_once, std::ref(m), 1, std::ref(seen));
        co_await settle_all();
        CHECK(contains(dump_text(), "waits for mutex.lock held by 'writer'"));
        CHECK(m.statistics().owner == "writer");
        co_await holder;
        // Unknown once the guard was moved.
        auto g = co_await m.lock();
        auto moved = std::move(g);
        auto late = spawn(lock_once, std::ref(m), 2, std::ref(seen));
        co_await settle_all();
        CHECK(contains(dump_text(), "waits for mutex.lock\n"));
        moved.unlock();
        co_await late;
    });
    mutex m; // outside of any loop
    auto g = m.try_lock();
    CHECK(g.has_value());
    CHECK(m.statistics().locked);
    CHECK(m.statistics().owner.empty());
}

TEST_CASE("a callback that is no task has no name as an owner") {
    eddy_test::run([]() -> task<> {
        mutex m;
        std::optional<mutex::guard> g;
        loop::current().call_soon([&] { g = m.try_lock(); });
        co_await settle_all();
        CHECK(g.has_value());
        CHECK(m.statistics().locked);
        CHECK(m.statistics().owner.empty());
        g.reset();
        CHECK(m.statistics().owner.empty());
    });
}

TEST_CASE("among very many tasks a dump does not look for the owner for ever") {
    eddy_test::run([]() -> task<> {
        mutex m;
        order seen;
        std::vector<task_handle<>> sleepers;
        for (int i = 0; i < 1000; ++i)
            sleepers.push_back(spawn([]() -> task<> { co_await sleep(1s); }));
        auto holder = spawn(
            spawn_options().name("last"),
            [](mutex& mine) -> task<> {
                const auto g = co_await mine.lock();
                co_await sleep(1s);
            },
            std::ref(m));
        auto h = spawn(lock_once, std::ref(m), 1, std::ref(seen));
        co_await settle_all();
        CHECK(contains(dump_text(), "waits for mutex.lock\n"));
        CHECK(m.statistics().owner == "last");
        co_await h;
        for (const auto& s : sleepers)
            co_await s;
    });
}

TEST_CASE("the lock outlives the task that took it, when its guard does") {
    eddy_test::run([]() -> task<> {
        mutex m;
        std::unique_ptr<mutex::guard> kept;
        auto h = spawn(
            [](mutex& mine, std::unique_ptr<mutex::guard>& out) -> task<> {
                auto op = mine.lock();
                context c = here();
                op.bind(c);
                const bool ready = op.start();
                CHECK(ready);
                out.reset(new mutex::guard(op.take())); // built in place: never moved, so the owner is known
                co_return;
            },
            std::ref(m), std::ref(kept));
        co_await h;
        h = {};
        CHECK(m.locked());
        CHECK(m.statistics().owner.empty());
        auto o = co_await settle(timeout(1ms, m.lock()));
        CHECK(holds<timeout_error>(o.error()));
        kept.reset();
        CHECK(!m.locked());
    });
}

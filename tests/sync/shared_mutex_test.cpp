#include <eddy/sync/shared_mutex.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>

#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<shared_mutex>);
static_assert(!std::is_copy_constructible_v<shared_mutex::guard> &&
              std::is_nothrow_move_constructible_v<shared_mutex::guard>);
static_assert(std::is_same_v<await_result_t<decltype(std::declval<shared_mutex&>().lock())>, shared_mutex::guard>);
static_assert(
    std::is_same_v<await_result_t<decltype(std::declval<shared_mutex&>().lock_shared())>, shared_mutex::shared_guard>);
static_assert(!std::is_same_v<shared_mutex::guard, shared_mutex::shared_guard>);

namespace {

// 'r' and 'w' in the order in which they got in, with those inside at the same time.
struct log_of {
    std::string entered;
    int readers = 0;
    int writers = 0;
    int most_readers = 0;
};

task<> read_once(shared_mutex& m, log_of& log) {
    const auto g = co_await m.lock_shared();
    log.entered.push_back('r');
    CHECK(log.writers == 0);
    log.most_readers = std::max(log.most_readers, ++log.readers);
    const at_end leave([&log] { --log.readers; });
    co_await sleep(1ms);
}

task<> write_once(shared_mutex& m, log_of& log) {
    const auto g = co_await m.lock();
    log.entered.push_back('w');
    CHECK(log.readers == 0);
    CHECK(++log.writers == 1);
    const at_end leave([&log] { --log.writers; });
    co_await sleep(1ms);
}

// "rrw": spawns them, one after the other.
std::vector<task_handle<>> queue_up(shared_mutex& m, const std::string& who, log_of& log) {
    std::vector<task_handle<>> all;
    for (const char c : who)
        all.push_back(c == 'r' ? spawn(read_once, std::ref(m), std::ref(log))
                               : spawn(write_once, std::ref(m), std::ref(log)));
    return all;
}

shared_mutex::guard lock_now(shared_mutex& m) {
    auto g = m.try_lock();
    REQUIRE(g.has_value());
    return std::move(*g);
}

} // namespace

TEST_CASE("LK-1 LK-16 many readers or one writer, at once when it is free") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        {
            const auto g = co_await m.lock();
            CHECK(g.owns_lock());
            CHECK(m.statistics().locked);
            CHECK(m.statistics().readers == 0);
            auto none = m.try_lock_shared();
            CHECK(!none.has_value());
            auto again = m.try_lock();
            CHECK(!again.has_value());
        }
        CHECK(!m.statistics().locked);
        {
            const auto a = co_await m.lock_shared();
            const auto b = co_await m.lock_shared();
            const auto c = m.try_lock_shared();
            CHECK(c.has_value());
            CHECK(m.statistics().readers == 3);
            CHECK(!m.statistics().locked);
            auto none = m.try_lock();
            CHECK(!none.has_value());
        }
        CHECK(m.statistics().readers == 0);
        auto free = m.try_lock();
        CHECK(free.has_value());
    });
}

TEST_CASE("LK-16 LK-3 in the order of asking: readers that stand together go in together, nobody overtakes") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        log_of log;
        auto g = co_await m.lock();
        auto all = queue_up(m, "rrwrrrwwr", log);
        co_await settle_all();
        CHECK(m.statistics().waiting_readers == 6);
        CHECK(m.statistics().waiting_writers == 3);
        g.unlock();
        CHECK(m.statistics().readers == 2);
        CHECK(m.statistics().waiting_readers == 4);
        for (const auto& h : all)
            co_await h;
        CHECK(log.entered == "rrwrrrwwr");
        CHECK(log.most_readers == 3);
    });
}

TEST_CASE("LK-16 writers do not starve: a reader that comes while one waits queues behind it, also try_lock_shared") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        log_of log;
        auto g = co_await m.lock_shared();
        auto all = queue_up(m, "wr", log);
        co_await settle_all();
        CHECK(m.statistics().waiting_writers == 1);
        CHECK(m.statistics().waiting_readers == 1);
        auto none = m.try_lock_shared();
        CHECK(!none.has_value());
        g.unlock();
        // handed over, though the writer has not run.
        none = m.try_lock_shared();
        CHECK(!none.has_value());
        CHECK(m.statistics().locked);
        for (const auto& h : all)
            co_await h;
        CHECK(log.entered == "wr");
    });
}

TEST_CASE("LK-16 a queued writer that leaves lets the readers behind it in, however it leaves") {
    for (int how = 0; how < 4; ++how) {
        INFO(how);
        eddy_test::run([how]() -> task<> {
            shared_mutex m;
            log_of log;
            const auto g = co_await m.lock_shared();
            event stop;
            task_handle<> writer;
            if (how < 2) writer = spawn(write_once, std::ref(m), std::ref(log));
            if (how == 2)
                writer = spawn(
                    [](shared_mutex& mine) -> task<> {
                        auto o = co_await settle(timeout(500us, mine.lock()));
                        CHECK(holds<timeout_error>(o.error()));
                    },
                    std::ref(m));
            if (how == 3)
                writer = spawn(
                    [](shared_mutex& mine, event& e) -> task<> {
                        auto won = co_await race(mine.lock(), e.wait());
                        CHECK(won.index == 1);
                    },
                    std::ref(m), std::ref(stop));
            co_await settle_all();
            auto all = queue_up(m, "rrwr", log);
            co_await settle_all();
            CHECK(m.statistics().waiting_writers == 2);
            CHECK(log.entered.empty());
            if (how == 0) writer.cancel();
            if (how == 1) destroy_task(writer);
            if (how == 2) co_await sleep(500us);
            if (how == 3) stop.set();
            if (how < 2) CHECK(m.statistics().readers == 3); // at once
            co_await settle_all();
            CHECK(log.entered == "rr");
            CHECK(m.statistics().waiting_writers == 1);
            CHECK(m.statistics().waiting_readers == 1);
            all[2].cancel();
            co_await settle_all();
            CHECK(log.entered == "rrr");
            co_await sleep(5ms);
            CHECK(m.statistics().readers == 1);
        });
    }
}

TEST_CASE("LK-5 LK-6 X-4 a lock that was handed over survives a cancel, and is handed on when its frame is destroyed") {
    for (const bool destroy : {false, true}) {
        eddy_test::run([destroy]() -> task<> {
            shared_mutex m;
            log_of log;
            auto g = co_await m.lock();
            auto all = queue_up(m, "wrr", log);
            co_await settle_all();
            g.unlock();
            CHECK(m.statistics().locked);
            if (destroy) {
                destroy_task(all[0]);
                CHECK(m.statistics().readers == 2);
            } else {
                all[0].cancel();
                CHECK(m.statistics().locked);
            }
            co_await settle_all();
            co_await all[1];
            co_await all[2];
            CHECK(log.entered == (destroy ? "rr" : "wrr"));
            CHECK(m.statistics().readers == 0);
            CHECK(!m.statistics().locked);
        });
    }
}

TEST_CASE("LK-6 one of the readers that were let in together goes before it has run: the writer behind waits for the "
          "others") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        log_of log;
        auto g = co_await m.lock();
        auto all = queue_up(m, "rrw", log);
        co_await settle_all();
        g.unlock();
        destroy_task(all[0]);
        CHECK(m.statistics().readers == 1);
        CHECK(!m.statistics().locked);
        destroy_task(all[1]);
        CHECK(m.statistics().locked);
        co_await all[2];
        CHECK(log.entered == "w");
    });
}

TEST_CASE("LK-2 locking again, alone or shared, from the task that holds it alone is an error, while that is known") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        auto h = spawn(
            spawn_options().name("writer"),
            [](shared_mutex& mine) -> task<> {
                auto g = co_await mine.lock();
                CHECK(mine.statistics().owner == "writer");
                auto again = co_await settle(mine.lock());
                CHECK(contains(text_of(again.error()), "'writer' locks a shared_mutex that it holds already"));
                CHECK(holds<std::logic_error>(again.error()));
                auto inner = co_await settle(timeout(1s, mine.lock_shared()));
                CHECK(holds<std::logic_error>(inner.error()));
                shared_mutex::guard moved = std::move(g);
                CHECK(!g.owns_lock()); // NOLINT: moved from
                CHECK(mine.statistics().owner.empty());
                auto waits = co_await settle(timeout(1s, mine.lock()));
                CHECK(holds<timeout_error>(waits.error()));
                CHECK(mine.statistics().locked);
            },
            std::ref(m));
        co_await h;
        const auto g = m.try_lock();
        CHECK(m.statistics().owner == this_task::name());
        auto again = co_await settle(m.lock());
        CHECK(holds<std::logic_error>(again.error()));
    });
}

TEST_CASE("LK-2 a task that had the lock and now reads is not taken for its writer") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        log_of log;
        {
            const auto g = co_await m.lock();
        }
        auto mine = co_await m.lock_shared();
        auto all = queue_up(m, "w", log);
        co_await settle_all();
        auto o = co_await settle(timeout(1ms, m.lock_shared())); // waits behind the writer
        CHECK(holds<timeout_error>(o.error()));
        mine.unlock();
        co_await all[0];
    });
}

TEST_CASE("LK-2 only a guard unlocks, once, and one that is assigned unlocks what it had") {
    eddy_test::run([]() -> task<> {
        shared_mutex a;
        shared_mutex b;
        auto g = co_await a.lock();
        g = co_await b.lock();
        CHECK(!a.statistics().locked);
        CHECK(b.statistics().locked);
        auto& same = g;
        g = std::move(same);
        CHECK(b.statistics().locked);
        g.unlock();
        CHECK(!b.statistics().locked);
        CHECK_THROWS_WITH_AS(g.unlock(), doctest::Contains("owns no lock"), std::logic_error);
        auto r = co_await a.lock_shared();
        r = co_await b.lock_shared();
        CHECK(a.statistics().readers == 0);
        CHECK(b.statistics().readers == 1);
        r = shared_mutex::shared_guard();
        CHECK(b.statistics().readers == 0);
        CHECK_THROWS_AS(r.unlock(), std::logic_error);
    });
}

TEST_CASE("LK-10 never a writer with anybody, whatever the schedule") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        testing::seed(seed);
        log_of log;
        eddy_test::run([&log]() -> task<> {
            shared_mutex m;
            auto worker = [](shared_mutex& mine, log_of& l, int id) -> task<> {
                for (int i = 0; i < 10; ++i) {
                    if ((id + i) % 3 == 0)
                        co_await write_once(mine, l);
                    else
                        co_await read_once(mine, l);
                }
            };
            std::vector<task_handle<>> all;
            for (int i = 0; i < 6; ++i)
                all.push_back(spawn(worker, std::ref(m), std::ref(log), i));
            for (const auto& h : all)
                co_await h;
        });
        CHECK(log.entered.size() == 60);
    }
    testing::seed(0);
}

TEST_CASE("X-7 guards let go on exception, cancellation and when the frame is destroyed") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        auto hold = [](shared_mutex& mine, bool shared, int how) -> task<> {
            shared_mutex::guard g;
            shared_mutex::shared_guard s;
            if (shared)
                s = co_await mine.lock_shared();
            else
                g = co_await mine.lock();
            if (how == 1) throw std::runtime_error("inside");
            if (how > 1) co_await sleep(1h);
        };
        for (int how = 0; how < 4; ++how)
            for (const bool shared : {false, true}) {
                auto h = spawn(hold, std::ref(m), shared, how);
                co_await settle_all();
                if (how == 2) h.cancel();
                if (how == 3) destroy_task(h);
                auto o = co_await settle(h);
                auto g = m.try_lock();
                CHECK(g.has_value());
            }
    });
}

TEST_CASE("locking is a checkpoint, and a dump says who is in the way") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        auto h = spawn(
            [](shared_mutex& mine) -> task<> {
                this_task::handle().cancel();
                auto a = co_await settle(mine.lock());
                CHECK(a.is_cancelled());
                auto b = co_await settle(mine.lock_shared());
                CHECK(b.is_cancelled());
            },
            std::ref(m));
        co_await h;
        CHECK(!m.statistics().locked);
        log_of log;
        auto holder = spawn(spawn_options().name("writer"), write_once, std::ref(m), std::ref(log));
        auto all = queue_up(m, "rw", log);
        co_await settle_all();
        CHECK(contains(dump_text(), "waits for shared_mutex.lock_shared held by 'writer'"));
        CHECK(contains(dump_text(), "waits for shared_mutex.lock held by 'writer'"));
        co_await holder;
        co_await all[1];
    });
}

TEST_CASE("X-3 a hundred thousand waits that time out leave nothing") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        const auto g = co_await m.lock_shared();
        const auto before = loop::current().statistics();
        for (int i = 0; i < 100'000; ++i) {
            auto none = co_await move_on_after(1ms, m.lock());
            if (none) FAIL("locked");
        }
        CHECK(m.statistics().waiting_writers == 0);
        CHECK(loop::current().statistics().bytes == before.bytes);
        CHECK(loop::current().statistics().timers == 0);
    });
}

TEST_CASE("X-6 a shared_mutex that tasks of one loop wait for can't be waited for on another") {
    shared_mutex m;
    testing::virtual_loop a;
    testing::virtual_loop b;
    log_of log;
    auto held = lock_now(m);
    a.spawn(read_once, std::ref(m), std::ref(log));
    a.settle();
    b.run([](shared_mutex& mine) -> task<> {
        auto o = co_await settle(mine.lock());
        CHECK(contains(text_of(o.error()), "shared_mutex.lock from another loop"));
        auto p = co_await settle(mine.lock_shared());
        CHECK(holds<std::logic_error>(p.error()));
    }(m));
    CHECK(m.statistics().waiting_readers == 1);
    held.unlock();
    a.run(settle_all());
    CHECK(log.entered == "r");
    a.run([]() -> task<> { co_await sleep(1s); }());
    b.run(read_once(m, log));
    CHECK(log.entered == "rr");
}

TEST_CASE(
    "X-10 a shared_mutex that is destroyed ends the waits; its guards, and locks that nobody took, hold nothing") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto m = std::make_unique<shared_mutex>();
        log_of log;
        auto g = co_await m->lock_shared();
        auto all = queue_up(*m, "wr", log);
        co_await settle_all();
        context c = here();
        auto free = std::make_unique<shared_mutex>();
        auto op = free->lock();
        op.bind(c);
        const bool ready = op.start();
        CHECK(ready);
        free.reset();
        const auto nothing = op.take();
        CHECK(!nothing.owns_lock());
        m.reset();
        CHECK(contains(dump_text(), "ready (was: shared_mutex.lock)")); // no look at what is gone
        CHECK(!g.owns_lock());
        CHECK_THROWS_AS(g.unlock(), std::logic_error);
        for (const auto& h : all) {
            auto o = co_await settle(h);
            CHECK(holds<object_destroyed>(o.error()));
        }
        CHECK(log.entered.empty());
    });
    const std::string text = err.text();
    CHECK(
        contains(text, "eddy: a shared_mutex was destroyed while somebody waited for it: shared_mutex.lock of task '"));
    CHECK(contains(text, " and 1 more\n"));
}

TEST_CASE("an operation can be moved until it is awaited; one that was granted and not taken gives back") {
    eddy_test::run([]() -> task<> {
        shared_mutex m;
        auto op = m.lock();
        auto moved = std::move(op);
        {
            auto g = co_await moved;
            CHECK(g.owns_lock());
        }
        CHECK_THROWS_AS(detail::shared_mutex_operation<false>(std::move(moved)), std::logic_error);
        context c = here();
        {
            auto granted = m.lock_shared();
            granted.bind(c);
            const bool ready = granted.start();
            CHECK(ready);
            CHECK(m.statistics().readers == 1);
        }
        CHECK(m.statistics().readers == 0);
    });
}

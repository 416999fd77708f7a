#include <eddy/sync/event.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<event>);

namespace {

using order = std::vector<int>;

task<> wait_for(event& e, int id, order& seen) {
    co_await e.wait();
    seen.push_back(id);
}

std::vector<task_handle<>> waiters(event& e, int n, order& seen) {
    std::vector<task_handle<>> all;
    for (int i = 1; i <= n; ++i)
        all.push_back(spawn(wait_for, std::ref(e), i, std::ref(seen)));
    return all;
}

} // namespace

TEST_CASE("EV-1 waiting for an event that is set costs no turn") {
    eddy_test::run([]() -> task<> {
        event e;
        e.set();
        bool other = false;
        auto h = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(other));
        co_await e.wait();
        CHECK(!other);
        co_await h;
    });
}

TEST_CASE("EV-2 X-12 set wakes all who wait, once each, in their order; they run later") {
    eddy_test::run([]() -> task<> {
        event e;
        order seen;
        auto all = waiters(e, 5, seen);
        co_await settle_all();
        CHECK(e.statistics().waiters == 5);
        e.set();
        CHECK(e.statistics().waiters == 0);
        CHECK(seen.empty());
        co_await settle_all();
        CHECK(seen == order{1, 2, 3, 4, 5});
    });
}

TEST_CASE("EV-3 set is idempotent; after clear waiting blocks again") {
    eddy_test::run([]() -> task<> {
        event e;
        CHECK(!e.is_set());
        e.set();
        e.set();
        CHECK(e.is_set());
        CHECK(e.statistics().is_set);
        e.clear();
        e.clear();
        CHECK(!e.is_set());
        auto o = co_await settle(timeout(1s, e.wait()));
        CHECK(holds<timeout_error>(o.error()));
    });
}

TEST_CASE("EV-4 who waited at set wakes although clear follows at once") {
    eddy_test::run([]() -> task<> {
        event e;
        order seen;
        auto all = waiters(e, 3, seen);
        co_await settle_all();
        e.set();
        e.clear();
        co_await settle_all();
        CHECK(seen == order{1, 2, 3});
        CHECK(!e.is_set());
    });
}

TEST_CASE("EV-5 X-3 X-11 a cancelled waiter leaves at once, and alone") {
    eddy_test::run([]() -> task<> {
        event e;
        order seen;
        auto all = waiters(e, 3, seen);
        co_await settle_all();
        all[0].cancel();
        CHECK(e.statistics().waiters == 2);
        e.set();
        co_await settle_all();
        CHECK(seen == order{2, 3});
        CHECK(all[0].was_cancelled());
    });
}

TEST_CASE("EV-6 set, then cancel: the wait completes, and the cancellation comes at the next checkpoint") {
    eddy_test::run([]() -> task<> {
        event e;
        order seen;
        auto late = spawn(
            [](event& mine, order& log) -> task<> {
                co_await mine.wait();
                log.push_back(1);
                co_await checkpoint();
                log.push_back(2);
            },
            std::ref(e), std::ref(seen));
        auto all = waiters(e, 2, seen);
        co_await settle_all();
        e.set();
        late.cancel();
        co_await settle_all();
        CHECK(seen == order{1, 1, 2});
        CHECK(late.was_cancelled());
    });
}

TEST_CASE("EV-7 who begins to wait during a wake-up is not woken by it once clear was called") {
    eddy_test::run([]() -> task<> {
        event e;
        order seen;
        auto again = [](event& mine, int id, order& log) -> task<> {
            co_await mine.wait();
            log.push_back(id);
            mine.clear();
            co_await mine.wait();
            log.push_back(10 + id);
        };
        auto one = spawn(again, std::ref(e), 1, std::ref(seen));
        auto two = spawn(again, std::ref(e), 2, std::ref(seen));
        co_await settle_all();
        e.set();
        co_await settle_all();
        CHECK(seen == order{1, 2});
        CHECK(e.statistics().waiters == 2);
        e.set();
        co_await settle_all();
        CHECK(seen == order{1, 2, 11, 12});
    });
}

TEST_CASE("X-8 set may be called by what a wake-up destroys") {
    eddy_test::run([]() -> task<> {
        event e;
        order seen;
        auto chain = [](event& mine, order& log) -> task<> {
            const at_end then([&mine] {
                mine.clear();
                mine.set();
            });
            co_await mine.wait();
            log.push_back(0);
        };
        auto first = spawn(chain, std::ref(e), std::ref(seen));
        auto all = waiters(e, 2, seen);
        co_await settle_all();
        e.set();
        e.clear();
        auto more = waiters(e, 2, seen);
        co_await settle_all();
        CHECK(seen == order{0, 1, 2, 1, 2});
    });
}

TEST_CASE("X-3 ten thousand waits that time out leave nothing") {
    eddy_test::run([]() -> task<> {
        event e;
        const auto before = loop::current().statistics();
        for (int i = 0; i < 10'000; ++i) {
            bool done = co_await move_on_after(1ms, e.wait());
            CHECK(!done);
        }
        CHECK(e.statistics().waiters == 0);
        CHECK(loop::current().statistics().bytes == before.bytes);
        CHECK(loop::current().statistics().timers == 0);
    });
}

TEST_CASE("X-9 a task that waits for a set event over and over lets its own time limit end it") {
    eddy_test::run([]() -> task<> {
        event e;
        e.set();
        bool finished = false;
        auto other = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(finished));
        int rounds = 0;
        while (!finished) {
            co_await e.wait();
            ++rounds;
        }
        CHECK(rounds <= 129);
        co_await other;
    });
}

TEST_CASE("X-10 an event that is destroyed ends the waits; a waiter whose frame goes first is no matter") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto e = std::make_unique<event>();
        order seen;
        auto all = waiters(*e, 2, seen);
        co_await settle_all();
        destroy_task(all[0]);
        CHECK(e->statistics().waiters == 1);
        e.reset();
        auto o = co_await settle(all[1]);
        CHECK(holds<object_destroyed>(o.error()));
        CHECK(contains(text_of(o.error()), "event.wait of task '" + all[1].name() + "' at event_test.cpp:"));
        CHECK(seen.empty());
    });
    CHECK(contains(err.text(), "an event was destroyed while somebody waited for it: event.wait of task '"));
}

TEST_CASE("X-10 silent while a loop shuts down") {
    captured_stderr err;
    bool told_so = false;
    {
        testing::virtual_loop l;
        // Cancelled at shutdown, its frame goes, and the event with it, while a shielded task still waits.
        l.spawn([&told_so]() -> task<> {
            event e;
            auto h = spawn(
                [](event& mine, bool& flag) -> task<> {
                    auto o = co_await settle(shield(mine.wait()));
                    flag = holds<object_destroyed>(o.error());
                },
                std::ref(e), std::ref(told_so));
            co_await sleep(1h);
        });
        l.settle();
    }
    CHECK(told_so);
    CHECK(err.text() == "");
}

TEST_CASE("X-6 an event that tasks of one loop wait for is refused to another loop") {
    event e;
    testing::virtual_loop a;
    testing::virtual_loop b;
    order seen;
    a.spawn(wait_for, std::ref(e), 1, std::ref(seen));
    a.settle();
    b.run([](event& mine) -> task<> {
        auto o = co_await settle(mine.wait());
        CHECK(holds<std::logic_error>(o.error()));
        CHECK_THROWS_AS(mine.set(), std::logic_error);
    }(e));
    CHECK(!e.is_set());
    CHECK(e.statistics().waiters == 1);
    e.set(); // outside of any loop: a host's callback
    a.settle();
    CHECK(seen == order{1});
    b.run(wait_for(e, 2, seen));
    CHECK(seen == order{1, 2});
}

TEST_CASE("an operation can be moved until it is awaited") {
    eddy_test::run([]() -> task<> {
        event e;
        e.set();
        auto op = e.wait();
        auto moved = std::move(op);
        co_await moved;
        CHECK_THROWS_AS(detail::event_wait_operation(std::move(moved)), std::logic_error);
    });
}

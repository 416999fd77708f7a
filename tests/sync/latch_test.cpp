#include <eddy/sync/latch.hpp>

#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include "sync/support.hpp"

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<latch>);

namespace {

using order = std::vector<int>;

task<> wait_for(latch& l, int id, order& seen) {
    co_await l.wait();
    seen.push_back(id);
}

task<> arrive(latch& l, int id, order& seen) {
    co_await l.arrive_and_wait();
    seen.push_back(id);
}

} // namespace

TEST_CASE("a latch opens when it has been counted down to zero, and stays open; its waiters run later, in order") {
    eddy_test::run([]() -> task<> {
        latch l(3);
        order seen;
        auto one = spawn(wait_for, std::ref(l), 1, std::ref(seen));
        auto two = spawn(wait_for, std::ref(l), 2, std::ref(seen));
        co_await settle_all();
        CHECK(!l.try_wait());
        CHECK(l.statistics().count == 3);
        CHECK(l.statistics().waiters == 2);
        CHECK(contains(dump_text(), "waits for latch.wait, 3 to go"));
        l.count_down();
        l.count_down(0);
        co_await settle_all();
        CHECK(l.count() == 2);
        CHECK(seen.empty());
        l.count_down(2);
        CHECK(l.try_wait());
        CHECK(l.statistics().waiters == 0);
        CHECK(seen.empty());
        // Who comes now does not wait.
        co_await l.wait();
        CHECK(seen.empty());
        co_await settle_all();
        CHECK(seen == order{1, 2});
    });
}

TEST_CASE("a latch of zero is open; a negative count, or below zero, is an error that changes nothing") {
    eddy_test::run([]() -> task<> {
        latch open(0);
        CHECK(open.try_wait());
        co_await open.wait();
        CHECK_THROWS_WITH_AS(open.count_down(), doctest::Contains("latch.count_down(1)"), std::logic_error);
        auto o = co_await settle(open.arrive_and_wait());
        CHECK(holds<std::logic_error>(o.error()));
        CHECK_THROWS_WITH_AS(latch(-1), doctest::Contains("latch(-1)"), std::logic_error);
        latch l(2);
        CHECK_THROWS_WITH_AS(l.count_down(3), doctest::Contains("latch.count_down(3) would bring a count of 2 below"),
                             std::logic_error);
        CHECK_THROWS_WITH_AS(l.count_down(-1), doctest::Contains("latch.count_down(-1)"), std::logic_error);
        CHECK(l.count() == 2);
    });
}

TEST_CASE("arrive_and_wait counts once, and the last one does not wait") {
    eddy_test::run([]() -> task<> {
        latch l(3);
        order seen;
        auto one = spawn(arrive, std::ref(l), 1, std::ref(seen));
        auto two = spawn(arrive, std::ref(l), 2, std::ref(seen));
        co_await settle_all();
        CHECK(l.count() == 1);
        CHECK(seen.empty());
        co_await l.arrive_and_wait();
        CHECK(seen.empty());
        co_await settle_all();
        CHECK(seen == order{1, 2});
    });
}

TEST_CASE("who is cancelled while it waits has arrived; who is cancelled before has not") {
    eddy_test::run([]() -> task<> {
        latch l(2);
        order seen;
        auto waits = spawn(arrive, std::ref(l), 1, std::ref(seen));
        auto before = spawn(
            [](latch& mine) -> task<> {
                this_task::handle().cancel();
                co_await mine.arrive_and_wait();
                FAIL("reached");
            },
            std::ref(l));
        co_await settle_all();
        CHECK(before.was_cancelled());
        CHECK(l.count() == 1);
        waits.cancel();
        CHECK(l.statistics().waiters == 0);
        CHECK(l.count() == 1);
        co_await settle_all();
        CHECK(waits.was_cancelled());
        // Cancelled when it had been let go already: it was.
        auto late = spawn(arrive, std::ref(l), 2, std::ref(seen));
        auto other = spawn(wait_for, std::ref(l), 3, std::ref(seen));
        co_await settle_all();
        CHECK(l.try_wait());
        CHECK(seen == order{2, 3});
    });
}

TEST_CASE("cancelled after it was opened, a waiter has passed") {
    eddy_test::run([]() -> task<> {
        latch l(1);
        order seen;
        auto h = spawn(wait_for, std::ref(l), 1, std::ref(seen));
        auto gone = spawn(wait_for, std::ref(l), 2, std::ref(seen));
        co_await settle_all();
        l.count_down();
        h.cancel();
        destroy_task(gone);
        co_await settle_all();
        CHECK(seen == order{1});
    });
}

TEST_CASE("X-3 a hundred thousand waits that time out leave nothing") {
    eddy_test::run([]() -> task<> {
        latch l(1);
        const auto before = loop::current().statistics();
        for (int i = 0; i < 100'000; ++i) {
            bool done = co_await move_on_after(1ms, l.wait());
            if (done) FAIL("open");
        }
        CHECK(l.statistics().waiters == 0);
        CHECK(loop::current().statistics().bytes == before.bytes);
        CHECK(loop::current().statistics().timers == 0);
    });
}

TEST_CASE("X-6 a latch that tasks of one loop wait for is refused to another loop") {
    latch l(1);
    testing::virtual_loop a;
    testing::virtual_loop b;
    order seen;
    a.spawn(wait_for, std::ref(l), 1, std::ref(seen));
    a.settle();
    b.run([](latch& mine) -> task<> {
        auto o = co_await settle(mine.wait());
        CHECK(holds<std::logic_error>(o.error()));
        auto p = co_await settle(mine.arrive_and_wait());
        CHECK(holds<std::logic_error>(p.error()));
        CHECK_THROWS_WITH_AS(mine.count_down(), doctest::Contains("latch.count_down from another loop"),
                             std::logic_error);
    }(l));
    CHECK(l.count() == 1);
    l.count_down(); // outside of any loop: a host's callback
    a.settle();
    CHECK(seen == order{1});
    b.run(wait_for(l, 2, seen));
    CHECK(seen == order{1, 2});
}

TEST_CASE("X-10 a latch that is destroyed ends the waits") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto l = std::make_unique<latch>(2);
        order seen;
        auto one = spawn(wait_for, std::ref(*l), 1, std::ref(seen));
        auto two = spawn(arrive, std::ref(*l), 2, std::ref(seen));
        co_await settle_all();
        l.reset();
        CHECK(contains(dump_text(), "ready (was: latch.wait)")); // no look at what is gone
        auto o = co_await settle(one);
        CHECK(holds<object_destroyed>(o.error()));
        auto p = co_await settle(two);
        CHECK(holds<object_destroyed>(p.error()));
        CHECK(seen.empty());
    });
    const std::string text = err.text();
    CHECK(contains(text, "eddy: a latch was destroyed while somebody waited for it: latch.wait of task '"));
    CHECK(contains(text, " and 1 more\n"));
}

TEST_CASE("an operation can be moved until it is awaited") {
    eddy_test::run([]() -> task<> {
        latch l(1);
        auto op = l.arrive_and_wait();
        auto moved = std::move(op);
        co_await moved;
        CHECK(l.try_wait());
        CHECK_THROWS_AS(detail::latch_operation(std::move(moved)), std::logic_error);
    });
}

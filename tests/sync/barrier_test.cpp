#include <eddy/sync/barrier.hpp>

#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>

#include "sync/support.hpp"

#include <numeric>

using namespace eddy;
using namespace eddy_test;

static_assert(!std::is_move_constructible_v<barrier>);
static_assert(std::is_same_v<await_result_t<decltype(std::declval<barrier&>().arrive_and_wait())>, std::size_t>);

namespace {

using indices = std::vector<std::size_t>;

task<> arrive(barrier& b, indices& seen) { seen.push_back(co_await b.arrive_and_wait()); }

// Notes that the wait threw broken_barrier.
task<> arrive_broken(barrier& b, int& broken) {
    auto o = co_await settle(b.arrive_and_wait());
    if (holds<broken_barrier>(o.error())) ++broken;
}

std::vector<task_handle<>> arrivals(barrier& b, int n, indices& seen) {
    std::vector<task_handle<>> all;
    for (int i = 0; i < n; ++i)
        all.push_back(spawn(arrive, std::ref(b), std::ref(seen)));
    return all;
}

indices first(std::size_t n) {
    indices all(n);
    std::iota(all.begin(), all.end(), std::size_t{0});
    return all;
}

indices sorted(indices v) {
    std::sort(v.begin(), v.end());
    return v;
}

} // namespace

TEST_CASE("BA-1 a barrier is for at least one; one never waits") {
    CHECK_THROWS_WITH_AS(barrier(0), doctest::Contains("barrier(0)"), std::logic_error);
    CHECK_THROWS_WITH_AS(barrier(-3), doctest::Contains("barrier(-3)"), std::logic_error);
    eddy_test::run([]() -> task<> {
        barrier b(1);
        bool other = false;
        auto h = spawn(
            [](bool& flag) -> task<> {
                flag = true;
                co_return;
            },
            std::ref(other));
        for (int i = 0; i < 10; ++i) {
            const std::size_t index = co_await b.arrive_and_wait();
            CHECK(index == 0);
        }
        CHECK(!other);
        co_await h;
    });
}

TEST_CASE("BA-2 BA-9 X-12 the last arrival lets all go; the indices are the places in the order of arrival") {
    eddy_test::run([]() -> task<> {
        barrier b(5);
        indices seen;
        auto all = arrivals(b, 4, seen);
        co_await settle_all();
        CHECK(seen.empty());
        CHECK(b.statistics().parties == 5);
        const std::size_t last = co_await b.arrive_and_wait();
        CHECK(last == 4);
        CHECK(seen.empty()); // the last one does not wait
        co_await settle_all();
        CHECK(seen == first(4));
    });
}

TEST_CASE("BA-3 BA-9 round after round, each with one leader, and a fast task waits for the next one") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        testing::seed(seed);
        eddy_test::run([]() -> task<> {
            barrier b(4);
            std::vector<indices> rounds(30);
            auto worker = [](barrier& mine, std::vector<indices>& log) -> task<> {
                for (std::size_t i = 0; i < log.size(); ++i) {
                    const std::size_t index = co_await mine.arrive_and_wait();
                    CHECK(log[i].size() < 4); // nobody is a round ahead
                    if (i > 0) CHECK(log[i - 1].size() == 4);
                    log[i].push_back(index);
                }
            };
            std::vector<task_handle<>> all;
            for (int i = 0; i < 4; ++i)
                all.push_back(spawn(worker, std::ref(b), std::ref(rounds)));
            for (const auto& h : all)
                co_await h;
            for (const indices& r : rounds)
                CHECK(sorted(r) == first(4));
        });
    }
    testing::seed(0);
}

TEST_CASE(
    "BA-4 X-3 X-11 a cancelled arrival takes its place back: n more complete the round, with indices that are unique") {
    for (std::size_t victim = 0; victim < 3; ++victim) {
        eddy_test::run([victim]() -> task<> {
            barrier b(4);
            indices seen;
            auto all = arrivals(b, 3, seen);
            co_await settle_all();
            all[victim].cancel();
            CHECK(b.statistics().waiters == 2);
            CHECK(!b.broken());
            co_await settle_all();
            CHECK(all[victim].was_cancelled());
            auto one = arrivals(b, 1, seen);
            co_await settle_all();
            CHECK(seen.empty());
            CHECK(b.statistics().waiters == 3);
            auto last = arrivals(b, 1, seen);
            co_await settle_all();
            CHECK(seen.size() == 4);
            CHECK(sorted(seen) == first(4));
        });
    }
}

TEST_CASE("BA-4 so do one that times out, one that loses a race and one whose frame is destroyed") {
    eddy_test::run([]() -> task<> {
        barrier b(2);
        indices seen;
        auto late = co_await settle(timeout(1s, b.arrive_and_wait()));
        CHECK(holds<timeout_error>(late.error()));
        CHECK(b.statistics().waiters == 0);
        auto won = co_await race(b.arrive_and_wait(), sleep(1s));
        CHECK(won.index == 1);
        CHECK(b.statistics().waiters == 0);
        auto all = arrivals(b, 1, seen);
        co_await settle_all();
        destroy_task(all[0]);
        CHECK(b.statistics().waiters == 0);
        auto pair = arrivals(b, 2, seen);
        co_await settle_all();
        CHECK(sorted(seen) == first(2));
    });
}

TEST_CASE("BA-5 cancelled or destroyed when the round is complete, it has been there") {
    for (const bool destroy : {false, true}) {
        eddy_test::run([destroy]() -> task<> {
            barrier b(3);
            indices seen;
            auto all = arrivals(b, 2, seen);
            co_await settle_all();
            const std::size_t last = co_await b.arrive_and_wait();
            CHECK(last == 2);
            destroy ? destroy_task(all[0]) : static_cast<void>(all[0].cancel());
            CHECK(b.statistics().waiters == 0);
            co_await settle_all();
            CHECK(seen == (destroy ? indices{1} : indices{0, 1})); // the cancelled one took its index
            CHECK(!b.broken());
        });
    }
}

TEST_CASE("BA-6 reset: who waits gets broken_barrier, who has passed does not, and the next round is a new one") {
    eddy_test::run([]() -> task<> {
        barrier b(2);
        int broken = 0;
        indices seen;
        auto waits = spawn(arrive_broken, std::ref(b), std::ref(broken));
        co_await settle_all();
        b.reset();
        CHECK(b.statistics().waiters == 0);
        CHECK(!b.broken());
        // In the same tick: a new round, which is complete, and the first of another.
        auto pair = arrivals(b, 2, seen);
        co_await yield();
        co_await yield();
        CHECK(broken == 1);
        auto next = spawn(arrive_broken, std::ref(b), std::ref(broken));
        co_await settle_all();
        CHECK(sorted(seen) == first(2));
        b.reset();
        co_await next;
        CHECK(broken == 2);
        b.reset(); // nobody waits
        co_await waits;
        auto again = arrivals(b, 2, seen);
        co_await settle_all();
        CHECK(seen.size() == 4);
    });
}

TEST_CASE("BA-6 reset in the tick in which a round was completed does not break it") {
    eddy_test::run([]() -> task<> {
        barrier b(2);
        indices seen;
        auto one = arrivals(b, 1, seen);
        co_await settle_all();
        static_cast<void>(co_await b.arrive_and_wait());
        b.reset();
        CHECK(!one[0].done());
        co_await one[0];
        CHECK(seen == indices{0});
    });
}

TEST_CASE("BA-7 abort: who waits and who comes gets broken_barrier, until reset") {
    eddy_test::run([]() -> task<> {
        barrier b(3);
        int broken = 0;
        indices seen;
        auto one = spawn(arrive_broken, std::ref(b), std::ref(broken));
        auto two = spawn(arrive_broken, std::ref(b), std::ref(broken));
        co_await settle_all();
        b.abort();
        CHECK(b.broken());
        CHECK(b.statistics().broken);
        CHECK(b.statistics().waiters == 0);
        co_await settle_all();
        CHECK(broken == 2);
        auto o = co_await settle(b.arrive_and_wait());
        CHECK(holds<broken_barrier>(o.error()));
        CHECK(holds<error>(o.error()));
        CHECK(contains(text_of(o.error()), "the barrier is broken"));
        b.abort();
        CHECK(b.broken());
        b.reset();
        CHECK(!b.broken());
        auto all = arrivals(b, 3, seen);
        co_await settle_all();
        CHECK(sorted(seen) == first(3));
        co_await one;
        co_await two;
    });
}

TEST_CASE("BA-7 abort after the round was completed does not break it") {
    eddy_test::run([]() -> task<> {
        barrier b(2);
        indices seen;
        auto one = arrivals(b, 1, seen);
        co_await settle_all();
        static_cast<void>(co_await b.arrive_and_wait());
        b.abort();
        co_await one[0];
        CHECK(seen == indices{0});
    });
}

TEST_CASE("BA-8 only those are counted who wait in the round that is being filled; a dump says how many are there") {
    eddy_test::run([]() -> task<> {
        barrier b(3);
        indices seen;
        auto all = arrivals(b, 2, seen);
        co_await settle_all();
        CHECK(b.statistics().waiters == 2);
        CHECK(contains(dump_text(), "waits for barrier.arrive_and_wait, 2 of 3 have arrived"));
        static_cast<void>(co_await b.arrive_and_wait());
        CHECK(!all[0].done());
        CHECK(b.statistics().waiters == 0);
        co_await settle_all();
        CHECK(b.statistics().waiters == 0);
    });
}

TEST_CASE("arriving is a checkpoint: a cancelled task does not complete a round") {
    eddy_test::run([]() -> task<> {
        barrier b(2);
        indices seen;
        auto one = arrivals(b, 1, seen);
        auto h = spawn(
            [](barrier& mine) -> task<> {
                this_task::handle().cancel();
                static_cast<void>(co_await mine.arrive_and_wait());
                FAIL("reached");
            },
            std::ref(b));
        co_await settle_all();
        CHECK(h.was_cancelled());
        CHECK(b.statistics().waiters == 1);
        static_cast<void>(co_await b.arrive_and_wait());
        co_await one[0];
    });
}

TEST_CASE("X-3 a hundred thousand waits that time out leave nothing") {
    eddy_test::run([]() -> task<> {
        barrier b(2);
        const auto before = loop::current().statistics();
        for (int i = 0; i < 100'000; ++i) {
            auto index = co_await move_on_after(1ms, b.arrive_and_wait());
            if (index) FAIL("arrived");
        }
        CHECK(b.statistics().waiters == 0);
        CHECK(loop::current().statistics().bytes == before.bytes);
        CHECK(loop::current().statistics().timers == 0);
    });
}

TEST_CASE("X-6 a barrier at which tasks of one loop wait is refused to another loop") {
    barrier b(3);
    testing::virtual_loop one;
    testing::virtual_loop two;
    indices seen;
    one.spawn(arrive, std::ref(b), std::ref(seen));
    one.settle();
    two.run([](barrier& mine) -> task<> {
        auto o = co_await settle(mine.arrive_and_wait());
        CHECK(holds<std::logic_error>(o.error()));
        CHECK_THROWS_WITH_AS(mine.abort(), doctest::Contains("barrier.abort from another loop"), std::logic_error);
        CHECK_THROWS_AS(mine.reset(), std::logic_error);
    }(b));
    CHECK(b.statistics().waiters == 1);
    CHECK(!b.broken());
    one.spawn(arrive, std::ref(b), std::ref(seen));
    one.spawn(arrive, std::ref(b), std::ref(seen));
    one.settle();
    CHECK(sorted(seen) == first(3));
}

TEST_CASE("X-10 a barrier that is destroyed ends the waits") {
    captured_stderr err;
    eddy_test::run([]() -> task<> {
        auto b = std::make_unique<barrier>(3);
        indices seen;
        auto all = arrivals(*b, 2, seen);
        co_await settle_all();
        all[1].cancel();
        b.reset();
        CHECK(contains(dump_text(), "ready (was: barrier.arrive_and_wait)")); // no look at what is gone
        auto o = co_await settle(all[0]);
        CHECK(holds<object_destroyed>(o.error()));
        CHECK(contains(text_of(o.error()), "barrier.arrive_and_wait of task '"));
        CHECK(all[1].was_cancelled());
    });
    CHECK(contains(err.text(), "eddy: a barrier was destroyed while somebody waited for it: barrier.arrive_and_wait"));
}

TEST_CASE("an operation can be moved until it is awaited") {
    eddy_test::run([]() -> task<> {
        barrier b(1);
        auto op = b.arrive_and_wait();
        auto moved = std::move(op);
        const std::size_t index = co_await moved;
        CHECK(index == 0);
        CHECK_THROWS_AS(detail::barrier_operation(std::move(moved)), std::logic_error);
    });
}

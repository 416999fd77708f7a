#include <eddy/flow/race.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/finally.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include <flow/children.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

TEST_CASE("the first to end wins; the others are cancelled and joined") {
    eddy_test::run([]() -> task<> {
        int ended = 0;
        const auto began = clock::now();
        auto r = co_await race(slow_cleanup(&ended), give(7, 1), slow_cleanup(&ended));
        CHECK(r.index == 1);
        CHECK(std::get<1>(r.value) == 7);
        CHECK(ended == 2);
        CHECK(clock::now() - began == 6ms);
        std::vector<task<int>> many;
        many.push_back(give(1, 5));
        many.push_back(give(2, 2));
        auto of_range = co_await race(std::move(many));
        CHECK(of_range.index == 1);
        CHECK(of_range.value == 2);
        CHECK_THROWS_AS(static_cast<void>(race(std::vector<task<int>>())), std::logic_error);
        const auto boxed = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
        auto b = co_await race(boxed);
        CHECK(*std::get<0>(b.value) == 3);
        static int place = 1;
        const auto ref = []() -> task<int&> { co_return place; };
        auto x = co_await race(sleep_forever(), ref);
        CHECK(std::get<1>(x.value) == &place);
    });
}

TEST_CASE("in one tick the first argument that is ready wins") {
    eddy_test::run([]() -> task<> {
        auto r = co_await race(give(1, 1), give(2, 1));
        CHECK(r.index == 0);
    });
}

TEST_CASE("an exception wins too; a loser's failure goes to the exception handler") {
    eddy_test::run([]() -> task<> {
        told t;
        const auto fails = []() -> task<> {
            co_await sleep(1ms);
            throw std::runtime_error("first");
        };
        const auto late = []() -> task<> {
            try {
                co_await sleep_forever();
            } catch (const cancelled&) {
                throw std::runtime_error("loser");
            }
        };
        auto op = settle(race(late, fails));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "first");
        REQUIRE(t.lines.size() == 1);
        CHECK(contains(t.lines[0], "loser"));
    });
}

TEST_CASE("cancelled from outside: all are joined, then `cancelled` goes on; a winner in that tick is kept") {
    eddy_test::run([]() -> task<> {
        int ended = 0;
        const auto body = [&]() -> task<> {
            co_await race(slow_cleanup(&ended), slow_cleanup(&ended));
            co_await checkpoint();
        };
        auto h = spawn(body);
        co_await sleep(1ms);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(ended == 2);
        CHECK(h.was_cancelled());
        std::size_t winner = 9;
        const auto granted = [&]() -> task<> {
            auto r = co_await race(sleep(1h), sleep(1ms));
            winner = r.index;
            co_await checkpoint();
            winner = 9;
        };
        auto g = spawn(granted);
        co_await yield();
        loop::current().call_later(1ms, [&] { g.cancel(); });
        auto p = co_await settle(g);
        CHECK(winner == 1);
        CHECK(g.was_cancelled());
    });
}

TEST_CASE("CA-22 a child that is cancelled by itself ends the race with task_cancelled") {
    eddy_test::run([]() -> task<> {
        const auto quits = []() -> task<int> {
            this_task::handle().cancel();
            co_await checkpoint();
            co_return 1;
        };
        auto o = co_await settle(race(sleep_forever(), quits));
        CHECK(holds<task_cancelled>(o.error()));
        CHECK(!o.is_cancelled());
        co_await checkpoint();
    });
}

TEST_CASE("losers that hold coroutines end by themselves: groups are joined, clean-up runs") {
    eddy_test::run([]() -> task<> {
        // All of them are ready in the winner's tick.
        auto a = co_await race(sleep(1ms), gather(sleep(1ms), sleep(1ms)));
        CHECK(a.index == 0);
        const auto group = [](task_group& g) -> task<> {
            g.spawn([]() -> task<> { co_await sleep(1ms); });
            co_await sleep(1ms);
        };
        auto b = co_await race(sleep(1ms), with_task_group(group));
        CHECK(b.index == 0);
        bool cleaned = false;
        const auto body = []() -> task<> { co_await sleep(1ms); };
        const auto cleanup = [&]() -> task<> {
            co_await sleep(1ms);
            cleaned = true;
        };
        auto c = co_await race(sleep(1ms), finally(body, cleanup));
        CHECK(c.index == 0);
        CHECK(cleaned);
        auto d = co_await race(sleep(1ms), timeout(1ms, give(1, 1)));
        CHECK(d.index == 0);
    });
}

TEST_CASE("X-3 10^4 races against one that never ends leave nothing behind") {
    eddy_test::run([]() -> task<> {
        auto immortal = spawn([]() -> task<> { co_await sleep_forever(); });
        co_await yield();
        const auto before = loop::current().statistics();
        for (int i = 0; i < 10'000; ++i) {
            auto r = co_await race(immortal, yield());
            CHECK(r.index == 1);
        }
        const auto after = loop::current().statistics();
        CHECK(after.waiters == before.waiters);
        CHECK(after.bytes == before.bytes);
        immortal.cancel();
        auto o = co_await settle(immortal);
        CHECK(immortal.was_cancelled());
    });
}

TEST_CASE("a race where one argument can't become a task") {
    eddy_test::run([]() -> task<> {
        task<int> empty = give(1, 1);
        task<int> taken = std::move(empty);
        bool thrown = false;
        try {
            co_await race(give(2, 1), std::move(empty)); // NOLINT: moved from on purpose
        } catch (const std::logic_error&) {
            thrown = true;
        }
        CHECK(thrown);
        auto op = race(give(3, 1));
        auto r = co_await op;
        CHECK(r.index == 0);
        CHECK_THROWS_AS((void)[&] { auto moved = std::move(op); }(), std::logic_error);
    });
}

// With a search for each that ends, or a new start after each loser, this would take five thousand million steps.
TEST_CASE("a race of 100,000 operations ends: each loser costs the same, however many there are") {
    eddy_test::run([]() -> task<> {
        constexpr std::size_t many = 100'000;
        using operation = decltype(sleep(1ms));
        std::vector<operation> all;
        all.reserve(many);
        for (std::size_t i = 0; i < many; ++i)
            all.push_back(sleep(i == many / 2 ? 1ms : 5ms));
        const auto began = clock::now();
        const auto first = co_await race(std::move(all));
        CHECK(first.index == many / 2);
        CHECK(clock::now() - began == 1ms);
        // All of them in the winner's tick: granted, and undone.
        std::vector<operation> same;
        same.reserve(many);
        for (std::size_t i = 0; i < many; ++i)
            same.push_back(sleep(1ms));
        const auto of_same = co_await race(std::move(same));
        CHECK(of_same.index == 0);
    });
}

#include <eddy/flow/race.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>

#include <flow/children.hpp>
#include <flow/sweep.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

namespace {

task<int> fail(const char* text, int ms) {
    co_await sleep(1ms * ms);
    throw std::runtime_error(text);
}
// The texts of a group, in order; what() of anything else.
std::string texts(const std::exception_ptr& e) {
    if (!holds<exception_group>(e)) return text_of(e);
    try {
        std::rethrow_exception(e);
    } catch (const exception_group& g) {
        std::string all;
        for (const auto& x : g.exceptions())
            all += text_of(x) + ";";
        return all;
    }
}

} // namespace

TEST_CASE("the first to succeed wins: failures do not; losers are cancelled and joined") {
    eddy_test::run([]() -> task<> {
        told t;
        int ended = 0;
        const auto began = clock::now();
        auto r = co_await first_success(fail("early", 1), slow_cleanup(&ended), give(7, 3), fail("late", 9));
        CHECK(r.index == 2);
        CHECK(std::get<2>(r.value) == 7);
        CHECK(ended == 1);
        CHECK(clock::now() - began == 8ms);
        CHECK(t.lines.empty()); // what failed before is dropped
        std::vector<task<int>> many;
        many.push_back(fail("a", 1));
        many.push_back(give(4, 2));
        many.push_back(give(5, 3));
        auto of_range = co_await first_success(std::move(many));
        CHECK(of_range.index == 1);
        CHECK(of_range.value == 4);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("what a first_success takes and gives is what a race takes and gives") {
    eddy_test::run([]() -> task<> {
        static int place = 1;
        const auto ref = []() -> task<int&> { co_return place; };
        const auto boxed = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); };
        auto a = co_await first_success(sleep_forever(), ref);
        CHECK(std::get<1>(a.value) == &place);
        auto b = co_await first_success(boxed);
        CHECK(*std::get<0>(b.value) == 3);
        auto c = co_await first_success(fail("x", 1), sleep(2ms));
        CHECK(c.index == 1);
        CHECK_THROWS_AS(static_cast<void>(first_success(std::vector<task<int>>())), std::logic_error);
        auto h = spawn(give(6, 1));
        auto d = co_await first_success(h, sleep(1h));
        CHECK(std::get<0>(d.value) == 6);
        auto op = first_success(give(3, 1));
        auto e = co_await op;
        CHECK(e.index == 0);
        CHECK_THROWS_AS((void)[&] { auto moved = std::move(op); }(), std::logic_error);
    });
}

TEST_CASE("all failing throws an exception_group, in the order of the arguments, each counted once") {
    eddy_test::run([]() -> task<> {
        told t;
        auto settled = settle(first_success(fail("slow", 5), fail("quick", 1), fail("slow", 3)));
        auto o = co_await settled;
        CHECK(holds<exception_group>(o.error()));
        CHECK(holds<error>(o.error()));
        CHECK(texts(o.error()) == "slow;quick;slow;");
        CHECK(text_of(o.error()) == "eddy: all of first_success failed (3 exceptions: slow; quick; slow)");
        CHECK(t.lines.empty());
        std::vector<task<int>> many;
        many.push_back(fail("b", 2));
        many.push_back(fail("a", 1));
        auto of_range = settle(first_success(std::move(many)));
        auto p = co_await of_range;
        CHECK(texts(p.error()) == "b;a;");
    });
}

TEST_CASE("a child that somebody else cancelled has failed, with task_cancelled") {
    eddy_test::run([]() -> task<> {
        const auto quits = []() -> task<int> {
            this_task::handle().cancel();
            co_await checkpoint();
            co_return 1;
        };
        auto r = co_await first_success(quits, give(2, 1));
        CHECK(r.index == 1);
        auto settled = settle(first_success(quits, fail("x", 1)));
        auto o = co_await settled;
        REQUIRE(holds<exception_group>(o.error()));
        CHECK(contains(texts(o.error()), "was cancelled"));
        CHECK(!o.is_cancelled());
        co_await checkpoint();
    });
}

TEST_CASE("a loser's failure in its clean-up goes to the exception handler") {
    eddy_test::run([]() -> task<> {
        told t;
        int ended = 0;
        auto r = co_await first_success(slow_cleanup(&ended, "loser"), give(1, 1));
        CHECK(r.index == 1);
        CHECK(ended == 1);
        REQUIRE(t.lines.size() == 1);
        CHECK(contains(t.lines[0], "loser"));
    });
}

TEST_CASE("cancelled from outside: all are joined, `cancelled` goes on, and no failure is lost") {
    eddy_test::run([]() -> task<> {
        told t;
        int ended = 0;
        const auto body = [&]() -> task<> {
            auto op = first_success(slow_cleanup(&ended), slow_cleanup(&ended, "in clean-up"), fail("dropped", 0));
            co_await op;
            co_await checkpoint();
        };
        auto h = spawn(body);
        co_await sleep(1ms);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(ended == 2);
        CHECK(h.was_cancelled());
        REQUIRE(t.lines.size() == 1);
        CHECK(contains(t.lines[0], "in clean-up"));
        // All of them fail while they are cancelled: their errors outrank it, and it waits for the next checkpoint.
        std::string all;
        const auto failing = [&]() -> task<> {
            auto op = settle(first_success(slow_cleanup(&ended, "a"), slow_cleanup(&ended, "b")));
            auto r = co_await op;
            all = texts(r.error());
            co_await checkpoint();
            all = "went on";
        };
        auto g = spawn(failing);
        co_await sleep(1ms);
        g.cancel();
        auto p = co_await settle(g);
        CHECK(all == "a;b;");
        CHECK(g.was_cancelled());
        CHECK(t.lines.size() == 1);
        // A success in the tick of the cancellation is kept.
        std::size_t winner = 9;
        const auto granted = [&]() -> task<> {
            auto r = co_await first_success(sleep(1h), sleep(1ms));
            winner = r.index;
            co_await checkpoint();
            winner = 9;
        };
        auto k = spawn(granted);
        co_await yield();
        loop::current().call_later(1ms, [&] { k.cancel(); });
        auto q = co_await settle(k);
        CHECK(winner == 1);
        CHECK(k.was_cancelled());
    });
}

TEST_CASE("X-3 first_success against one that never ends leaves nothing behind") {
    eddy_test::run([]() -> task<> {
        auto immortal = spawn([]() -> task<> { co_await sleep_forever(); });
        co_await yield();
        const auto before = loop::current().statistics();
        for (int i = 0; i < 1000; ++i) {
            auto r = co_await first_success(immortal, fail("x", 0), yield());
            CHECK(r.index == 2);
        }
        const auto after = loop::current().statistics();
        CHECK(after.waiters == before.waiters);
        CHECK(after.bytes == before.bytes);
        immortal.cancel();
        auto o = co_await settle(immortal);
    });
}

TEST_CASE("first_success disturbed at every await, tick and allocation") {
    const auto program = []() -> task<> {
        const auto cancels_itself = []() -> task<int> {
            co_await sleep(1ms);
            co_return 1;
        };
        auto op = first_success(give(1, 2), cancels_itself, sleep(3ms));
        auto r = co_await op;
        CHECK(r.index <= 2);
        std::vector<task<int>> many;
        for (int i = 0; i < 3; ++i)
            many.push_back(give(i, i));
        auto of_range = timeout(1s, first_success(std::move(many)));
        auto q = co_await of_range;
        CHECK(q.value < 3);
    };
    sweep(program, 6);
}

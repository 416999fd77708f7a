// What the sweeps have found, each by itself.
#include "sweep/scenarios.hpp"

#include <eddy/flow/gather.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/testing/sweep.hpp>

#include <support/check.hpp>

using namespace eddy_test::sweeps;

namespace {

task<> waits() { co_await sleep(1h); }

// Sweeps for the failure of every allocation, and counts how often f got it.
template <class F>
int failures(F f) {
    int bad = 0;
    const auto counting = [&]() -> task<> {
        try {
            co_await f();
        } catch (const std::bad_alloc&) {
            ++bad;
        }
    };
    testing::fail_sweep(counting);
    const accounts a = std::exchange(accounts::now(), accounts());
    CHECK(a.wrong == "");
    return bad;
}

} // namespace

TEST_CASE("a gather_settled that finds no memory for its second child: the first is not reported as failed") {
    // It ended cancelled, which nobody had asked for, and so was taken for a task that throws `cancelled` by mistake.
    const auto f = []() -> task<> {
        auto all = gather_settled(sleep(1ms), sleep(1ms), sleep(1ms));
        const auto outcomes = co_await all;
        static_cast<void>(outcomes);
    };
    CHECK(failures(f) > 3);
}

TEST_CASE("a time limit around a race whose timer finds no memory: its children are joined, then std::bad_alloc") {
    // They had begun, and the group that they belong to was destroyed with them in it: std::terminate.
    const auto around_race = []() -> task<> {
        auto inner = race(waits(), waits());
        auto op = move_on_after(1ms, std::move(inner));
        const auto first = co_await op;
        demand(!first.has_value(), "a sleeper won");
    };
    CHECK(failures(around_race) > 3);
    const auto around_gather = []() -> task<> {
        try {
            auto op = timeout(1ms, gather(waits(), waits()));
            co_await op;
        } catch (const timeout_error&) {
        }
    };
    CHECK(failures(around_gather) > 3);
    // What waits alone, and what ends in spite of it.
    const auto around_sleep = []() -> task<> {
        auto op = move_on_after(1s, sleep_forever());
        co_await op;
    };
    CHECK(failures(around_sleep) > 0);
    const auto around_task = []() -> task<> {
        const auto quick = []() -> task<int> { co_return 1; };
        auto op = timeout(1s, quick());
        const int n = co_await op;
        demand(n == 1, "another value");
    };
    CHECK(failures(around_task) > 0);
}

#include <eddy/flow/interval.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

using namespace eddy;
using namespace eddy_test;

namespace {
// When the ticks were due, with a consumer that is 25 ms late once.
task<std::vector<int>> ticks(missed m) {
    const auto begin = clock::now();
    interval i(10ms, m);
    std::vector<int> due;
    for (int n = 0; n < 6; ++n) {
        const auto t = co_await i.next();
        due.push_back(static_cast<int>((t - begin) / 1ms));
        if (n == 1) co_await sleep(25ms);
    }
    co_return due;
}
} // namespace

TEST_CASE("IV-1 the first tick is immediate; missed ticks are skipped, follow at once, or delay the rest") {
    eddy_test::run([]() -> task<> {
        const auto skip = co_await ticks(missed::skip);
        CHECK(skip == std::vector<int>{0, 10, 20, 40, 50, 60});
        const auto burst = co_await ticks(missed::burst);
        CHECK(burst == std::vector<int>{0, 10, 20, 30, 40, 50});
        const auto delay = co_await ticks(missed::delay);
        CHECK(delay == std::vector<int>{0, 10, 20, 45, 55, 65});
    });
}

TEST_CASE("IV-1 a zero or negative period is std::logic_error; reset starts anew") {
    eddy_test::run([]() -> task<> {
        CHECK_THROWS_AS(interval(0ms), std::logic_error);
        CHECK_THROWS_AS(interval(-1s), std::logic_error);
        interval i(10ms);
        CHECK(i.period() == 10ms);
        co_await i.next();
        co_await sleep(5ms);
        i.reset();
        const auto began = clock::now();
        co_await i.next();
        CHECK(clock::now() - began == 10ms);
    });
}

TEST_CASE("IV-1 a cancelled wait loses no tick, and no drift adds up") {
    eddy_test::run([]() -> task<> {
        const auto begin = clock::now();
        interval i(10ms);
        co_await i.next();
        auto none = co_await move_on_after(5ms, i.next());
        CHECK(!none.has_value());
        const auto t = co_await i.next();
        CHECK(t == begin + 10ms);
        for (int n = 2; n < 1000; ++n) {
            const auto at = co_await i.next();
            CHECK(at == begin + 10ms * n);
            co_await sleep(3ms);
        }
    });
}

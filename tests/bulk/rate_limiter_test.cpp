#include <eddy/bulk/rate_limiter.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/timeout.hpp>

#include "bulk/support.hpp"
#include "core/state.hpp"
#include "support/run.hpp"

#include <string>
#include <vector>

using namespace eddy_test;
using namespace std::chrono_literals;
using eddy::rate_limiter;
using eddy::spawn;
using eddy::task;
using eddy::task_handle;

namespace {

using times = std::vector<eddy::duration>;

task<void> pass(rate_limiter& r, std::size_t k, times& at) {
    co_await r.acquire(k);
    at.push_back(since_start());
}

task<void> pass_named(rate_limiter& r, std::size_t k, char name, std::string& order) {
    co_await r.acquire(k);
    order += name;
}

// The most grants in any half-open window of this length.
std::size_t most_within(const times& at, eddy::duration window) {
    std::size_t most = 0;
    for (std::size_t i = 0; i < at.size(); ++i) {
        std::size_t n = 0;
        for (std::size_t k = i; k < at.size() && at[k] - at[i] < window; ++k)
            ++n;
        most = std::max(most, n);
    }
    return most;
}

} // namespace

TEST_CASE("without a burst the grants are evenly spaced") {
    eddy_test::run([]() -> task<void> {
        rate_limiter r(4, 1s);
        times at;
        for (int i = 0; i < 6; ++i)
            co_await pass(r, 1, at);
        CHECK(at == times{0ms, 250ms, 500ms, 750ms, 1000ms, 1250ms});
        // A pause saves nothing up.
        co_await eddy::sleep(1h);
        at.clear();
        const eddy::duration then = since_start();
        for (int i = 0; i < 3; ++i)
            co_await pass(r, 1, at);
        CHECK(at == times{then, then + 250ms, then + 500ms});
    });
}

TEST_CASE("any window holds at most permits + burst - 1, also where the period can't be divided") {
    for (const std::size_t burst : {1u, 2u, 5u})
        for (const std::size_t permits : {1u, 3u, 7u, 10u}) {
            CAPTURE(burst);
            CAPTURE(permits);
            eddy_test::run([&]() -> task<void> {
                rate_limiter r(permits, 1s, burst);
                times at;
                for (std::size_t i = 0; i < 60; ++i) {
                    co_await pass(r, 1, at);
                    // Sometimes the taker is away for a while, so that the bucket fills in part.
                    const auto away = std::chrono::milliseconds(57 * i);
                    if (i % 20 == 0) co_await eddy::sleep(away);
                }
                const std::size_t most = most_within(at, 1s);
                CHECK(most == permits + burst - 1);
            });
        }
}

TEST_CASE("a burst passes at once and then the bucket fills one by one") {
    eddy_test::run([]() -> task<void> {
        rate_limiter r(2, 1s, 3);
        times at;
        for (int i = 0; i < 5; ++i)
            co_await pass(r, 1, at);
        CHECK(at == times{0ms, 0ms, 0ms, 500ms, 1000ms});
        co_await eddy::sleep(10s);
        CHECK(r.statistics().available == 3);
        CHECK(r.try_acquire(2));
        CHECK(r.statistics().available == 1);
        CHECK_FALSE(r.try_acquire(2));
        co_await eddy::sleep(499ms);
        CHECK_FALSE(r.try_acquire(2));
        co_await eddy::sleep(1ms);
        CHECK(r.try_acquire(2));
        CHECK(r.statistics().available == 0);
    });
}

TEST_CASE("waiters are served first come, first served, the large one at the head as well") {
    eddy_test::run([]() -> task<void> {
        rate_limiter r(1, 1s, 3);
        std::string order;
        CHECK(r.try_acquire(3));
        auto a = spawn(pass_named, std::ref(r), 3u, 'a', std::ref(order));
        auto b = spawn(pass_named, std::ref(r), 1u, 'b', std::ref(order));
        auto c = spawn(pass_named, std::ref(r), 1u, 'c', std::ref(order));
        co_await eddy::sleep(2500ms);
        CHECK(order == ""); // two tokens are there, and belong to the first
        CHECK_FALSE(r.try_acquire());
        CHECK(r.statistics().waiters == 3);
        co_await a;
        CHECK(since_start() == 3s);
        co_await c;
        CHECK(since_start() == 5s);
        CHECK(order == "abc");
        co_await b;
    });
}

TEST_CASE("the spacing holds for when tasks go on, however late the loop is") {
    eddy_test::run([]() -> task<void> {
        eddy::testing::virtual_loop& loop = static_cast<eddy::testing::virtual_loop&>(eddy::loop::current());
        rate_limiter r(10, 1s);
        times at;
        auto first = spawn(pass, std::ref(r), 1u, std::ref(at));
        auto second = spawn(pass, std::ref(r), 1u, std::ref(at));
        auto third = spawn(pass, std::ref(r), 1u, std::ref(at));
        co_await first;
        // The loop is busy for 70 ms just when the second's turn comes.
        co_await eddy::sleep(60ms);
        loop.advance(70ms);
        co_await third;
        CHECK(at == times{0ms, 130ms, 230ms});
        co_await second;
    });
}

TEST_CASE("X-3 X-4 a cancelled waiter leaves the line and costs the others nothing") {
    for (std::size_t victim = 0; victim < 4; ++victim) {
        CAPTURE(victim);
        eddy_test::run([&]() -> task<void> {
            rate_limiter r(1, 1s, 2);
            std::string order;
            CHECK(r.try_acquire(2));
            std::vector<task_handle<void>> all;
            for (std::size_t i = 0; i < 4; ++i)
                all.push_back(spawn(pass_named, std::ref(r), 1u, static_cast<char>('a' + i), std::ref(order)));
            co_await eddy::sleep(500ms);
            CHECK(r.statistics().waiters == 4);
            all[victim].cancel();
            CHECK(r.statistics().waiters == 3);
            co_await eddy::sleep(2600ms);
            std::string expected = "abcd";
            expected.erase(victim, 1);
            CHECK(order == expected); // three tokens by now, and all of them used
            CHECK(r.statistics().available == 0);
        });
    }
}

TEST_CASE("a smaller request behind a cancelled large one need not wait for the large one's turn") {
    eddy_test::run([]() -> task<void> {
        rate_limiter r(1, 1s, 10);
        times at;
        CHECK(r.try_acquire(10));
        auto large = spawn(pass, std::ref(r), 10u, std::ref(at));
        auto small = spawn(pass, std::ref(r), 1u, std::ref(at));
        co_await eddy::sleep(3s);
        large.cancel();
        co_await small;
        CHECK(at == times{3s});
    });
}

TEST_CASE("SM-7 a turn that is cancelled in the tick it came still counts, and the next waits for its own") {
    eddy_test::run([]() -> task<void> {
        rate_limiter r(1, 1s);
        times at;
        co_await r.acquire();
        auto a = spawn(pass, std::ref(r), 1u, std::ref(at));
        auto b = spawn(pass, std::ref(r), 1u, std::ref(at));
        // This timer is older than the limiter's, and the cancel comes when both have fired.
        eddy::loop::current().call_at(eddy::clock::time_point(1s), [a]() mutable { a.cancel(); });
        co_await b;
        CHECK((at == times{1s, 2s} || at == times{1s}));
        CHECK(since_start() == (at.size() == 2 ? 2s : 1s));
    });
}

TEST_CASE("a turn that is destroyed before it was used goes to the next") {
    times at;
    {
        eddy::testing::virtual_loop l;
        l.run([](times& t) -> task<void> {
            auto r = std::make_unique<rate_limiter>(1, 1s);
            auto turn = std::make_unique<eddy::detail::rate_acquire_operation>(r->acquire());
            eddy::context here{eddy::loop::current().detail_state().running};
            turn->bind(here);
            const bool granted = turn->start();
            CHECK(granted);
            CHECK_FALSE(r->try_acquire()); // it is on its way to somebody
            turn.reset();
            CHECK(r->try_acquire());
            t.push_back(since_start());
            co_return;
        }(at));
        eddy_test::check_empty(l);
    }
    CHECK(at == times{0ms});
}

TEST_CASE("a turn that is destroyed before it was used goes to who waits") {
    times at;
    eddy::testing::virtual_loop l;
    l.run([](times& t) -> task<void> {
        rate_limiter r(1, 1s);
        auto turn = std::make_unique<eddy::detail::rate_acquire_operation>(r.acquire());
        eddy::context here{eddy::loop::current().detail_state().running};
        turn->bind(here);
        const bool granted = turn->start();
        CHECK(granted);
        auto waiting = spawn(pass, std::ref(r), 1u, std::ref(t));
        co_await eddy::yield();
        CHECK(r.statistics().waiters == 1);
        turn.reset();
        CHECK(r.statistics().waiters == 0);
        co_await waiting;
    }(at));
    CHECK(at == times{0ms});
}

TEST_CASE("a timeout at the very instant of the turn loses no token") {
    eddy_test::run([]() -> task<void> {
        rate_limiter r(1, 1s);
        co_await r.acquire();
        bool in_time = true;
        try {
            co_await eddy::timeout(1s, r.acquire());
        } catch (const eddy::timeout_error&) {
            in_time = false;
        }
        CHECK(since_start() == 1s);
        CHECK(r.try_acquire() == !in_time);
    });
}

TEST_CASE("acquire is a checkpoint even where a token is there") {
    eddy_test::run([]() -> task<void> {
        rate_limiter r(1, 1s);
        auto t = spawn(
            [](rate_limiter& limiter) -> task<void> {
                eddy::this_task::handle().cancel();
                co_await limiter.acquire();
            },
            std::ref(r));
        co_await eddy::yield();
        co_await eddy::yield();
        CHECK(t.was_cancelled());
        CHECK(r.statistics().available == 1);
    });
}

TEST_CASE("X-10 destroying a rate limiter fails those who wait") {
    eddy_test::run([]() -> task<void> {
        auto r = std::make_unique<rate_limiter>(1, 1s);
        CHECK(r->try_acquire());
        times at;
        auto a = spawn(pass, std::ref(*r), 1u, std::ref(at));
        auto b = spawn(pass, std::ref(*r), 1u, std::ref(at));
        co_await eddy::sleep(10ms);
        r.reset();
        int destroyed = 0;
        for (auto* h : {&a, &b})
            try {
                co_await *h;
            } catch (const eddy::object_destroyed&) {
                ++destroyed;
            }
        CHECK(destroyed == 2);
        CHECK(since_start() == 10ms);
    });
}

TEST_CASE("frames that are destroyed while they wait leave nothing behind") {
    rate_limiter r(1, 1h);
    {
        eddy::testing::virtual_loop l;
        l.run([](rate_limiter& limiter) -> task<void> {
            static times at;
            CHECK(limiter.try_acquire());
            for (int i = 0; i < 3; ++i)
                spawn(pass, std::ref(limiter), 1u, std::ref(at));
            co_await eddy::yield();
            co_await eddy::yield();
            CHECK(limiter.statistics().waiters == 3);
        }(r));
    }
    CHECK(r.statistics().waiters == 0);
}

TEST_CASE("X-6 a limiter can go from one loop to the next, but not serve two") {
    rate_limiter r(1, 1s);
    for (int i = 0; i < 2; ++i)
        eddy_test::run([&]() -> task<void> {
            co_await r.acquire();
            co_await r.acquire();
            CHECK(since_start() <= 2s); // the other loop's clock is not this one's
        });
    eddy::testing::virtual_loop first;
    eddy::testing::virtual_loop second;
    times at;
    first.spawn(pass, std::ref(r), 1u, std::ref(at));
    first.spawn(pass, std::ref(r), 1u, std::ref(at));
    first.settle();
    CHECK(r.statistics().waiters == 2);
    CHECK_THROWS_AS(second.run(pass(r, 1, at)), std::logic_error);
    first.advance(2s);
    CHECK(at.size() == 2);
}

TEST_CASE("bad numbers are named") {
    CHECK(refusal([] { rate_limiter r(0, 1s); }).find("0 permits") != std::string::npos);
    CHECK(refusal([] { rate_limiter r(1, 0s); }).find("period") != std::string::npos);
    CHECK(refusal([] { rate_limiter r(1, -1s); }).find("period") != std::string::npos);
    CHECK(refusal([] { rate_limiter r(1, 1s, 0); }).find("burst of 0") != std::string::npos);
    CHECK(refusal([] { rate_limiter r(1, eddy::duration::max()); }).find("70 years") != std::string::npos);
    rate_limiter r(5, 1s, 2);
    CHECK(refusal([&] { (void)r.acquire(3); }) == "eddy: rate_limiter.acquire(3) can never be granted: the burst is 2");
    CHECK(refusal([&] { (void)r.acquire(0); }).find("acquire(0)") != std::string::npos);
    CHECK(refusal([&] { (void)r.try_acquire(3); }).find("acquire(3)") != std::string::npos);
    CHECK(r.burst() == 2);
    CHECK(r.spacing() == 200ms);
    CHECK(rate_limiter(3, 1s).spacing() == 333'333'334ns); // never faster than asked
}

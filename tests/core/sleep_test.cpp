// Sleeping and yielding: SL, and the timer rules LP-4 to LP-12, of docs/semantics.md.
#include <eddy/core/sleep.hpp>

#include <eddy/core/run.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/task_group.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <limits>
#include <thread>

using namespace eddy;
using namespace eddy_test;

namespace {
testing::virtual_loop& here() { return static_cast<testing::virtual_loop&>(loop::current()); }
std::int64_t real_now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
} // namespace

TEST_CASE("SL-1 a sleep of zero suspends once: a callback posted before it has run when it returns") {
    eddy_test::run([]() -> task<> {
        bool posted = false;
        bool soon = false;
        loop::current().post([&] { posted = true; });
        loop::current().call_soon([&] { soon = true; });
        const auto before = loop::current().statistics();
        co_await sleep(0s);
        CHECK(posted);
        CHECK(soon);
        CHECK(loop::current().statistics().ticks - before.ticks == 1);
        CHECK(loop::current().statistics().timers == 0);
    });
}

TEST_CASE("SL-3 a cancelled sleep stops its timer at once; SL-6 in a cancelled scope none is armed") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<> { co_await sleep(1h); });
        co_await yield();
        CHECK(loop::current().statistics().timers == 1);
        h.cancel();
        CHECK(loop::current().statistics().timers == 0);
        auto o = co_await settle(h);
        CHECK(!o.has_value());
        const auto body = [](cancel_scope& s) -> task<> {
            s.cancel();
            std::size_t armed = 0;
            loop::current().call_soon([&] { armed = loop::current().statistics().timers; });
            auto p = co_await settle(sleep(1h));
            CHECK(p.is_cancelled());
            CHECK(armed == 0);
        };
        co_await with_cancel_scope(body);
    });
}

TEST_CASE("SL-4 negative and past are a yield") {
    eddy_test::run([]() -> task<> {
        const auto began = clock::now();
        int turns = 0;
        auto other = spawn(
            [](int* n) -> task<> {
                ++*n;
                co_return;
            },
            &turns);
        co_await sleep(-5s);
        CHECK(turns == 1);
        co_await sleep_until(clock::now() - 1h);
        co_await sleep(duration::min());
        co_await sleep(-0.5s);
        CHECK(clock::now() == began);
        co_await other;
    });
}

TEST_CASE("SL-5 LP-4 sleeps end in the order of their deadlines, never early") {
    eddy_test::run([]() -> task<> {
        std::vector<int> order;
        const auto begin = clock::now();
        const auto body = [&](task_group& g) -> task<> {
            for (const int ms : {5, 1, 3, 2, 4})
                g.spawn(
                    [](std::vector<int>* o, clock::time_point b, int n) -> task<> {
                        co_await sleep(1ms * n);
                        CHECK(clock::now() - b == 1ms * n);
                        o->push_back(n);
                    },
                    &order, begin, ms);
            co_return;
        };
        co_await with_task_group(body);
        CHECK(order == std::vector<int>{1, 2, 3, 4, 5});
    });
}

TEST_CASE("SL-7 sleep_forever ends by cancellation only, and counts as woken from outside") {
    eddy_test::run([]() -> task<> {
        auto h = spawn([]() -> task<> { co_await sleep_forever(); });
        auto m = spawn([]() -> task<> { co_await sleep(duration::max()); });
        co_await sleep(24h);
        CHECK(!h.done());
        CHECK(!m.done());
        h.cancel();
        m.cancel();
        co_await yield();
        co_await yield();
        CHECK(h.was_cancelled());
        CHECK(m.was_cancelled());
    });
}

TEST_CASE("LP-5 a delay of zero or less never runs in place; overdue timers fire in the order of their deadlines") {
    testing::virtual_loop l;
    std::string order;
    l.call_later(-1s, [&] { order += "a"; });
    l.call_later(-2s, [&] { order += "b"; });
    l.call_later(0s, [&] { order += "0"; });
    CHECK(order.empty());
    l.settle();
    CHECK(order == "ba0");
    l.spawn(
        [](std::string* o) -> task<> {
            loop::current().call_at(clock::now() - 1s, [o] { *o += "x"; });
            loop::current().call_at(clock::now() - 2s, [o] { *o += "y"; });
            *o += "-";
            co_return;
        },
        &order);
    l.settle();
    CHECK(order == "ba0-yx");
    CHECK_NOTHROW(l.call_later(std::chrono::hours::min(), [] {}));
    l.settle();
}

TEST_CASE("LP-6 equal deadlines fire in the order of arming") {
    testing::virtual_loop l;
    std::vector<int> order;
    for (int i = 0; i < 100; ++i)
        l.call_at(clock::time_point(5ms), [&order, i] { order.push_back(i); });
    l.advance(5ms);
    for (int i = 0; i < 100; ++i)
        CHECK(order[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("LP-7 a delay counts from the call, though the loop was blocked since its tick began") {
    eddy_test::run([]() -> task<> {
        const auto began = clock::now();
        here().advance(200ms); // as a blocking call would
        co_await sleep(100ms);
        CHECK(clock::now() - began == 300ms);
    });
    run([]() -> task<> {
        const auto began = real_now();
        std::this_thread::sleep_for(3ms);
        co_await sleep(2ms);
        CHECK(real_now() - began >= 5'000'000);
    }());
}

TEST_CASE("LP-8 no sleep ends early, measured with another clock") {
    run([]() -> task<> {
        const auto one = [](duration d) -> task<> {
            const auto began = real_now();
            co_await sleep(d);
            CHECK(real_now() - began >= d.count());
        };
        std::vector<task<>> all;
        for (int i = 0; i < 1000; ++i)
            all.push_back(one(1ms + 1us * (i % 900)));
        co_await gather(std::move(all));
    }());
}

TEST_CASE("LP-9 tiny sleeps do not spin") {
    run([]() -> task<> {
        const auto before = loop::current().statistics().ticks;
        for (const double s : {1e-2, 1e-4, 1e-6, 1e-8, 1e-10})
            co_await sleep(std::chrono::duration<double>(s));
        CHECK(loop::current().statistics().ticks - before <= 60);
    }());
}

TEST_CASE("LP-10 a timer of zero that arms itself again traps nothing") {
    testing::virtual_loop l;
    int rounds = 0;
    std::function<void()> again = [&] {
        if (++rounds < 1000) l.call_later(0s, again);
    };
    l.call_later(0s, again);
    int at_task = -1;
    l.spawn(
        [](int* r, int* at) -> task<> {
            for (int i = 0; i < 3; ++i)
                co_await yield();
            *at = *r;
        },
        &rounds, &at_task);
    l.settle();
    CHECK(at_task >= 0);
    CHECK(at_task < 10);
    while (rounds < 1000)
        l.advance(0s);
    CHECK(rounds == 1000);
}

TEST_CASE("LP-11 very long delays are accepted, and floating-point ones rounded up; NaN is no time") {
    eddy_test::run([]() -> task<> {
        auto a = spawn([]() -> task<> { co_await sleep(std::chrono::duration<double>(1e12)); });
        auto b = spawn(
            []() -> task<> { co_await sleep(std::chrono::duration<double>(std::numeric_limits<double>::infinity())); });
        auto c = spawn([]() -> task<> { co_await sleep(std::chrono::hours::max()); });
        co_await yield();
        co_await yield();
        for (auto* h : {&a, &b, &c}) {
            CHECK(!h->done());
            h->cancel();
        }
        const auto began = clock::now();
        co_await sleep(std::chrono::duration<double>(std::numeric_limits<double>::quiet_NaN()));
        CHECK(clock::now() == began);
        co_await sleep(std::chrono::duration<double, std::nano>(0.25));
        CHECK(clock::now() - began == 1ns);
    });
}

TEST_CASE("LP-12 X-3 cancelled timers leave the calendar at once") {
    testing::virtual_loop l;
    std::vector<timer_handle> all;
    for (int i = 0; i < 1000; ++i)
        all.push_back(l.call_later(1h, [] {}));
    CHECK(l.statistics().timers == 1000);
    for (std::size_t i = 0; i < 999; ++i)
        all[i].cancel();
    CHECK(l.statistics().timers == 1);
    const auto before = l.statistics().ticks;
    l.advance(59min);
    CHECK(l.statistics().ticks - before <= 3);
    all[999].cancel();
    l.settle();
    check_empty(l);
}

TEST_CASE("yield lets every other ready task run once") {
    eddy_test::run([]() -> task<> {
        std::string order;
        const auto runner = [](std::string* o, char c) -> task<> {
            for (int i = 0; i < 3; ++i) {
                o->push_back(c);
                co_await yield();
            }
        };
        auto a = spawn(runner(&order, 'a'));
        auto b = spawn(runner(&order, 'b'));
        co_await a;
        co_await b;
        CHECK(order == "ababab");
    });
}

TEST_CASE("a checkpoint that has nothing to say does not give way") {
    eddy_test::run([]() -> task<> {
        bool other = false;
        auto h = spawn(
            [](bool* o) -> task<> {
                *o = true;
                co_return;
            },
            &other);
        for (int i = 0; i < 100; ++i)
            co_await checkpoint();
        CHECK(!other);
        co_await h;
    });
}

TEST_CASE("MK-1 MK-2 MK-3 simulated time jumps when nothing else can run, never back, and fires on the way") {
    const auto began = std::chrono::steady_clock::now();
    eddy_test::run([]() -> task<> {
        const auto start = clock::now();
        co_await sleep(100'000s);
        CHECK(clock::now() - start == 100'000s);
    });
    CHECK(std::chrono::steady_clock::now() - began < 1s);
    testing::virtual_loop l;
    CHECK_THROWS_AS(l.advance(-1s), std::logic_error);
    std::vector<std::int64_t> at;
    l.spawn(
        [](std::vector<std::int64_t>* a) -> task<> {
            for (int i = 0; i < 3; ++i) {
                co_await sleep(1s);
                a->push_back(clock::now().time_since_epoch() / 1ms);
            }
        },
        &at);
    l.call_later(1500ms, [&] { at.push_back(-1); });
    l.settle();
    CHECK(at.empty()); // settle moves no time
    l.advance(2s);
    CHECK(at == std::vector<std::int64_t>{1000, -1, 2000});
    CHECK(l.now() == clock::time_point(2s));
    l.advance(1s);
    CHECK(at.size() == 4);
    CHECK_THROWS_AS(static_cast<void>(l.uv()), std::logic_error);
}

TEST_CASE("the clock outside a loop is the system's") {
    const auto a = clock::now();
    const auto b = clock::now();
    CHECK(b >= a);
}

#include <eddy/offload/offload.hpp>

#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>

#include "offload/gate.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>

using eddy::offload;
using eddy::task;
using eddy_test::counted;
using eddy_test::gate;
using eddy_test::run_real;
using eddy_test::twice;
using eddy_test::until_arrived;

TEST_CASE("TH-1 a value and an exception come back; the loop goes on meanwhile") {
    run_real([]() -> task<void> {
        const auto loop_thread = std::this_thread::get_id();
        gate g;
        int ticks = 0;
        const auto tick = [](gate& mine, int& n) -> task<void> {
            for (; n < 5; ++n)
                co_await eddy::yield();
            mine.open();
        };
        eddy::spawn(tick, std::ref(g), std::ref(ticks));
        auto call = offload([&g] {
            g.wait();
            return std::this_thread::get_id();
        });
        const auto where = co_await call;
        CHECK(ticks == 5);
        CHECK(where != loop_thread);

        const int v = co_await offload(twice, 21);
        CHECK(v == 42);

        std::string text;
        auto failing = offload([] { throw std::runtime_error("from the pool"); });
        try {
            co_await failing;
        } catch (const std::runtime_error& e) {
            text = e.what();
        }
        CHECK(text == "from the pool");
    });
}

TEST_CASE("results may be void, move-only and references; arguments are moved in") {
    run_real([]() -> task<void> {
        auto owner = std::make_unique<int>(5);
        auto same = co_await offload([](std::unique_ptr<int> p) { return p; }, std::move(owner));
        CHECK(*same == 5);

        int x = 1;
        int& y = co_await offload([](std::reference_wrapper<int> r) -> int& { return r.get(); }, std::ref(x));
        CHECK(&y == &x);

        bool ran = false;
        co_await offload([](bool* b) { *b = true; }, &ran);
        CHECK(ran);

        const std::string text =
            co_await offload([](const std::string& a, const char* b) { return a + b; }, std::string("ab"), "cd");
        CHECK(text == "abcd");
    });
    static_assert(std::is_same_v<eddy::await_result_t<decltype(offload([]() -> int&& { throw 1; }))>, int>);
}

TEST_CASE("TH-2 a hundred thousand calls run once each, more than the ring holds at a time") {
    run_real([]() -> task<void> {
        constexpr int tasks = 2'000;
        constexpr int times = 50;
        std::vector<std::atomic<int>> ran(tasks);
        const auto often = [](std::atomic<int>& n) -> task<void> {
            for (int i = 0; i < times; ++i) {
                auto call = offload([&n] { n.fetch_add(1); });
                co_await call;
            }
        };
        std::vector<eddy::task_handle<void>> all;
        for (auto& n : ran)
            all.push_back(eddy::spawn(often, std::ref(n)));
        for (auto& h : all)
            co_await h;
        int wrong = 0;
        for (auto& n : ran)
            wrong += n != times;
        CHECK(wrong == 0);
    });
}

TEST_CASE("TH-2 ten calls at a time use all threads of the pool, and no more") {
    run_real([]() -> task<void> {
        gate g;
        std::mutex guard;
        std::set<std::thread::id> seen;
        const auto one = [](gate& mine, std::mutex& m, std::set<std::thread::id>& ids) -> task<void> {
            auto call = offload([&] {
                {
                    const std::lock_guard lock(m);
                    ids.insert(std::this_thread::get_id());
                }
                mine.wait();
            });
            co_await call;
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 10; ++i)
            all.push_back(eddy::spawn(one, std::ref(g), std::ref(guard), std::ref(seen)));
        co_await until_arrived(g, 4);
        g.open();
        for (auto& h : all)
            co_await h;
        CHECK(seen.size() == 4);
    });
}

TEST_CASE("TH-3 nothing of the loop leaks into the pool's threads") {
    run_real([]() -> task<void> {
        auto call = offload([] { return eddy::loop::try_current() == nullptr; });
        const bool alone = co_await call;
        CHECK(alone);
        auto asks = offload([] { return eddy::this_task::id(); });
        const auto r = co_await eddy::settle(std::move(asks));
        CHECK_THROWS_AS(r.value(), eddy::no_running_loop);
    });
}

TEST_CASE("TH-18 what a call captured goes before its task goes on, on the loop's thread") {
    run_real([]() -> task<void> {
        auto kept = std::make_shared<int>(1);
        auto call = offload([kept] { return *kept; });
        CHECK(kept.use_count() == 2);
        const int v = co_await call;
        CHECK(v == 1);
        CHECK(kept.use_count() == 1); // the operation still lives
        auto thrown = offload([kept]() -> int { throw std::runtime_error("x"); });
        const auto r = co_await eddy::settle(std::move(thrown));
        CHECK_FALSE(r.has_value());
        CHECK(kept.use_count() == 1);
        // Not awaited, and moved before that.
        {
            auto never = offload([kept] { return counted(*kept); });
            auto moved = std::move(never);
            CHECK(kept.use_count() == 2);
        }
        CHECK(kept.use_count() == 1);
        auto other = offload([kept] { return counted(*kept); });
        auto moved = std::move(other);
        auto result = co_await moved;
        CHECK(result.value == 1);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("an operation is awaited once") {
    run_real([]() -> task<void> {
        auto call = offload([] { return 1; });
        co_await call;
        bool refused = false;
        try {
            co_await call;
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
    });
}

TEST_CASE("a slow call holds up neither the others nor their results") {
    run_real([]() -> task<void> {
        gate g;
        int others = 0;
        const auto slow = [](gate& mine) -> task<void> {
            auto call = offload([&mine] { mine.wait(); });
            co_await call;
        };
        const auto quick = [](int& n, gate& mine) -> task<void> {
            for (int i = 0; i < 20; ++i) {
                auto call = offload([] {});
                co_await call;
            }
            if (++n == 300) mine.open();
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 150; ++i)
            all.push_back(eddy::spawn(quick, std::ref(others), std::ref(g)));
        for (int i = 0; i < 3; ++i)
            all.push_back(eddy::spawn(slow, std::ref(g)));
        for (int i = 0; i < 150; ++i)
            all.push_back(eddy::spawn(quick, std::ref(others), std::ref(g)));
        for (auto& h : all)
            co_await h;
        CHECK(others == 300);
    });
}

TEST_CASE("what one thread has done comes back in the order of the calls") {
    run_real([]() -> task<void> {
        gate g;
        const auto hold = [](gate& mine) -> task<void> {
            auto call = offload([&mine] { mine.wait(); });
            co_await call;
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 3; ++i)
            all.push_back(eddy::spawn(hold, std::ref(g)));
        co_await until_arrived(g, 3); // of the four threads one is left
        const auto quick = [](int n, std::vector<int>& o) -> task<void> {
            auto call = offload([] {});
            co_await call;
            o.push_back(n);
        };
        std::vector<int> order;
        std::vector<int> expected;
        for (int i = 0; i < 40; ++i) {
            expected.push_back(i);
            all.push_back(eddy::spawn(quick, i, std::ref(order)));
        }
        for (std::size_t i = 3; i < all.size(); ++i)
            co_await all[i];
        g.open();
        for (auto& h : all)
            co_await h;
        CHECK(order == expected);
    });
}

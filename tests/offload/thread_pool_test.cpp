#include <eddy/offload/thread_pool.hpp>

#include <eddy/core/this_task.hpp>
#include <eddy/flow/gather.hpp>

#include "offload/gate.hpp"
#include "support/check.hpp"

#include <atomic>
#include <csignal>
#include <memory>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::task;
using eddy::thread_pool;
using eddy::thread_pool_options;
using eddy_test::counted;
using eddy_test::gate;
using eddy_test::holds;
using eddy_test::joined;
using eddy_test::run_real;
using eddy_test::text_of;
using eddy_test::until_arrived;

namespace {

int twice(int n) { return 2 * n; }

task<void> held(thread_pool& pool, gate& g) {
    auto call = pool.run([&g] { g.wait(); });
    co_await call;
}

task<void> marks(thread_pool& pool, std::atomic<int>& ran) {
    auto call = pool.run([&ran] { ++ran; });
    co_await call;
}

} // namespace

TEST_CASE("TH-1 a value and an exception come back from a pool; the loop goes on meanwhile") {
    run_real([]() -> task<void> {
        thread_pool pool(2);
        const int v = co_await pool.run(twice, 21);
        CHECK(v == 42);
        const auto here = std::this_thread::get_id();
        const auto there = co_await pool.run(std::this_thread::get_id);
        CHECK(here != there);
        auto failing = pool.run([]() -> int { throw std::runtime_error("thrown there"); });
        const auto r = co_await eddy::settle(std::move(failing));
        CHECK(text_of(r.error()) == "thrown there");
        gate g;
        auto h = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 1);
        CHECK_FALSE(h.done());
        g.open();
        co_await h;
    });
}

TEST_CASE("results of a pool's calls may be void, move-only and references; arguments are moved in") {
    run_real([]() -> task<void> {
        thread_pool pool(1);
        auto give = pool.run([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(5));
        const std::unique_ptr<int> five = co_await give;
        CHECK(*five == 5);
        int seven = 0;
        auto refer = pool.run([&seven]() -> int& { return seven; });
        int& same = co_await refer;
        CHECK(&same == &seven);
        auto asks = pool.run([](std::stop_token t, int n) { return t.stop_possible() ? n : 0; }, 3);
        const int n = co_await asks;
        CHECK(n == 3);
        static_assert(std::is_same_v<decltype(pool.try_run(twice, 1))::result_type, std::optional<int>>);
        static_assert(std::is_same_v<decltype(pool.try_run([] {}))::result_type, bool>);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("TH-2 fifty thousand calls of many tasks run once each, on the pool's threads only") {
    run_real([]() -> task<void> {
        thread_pool pool(3);
        std::atomic<int> ran = 0;
        const auto often = [](thread_pool& p, std::atomic<int>& n) -> task<void> {
            for (int i = 0; i < 500; ++i)
                co_await marks(p, n);
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 100; ++i)
            all.push_back(eddy::spawn(often, std::ref(pool), std::ref(ran)));
        for (auto& h : all)
            co_await h;
        CHECK(ran == 50'000);
        CHECK(pool.statistics().threads <= 3);
        CHECK(pool.statistics().busy == 0);
        co_await pool.close();
    });
}

TEST_CASE("TH-2 as many calls run at a time as there are threads, and no more; the rest first come, first served") {
    run_real([]() -> task<void> {
        thread_pool pool(2);
        gate g;
        auto a = eddy::spawn(held, std::ref(pool), std::ref(g));
        auto b = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 2);
        std::mutex m;
        std::vector<int> order;
        const auto one = [](thread_pool& p, std::mutex& guard, std::vector<int>& seen, int i) -> task<void> {
            auto call = p.run([&guard, &seen, i] {
                const std::lock_guard lock(guard);
                seen.push_back(i);
            });
            co_await call;
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 50; ++i)
            all.push_back(eddy::spawn(one, std::ref(pool), std::ref(m), std::ref(order), i));
        co_await eddy::sleep(1ms);
        CHECK(order.empty());
        const auto s = pool.statistics();
        CHECK(s.threads == 2);
        CHECK(s.busy == 2);
        CHECK(s.queued == 50);
        CHECK(s.waiting == 0);
        g.open();
        for (auto& h : all)
            co_await h;
        CHECK(order.size() == 50);
        co_await a;
        co_await b;
    });
    run_real([]() -> task<void> {
        thread_pool pool(1);
        std::vector<int> order; // one thread: no two at a time
        const auto one = [](thread_pool& p, std::vector<int>& seen, int i) -> task<void> {
            auto call = p.run([&seen, i] { seen.push_back(i); });
            co_await call;
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 200; ++i)
            all.push_back(eddy::spawn(one, std::ref(pool), std::ref(order), i));
        for (auto& h : all)
            co_await h;
        for (int i = 0; i < 200; ++i)
            CHECK(order[static_cast<std::size_t>(i)] == i);
    });
}

TEST_CASE("try_run refuses where the queue is full; run waits for room") {
    run_real([]() -> task<void> {
        thread_pool pool(1, thread_pool_options().queue_capacity(2));
        gate g;
        std::atomic<int> ran = 0;
        auto first = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 1);
        std::vector<eddy::task_handle<void>> queued;
        for (int i = 0; i < 2; ++i)
            queued.push_back(eddy::spawn(marks, std::ref(pool), std::ref(ran)));
        co_await eddy::yield();
        auto owner = std::make_shared<int>(1);
        auto refused = pool.try_run([owner] { return *owner; });
        const std::optional<int> nothing = co_await refused;
        CHECK_FALSE(nothing.has_value());
        CHECK(owner.use_count() == 1);
        for (int i = 0; i < 3; ++i)
            queued.push_back(eddy::spawn(marks, std::ref(pool), std::ref(ran)));
        co_await eddy::yield();
        CHECK(pool.statistics().queued == 2);
        CHECK(pool.statistics().waiting == 3);
        // Room that was made is for those who wait.
        queued[0].cancel();
        co_await joined(queued[0]);
        auto again = pool.try_run([] {});
        const bool taken = co_await again;
        CHECK_FALSE(taken);
        g.open();
        co_await first;
        for (auto& h : queued)
            co_await joined(h);
        CHECK(ran == 4);
        auto fits = pool.try_run(twice, 4);
        const std::optional<int> some = co_await fits;
        CHECK(some == 8);
    });
    run_real([]() -> task<void> {
        thread_pool pool(1, thread_pool_options().queue_capacity(0));
        gate g;
        const auto tries = [](thread_pool& p, gate& mine) -> task<bool> {
            auto call = p.try_run([&mine] { mine.wait(); });
            co_return co_await call;
        };
        auto a = eddy::spawn(tries, std::ref(pool), std::ref(g));
        auto b = eddy::spawn(tries, std::ref(pool), std::ref(g));
        const bool second = co_await b;
        CHECK_FALSE(second);
        g.open();
        const bool first = co_await a;
        CHECK(first);
    });
}

TEST_CASE("a try_run that was promised its place and then dropped gives it back") {
    run_real([]() -> task<void> {
        thread_pool pool(1, thread_pool_options().queue_capacity(0));
        const auto gives_way = [](thread_pool& p) -> task<void> {
            while (true) {
                auto call = p.try_run([] {});
                const bool ran = co_await call;
                if (!ran) co_await eddy::yield();
            }
        };
        for (int i = 0; i < 50; ++i) {
            auto h = eddy::spawn(gives_way, std::ref(pool));
            for (int n = 0; n < i % 7; ++n)
                co_await eddy::yield();
            h.cancel();
            co_await joined(h);
        }
        auto last = pool.try_run([] {});
        const bool ran = co_await last;
        CHECK(ran);
    });
}

TEST_CASE("TH-4 a pool's call that is cancelled while queued never runs, and dies on the loop's thread") {
    run_real([]() -> task<void> {
        thread_pool pool(1);
        gate g;
        auto first = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 1);
        bool ran = false;
        std::thread::id died_on;
        const auto body = [](thread_pool& p, bool& r, std::thread::id& d) -> task<void> {
            auto call = p.run([&r, t = eddy_test::at_end([&d] { d = std::this_thread::get_id(); })] { r = true; });
            co_await call;
        };
        auto waiting = eddy::spawn(body, std::ref(pool), std::ref(ran), std::ref(died_on));
        co_await eddy::yield();
        CHECK(pool.statistics().queued == 1);
        waiting.cancel();
        co_await joined(waiting);
        CHECK(waiting.was_cancelled());
        CHECK(died_on == std::this_thread::get_id());
        CHECK(pool.statistics().queued == 0);
        g.open();
        co_await first;
        CHECK_FALSE(ran);
    });
}

TEST_CASE(
    "TH-5 a pool's call that is cancelled while it runs: waits, delivers its value, asks it to stop if it can be") {
    run_real([]() -> task<void> {
        thread_pool pool(2);
        gate g;
        int got = 0;
        bool ended = false;
        const auto waits = [](thread_pool& p, gate& mine, int& value, bool& thrown) -> task<void> {
            auto call = p.run([&mine] {
                mine.wait();
                return 5;
            });
            value = co_await call;
            try {
                co_await eddy::checkpoint();
            } catch (const eddy::cancelled&) {
                thrown = true;
                throw;
            }
        };
        const auto cooperates = [](thread_pool& p, gate& mine) -> task<std::string> {
            auto call = p.run([&mine](std::stop_token stop) {
                std::mutex m;
                std::condition_variable_any cv;
                std::unique_lock lock(m);
                mine.wait();
                cv.wait(lock, stop, [] { return false; });
                return std::string("stopped");
            });
            co_return co_await call;
        };
        gate open;
        open.open();
        auto h = eddy::spawn(waits, std::ref(pool), std::ref(g), std::ref(got), std::ref(ended));
        auto c = eddy::spawn(cooperates, std::ref(pool), std::ref(open));
        co_await until_arrived(g, 1);
        co_await until_arrived(open, 1);
        h.cancel();
        c.cancel();
        const std::string text = co_await c;
        CHECK(text == "stopped");
        CHECK_FALSE(h.done());
        g.open();
        co_await joined(h);
        CHECK(got == 5);
        CHECK(ended);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("TH-7 run_abandon gives up at once; its thread counts until the function has returned") {
    auto g = std::make_shared<gate>();
    thread_pool pool(1, thread_pool_options().queue_capacity(0));
    std::atomic<int> ran = 0;
    run_real([&]() -> task<void> {
        const auto body = [](thread_pool& p, std::shared_ptr<gate> mine) -> task<void> {
            auto call = p.run_abandon([mine] { mine->wait(); });
            co_await call;
        };
        auto h = eddy::spawn(body, std::ref(pool), g);
        co_await until_arrived(*g, 1);
        CHECK(pool.statistics().abandoned == 0);
        h.cancel();
        co_await joined(h);
        CHECK(h.was_cancelled());
        CHECK(pool.statistics().busy == 1);
        CHECK(pool.statistics().abandoned == 1);
        auto refused = pool.try_run([] {});
        const bool taken = co_await refused;
        CHECK_FALSE(taken);
        auto next = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        co_await eddy::sleep(1ms);
        CHECK(ran == 0);
        g->open();
        co_await next;
        CHECK(ran == 1);
        CHECK(pool.statistics().abandoned == 0);
        CHECK(pool.statistics().busy == 0);
        co_await pool.close();
    });
    CHECK(g.use_count() == 1);
}

TEST_CASE("run_abandon gives values and exceptions; given up while queued, it never runs") {
    run_real([]() -> task<void> {
        thread_pool pool(1);
        auto value = pool.run_abandon([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(7));
        const std::unique_ptr<int> p = co_await value;
        CHECK(*p == 7);
        auto failing = pool.run_abandon([]() -> int { throw std::runtime_error("no"); });
        const auto r = co_await eddy::settle(std::move(failing));
        CHECK(text_of(r.error()) == "no");
        gate g;
        auto first = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 1);
        auto ran = std::make_shared<std::atomic<int>>(0);
        const auto body = [](thread_pool& q, std::shared_ptr<std::atomic<int>> n) -> task<void> {
            auto call = q.run_abandon([n] { ++*n; });
            co_await call;
        };
        auto h = eddy::spawn(body, std::ref(pool), ran);
        co_await eddy::yield();
        CHECK(pool.statistics().queued == 1);
        h.cancel();
        co_await joined(h);
        CHECK(ran.use_count() == 1);
        CHECK(pool.statistics().queued == 0);
        g.open();
        co_await first;
        CHECK(*ran == 0);
    });
}

TEST_CASE("TH-6 a result that comes too late is destroyed on the loop, or on the thread where the loop has gone") {
    for (const bool loop_lives : {true, false}) {
        CAPTURE(loop_lives);
        auto g = std::make_shared<gate>();
        auto died_on = std::make_shared<std::promise<std::thread::id>>();
        auto died = died_on->get_future();
        thread_pool pool(1);
        const auto start = [&]() -> task<void> {
            const auto body = [](thread_pool& p, std::shared_ptr<gate> mine,
                                 std::shared_ptr<std::promise<std::thread::id>> told) -> task<void> {
                auto call = p.run_abandon([mine, told] {
                    mine->wait();
                    return std::make_unique<eddy_test::at_end>([told] { told->set_value(std::this_thread::get_id()); });
                });
                co_await call;
            };
            auto h = eddy::spawn(body, std::ref(pool), g, died_on);
            co_await until_arrived(*g, 1);
            h.cancel();
            co_await joined(h);
            if (!loop_lives) co_return;
            g->open();
            while (died.wait_for(0s) != std::future_status::ready)
                co_await eddy::sleep(1ms);
        };
        run_real(start);
        g->open();
        CHECK((died.get() == std::this_thread::get_id()) == loop_lives);
    }
}

TEST_CASE("cancelling a pool's calls in every state, thousands of times: each runs once or never") {
    run_real([]() -> task<void> {
        thread_pool pool(2, thread_pool_options().queue_capacity(50));
        int delivered = 0;
        int cancelled = 0;
        int wrong = 0;
        const auto one = [](thread_pool& p, int& d, int& c, int& w) -> task<void> {
            int ran = 0;
            try {
                auto call = p.run([&ran] { return ++ran; });
                const int v = co_await call;
                ++d;
                w += v != 1;
            } catch (const eddy::cancelled&) {
                ++c;
                w += ran != 0;
                throw;
            }
        };
        const auto hold = [](thread_pool& p, gate& g) -> task<void> {
            auto call = p.run([&g] { g.wait(); });
            co_await call;
        };
        for (int round = 0; round < 40; ++round) {
            gate g;
            std::vector<eddy::task_handle<void>> all;
            if (round == 1) { // no thread is free: what is cancelled has not run
                for (int i = 0; i < 2; ++i)
                    all.push_back(eddy::spawn(hold, std::ref(pool), std::ref(g)));
                co_await until_arrived(g, 2);
            }
            const std::size_t first = all.size();
            for (int i = 0; i < 200; ++i)
                all.push_back(
                    eddy::spawn(one, std::ref(pool), std::ref(delivered), std::ref(cancelled), std::ref(wrong)));
            for (int i = 0; i < round % 4; ++i)
                co_await eddy::yield();
            if (round % 5 == 0) co_await eddy::sleep(20us);
            for (std::size_t i = first; i < all.size(); i += 2)
                all[i].cancel();
            g.open();
            for (auto& h : all)
                co_await joined(h);
        }
        CHECK(wrong == 0);
        CHECK(delivered >= 40 * 100);
        CHECK(cancelled > 0);
    });
}

TEST_CASE("several loops share a pool") {
    thread_pool pool(2);
    std::atomic<int> sum = 0;
    std::vector<std::thread> threads;
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&] {
            run_real([&]() -> task<void> {
                const auto home = std::this_thread::get_id();
                for (int i = 0; i < 300; ++i) {
                    sum += co_await pool.run(twice, 1);
                    CHECK(std::this_thread::get_id() == home);
                }
            });
        });
    for (auto& t : threads)
        t.join();
    CHECK(sum == 3 * 300 * 2);
}

TEST_CASE("many results cost a loop one wake-up: those that wait when it looks come in one tick") {
    run_real([]() -> task<void> {
        thread_pool pool(2);
        std::atomic<int> left = 100;
        std::promise<void> all_ran;
        std::vector<std::uint64_t> ticks;
        const auto one = [](thread_pool& p, std::atomic<int>& n, std::promise<void>& last,
                            std::vector<std::uint64_t>& at) -> task<void> {
            auto call = p.run([&n, &last] {
                if (--n == 0) last.set_value();
            });
            co_await call;
            at.push_back(eddy::loop::current().statistics().ticks);
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 100; ++i)
            all.push_back(eddy::spawn(one, std::ref(pool), std::ref(left), std::ref(all_ran), std::ref(ticks)));
        co_await eddy::yield();
        all_ran.get_future().wait(); // the loop sleeps meanwhile
        while (pool.statistics().busy != 0)
            std::this_thread::yield();
        const auto before = eddy::loop::current().statistics().ticks;
        for (auto& h : all)
            co_await h;
        CHECK(ticks.size() == 100);
        CHECK(ticks.back() - before <= 3);
        co_await pool.close();
    });
}

TEST_CASE("a pool's threads have its name, and every signal blocked") {
    run_real([]() -> task<void> {
        thread_pool pool(1, thread_pool_options().name("a name that is too long").stack_size(1 << 20));
        auto ask = pool.run([] {
            char name[16] = {};
            pthread_getname_np(pthread_self(), name, sizeof name);
            sigset_t blocked;
            pthread_sigmask(SIG_BLOCK, nullptr, &blocked);
            return std::string(name) + (sigismember(&blocked, SIGINT) == 1 ? "+" : "-") +
                   (sigismember(&blocked, SIGTERM) == 1 ? "+" : "-");
        });
        const std::string seen = co_await ask;
        CHECK(seen == "a name that is ++");
    });
}

TEST_CASE("TH-18 what a pool's call captured goes before its task goes on, not with the next call") {
    run_real([]() -> task<void> {
        thread_pool pool(1);
        auto owner = std::make_shared<int>(1);
        auto call = pool.run([owner] { return *owner; });
        const int one = co_await call;
        CHECK(one == 1);
        CHECK(owner.use_count() == 1);
        auto abandonable = pool.run_abandon([owner] { return *owner; });
        const int other = co_await abandonable;
        CHECK(other == 1);
        CHECK(owner.use_count() == 1);
    });
}

TEST_CASE("on simulated time a pool's calls run inline at a later step, in its room") {
    eddy_test::run([]() -> task<void> {
        thread_pool pool(1, thread_pool_options().queue_capacity(1));
        const auto here = std::this_thread::get_id();
        const auto there = co_await pool.run(std::this_thread::get_id);
        CHECK(here == there);
        std::atomic<int> ran = 0;
        auto a = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        auto b = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        co_await eddy::yield();
        auto value = pool.run_abandon(twice, 2);
        const int four = co_await value;
        CHECK(four == 4);
        co_await a;
        co_await b;
        CHECK(ran == 2);
        const auto refused = [](thread_pool& p) -> task<bool> {
            auto call = p.try_run([] {});
            co_return co_await call;
        };
        auto x = eddy::spawn(refused, std::ref(pool));
        auto y = eddy::spawn(refused, std::ref(pool));
        auto z = eddy::spawn(refused, std::ref(pool));
        const bool third = co_await z;
        const bool second = co_await y;
        const bool first = co_await x;
        CHECK(first);
        CHECK(second);
        CHECK_FALSE(third);
        auto never = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        co_await eddy::yield();
        never.cancel();
        co_await joined(never);
        CHECK(ran == 2);
        CHECK(pool.statistics().queued == 0);
        co_await pool.close();
    });
}

// How a pool ends, and what it does when the system gives it no threads.
#include <eddy/offload/thread_pool.hpp>

#include "offload/aside.hpp"
#include "offload/gate.hpp"
#include "support/check.hpp"
#include "support/sanitizers.hpp"

#include <atomic>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using eddy::task;
using eddy::thread_pool;
using eddy::thread_pool_options;
using eddy_test::contains;
using eddy_test::gate;
using eddy_test::holds;
using eddy_test::joined;
using eddy_test::run_real;
using eddy_test::text_of;
using eddy_test::until_arrived;

namespace {

task<void> held(thread_pool& pool, gate& g) {
    auto call = pool.run([&g] { g.wait(); });
    co_await call;
}

task<void> marks(thread_pool& pool, std::atomic<int>& ran) {
    auto call = pool.run([&ran] { ++ran; });
    co_await call;
}

} // namespace

TEST_CASE("TH-15 close waits for what runs and is queued, refuses new calls, and ends the threads") {
    run_real([]() -> task<void> {
        std::atomic<int> stopped = 0;
        thread_pool pool(2, thread_pool_options().on_thread_stop([&] { ++stopped; }));
        gate g;
        std::atomic<int> ran = 0;
        auto a = eddy::spawn(held, std::ref(pool), std::ref(g));
        auto b = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 2);
        auto queued = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        co_await eddy::yield();
        const auto closes = [](thread_pool& p) -> task<void> { co_await p.close(); };
        auto first = eddy::spawn(closes, std::ref(pool));
        auto second = eddy::spawn(closes, std::ref(pool));
        co_await eddy::sleep(1ms);
        CHECK_FALSE(first.done());
        auto late = pool.run([] {});
        const auto refused = co_await eddy::settle(std::move(late));
        CHECK(holds<eddy::closed>(refused.error()));
        auto late_try = pool.try_run([] {});
        const auto refused_try = co_await eddy::settle(std::move(late_try));
        CHECK(holds<eddy::closed>(refused_try.error()));
        auto late_abandon = pool.run_abandon([] {});
        const auto refused_abandon = co_await eddy::settle(std::move(late_abandon));
        CHECK(holds<eddy::closed>(refused_abandon.error()));
        // A close that is cancelled leaves the pool closed.
        second.cancel();
        co_await joined(second);
        CHECK_FALSE(first.done());
        g.open();
        co_await first;
        CHECK(ran == 1);
        CHECK(stopped == 2);
        CHECK(pool.statistics().threads == 0);
        co_await pool.close();
        co_await a;
        co_await b;
        co_await queued;
    });
}

TEST_CASE("destroying a pool ends queued calls with object_destroyed, and waits for those that run") {
    gate g;
    std::atomic<int> ran = 0;
    std::atomic<bool> returned = false;
    bool returned_first = false;
    eddy::outcome<void> running = eddy::outcome<void>::of_value({});
    eddy::outcome<void> queued = running;
    eddy::outcome<void> given = running;
    const std::string text = eddy_test::printed_by([&] {
        run_real([&]() -> task<void> {
            auto pool = std::make_unique<thread_pool>(1, thread_pool_options().name("short-lived"));
            auto busy = pool->run([&] {
                g.wait();
                returned = true;
            });
            const auto waits = [](decltype(busy)& call) -> task<void> { co_await call; };
            const auto abandons = [](thread_pool& p, std::atomic<int>& n) -> task<void> {
                auto call = p.run_abandon([&n] { ++n; });
                co_await call;
            };
            auto a = eddy::spawn(waits, std::ref(busy));
            co_await until_arrived(g, 1);
            auto b = eddy::spawn(marks, std::ref(*pool), std::ref(ran));
            auto c = eddy::spawn(abandons, std::ref(*pool), std::ref(ran));
            co_await eddy::yield();
            std::thread opener([&] { g.open(); });
            pool.reset();
            returned_first = returned;
            opener.join();
            running = co_await eddy::settle(a);
            queued = co_await eddy::settle(b);
            given = co_await eddy::settle(c);
        });
    });
    CHECK(returned_first);
    CHECK(running.has_value());
    CHECK(holds<eddy::object_destroyed>(queued.error()));
    CHECK(contains(text_of(queued.error()), "short-lived"));
    CHECK(holds<eddy::object_destroyed>(given.error()));
    CHECK(ran == 0);
    CHECK(contains(text, "thread pool 'short-lived' was destroyed while 2 calls were queued"));
}

TEST_CASE("a pool that another thread destroys tells the loops whose calls are queued") {
    gate g;
    std::atomic<int> ran = 0;
    bool right = false;
    const std::string text = eddy_test::printed_by([&] {
        auto pool = std::make_unique<thread_pool>(1);
        run_real([&]() -> task<void> {
            auto a = eddy::spawn(held, std::ref(*pool), std::ref(g));
            co_await until_arrived(g, 1);
            auto b = eddy::spawn(marks, std::ref(*pool), std::ref(ran));
            co_await eddy::yield();
            std::thread destroyer([&] { pool.reset(); });
            const auto ended = co_await eddy::settle(b);
            right = holds<eddy::object_destroyed>(ended.error());
            g.open();
            co_await a;
            destroyer.join();
        });
    });
    CHECK(right);
    CHECK(ran == 0);
    CHECK(contains(text, "while 1 calls were queued"));
}

TEST_CASE("a pool on simulated time that is destroyed ends its calls") {
    std::atomic<int> ran = 0;
    eddy_test::run([&]() -> task<void> {
        auto pool = std::make_unique<thread_pool>(1);
        // In the order of the ready queue: the calls begin, the pool goes, their steps come.
        auto a = eddy::spawn(marks, std::ref(*pool), std::ref(ran));
        const auto abandons = [](thread_pool& p, std::atomic<int>& n) -> task<void> {
            auto call = p.run_abandon([&n] { ++n; });
            co_await call;
        };
        auto b = eddy::spawn(abandons, std::ref(*pool), std::ref(ran));
        co_await eddy::yield();
        pool.reset();
        const auto x = co_await eddy::settle(a);
        const auto y = co_await eddy::settle(b);
        CHECK(holds<eddy::object_destroyed>(x.error()));
        CHECK(holds<eddy::object_destroyed>(y.error()));
    });
    CHECK(ran == 0);
}

TEST_CASE("a pool destroys itself" * doctest::skip()) {
    std::set_terminate([] { _exit(3); });
    auto* pool = new thread_pool(1, thread_pool_options().name("suicide"));
    run_real([&]() -> task<void> {
        auto call = pool->run([pool] { delete pool; });
        co_await call;
    });
}

TEST_CASE("a pool that is destroyed by one of its own threads ends the program with a message") {
    const auto end = eddy_test::in_new_process("a pool destroys itself");
    CHECK(end.code == 3);
    CHECK(contains(end.text, "thread pool 'suicide' was destroyed on one of its own threads"));
}

TEST_CASE("TH-16 threads that leave at once never leave a call behind") {
    run_real([]() -> task<void> {
        std::atomic<int> started = 0;
        thread_pool pool(2, thread_pool_options().idle_timeout(0s).on_thread_start([&] { ++started; }));
        std::atomic<int> ran = 0;
        const auto often = [](thread_pool& p, std::atomic<int>& n) -> task<void> {
            for (int i = 0; i < 300; ++i)
                co_await marks(p, n);
        };
        std::vector<eddy::task_handle<void>> all;
        for (int i = 0; i < 3; ++i)
            all.push_back(eddy::spawn(often, std::ref(pool), std::ref(ran)));
        for (auto& h : all)
            co_await h;
        CHECK(ran == 900);
        CHECK(started > 2); // they did leave
        co_await pool.close();
    });
}

TEST_CASE("TH-17 a thread survives results that can't be moved out, and functions that throw anything") {
    struct stubborn {
        stubborn() = default;
        stubborn(stubborn&&) { throw std::runtime_error("can't be moved"); }
    };
    run_real([]() -> task<void> {
        std::atomic<int> started = 0;
        thread_pool pool(1, thread_pool_options().on_thread_start([&] { ++started; }));
        auto kept = std::make_shared<stubborn>();
        auto bad = pool.run([kept]() -> stubborn { return std::move(*kept); });
        const auto failed = co_await eddy::settle([&]() -> task<void> {
            auto& call = bad;
            co_await call;
        });
        CHECK(text_of(failed.error()) == "can't be moved");
        auto odd = pool.run([] { throw 5; });
        const auto five = co_await eddy::settle(std::move(odd));
        CHECK(holds<int>(five.error()));
        auto good = pool.run([] { return 1; });
        const int one = co_await good;
        CHECK(one == 1);
        CHECK(started == 1);
    });
}

TEST_CASE(
    "on_thread_start that throws: without another thread the first call fails with it, the next has its own try") {
    run_real([]() -> task<void> {
        int tries = 0;
        thread_pool pool(1, thread_pool_options().on_thread_start([&] {
            if (++tries <= 2) throw std::runtime_error("start " + std::to_string(tries));
        }));
        for (int i = 1; i <= 3; ++i) {
            auto call = pool.run([] {});
            const auto r = co_await eddy::settle(std::move(call));
            CHECK(text_of(r.error()) == (i <= 2 ? "start " + std::to_string(i) : ""));
        }
        CHECK(tries == 3);
        co_await pool.close();
        CHECK(pool.statistics().threads == 0);
    });
}

TEST_CASE("on_thread_start that throws: with another thread that one does the work, and on_thread_stop is not called") {
    run_real([]() -> task<void> {
        std::atomic<int> tries = 0;
        std::atomic<int> stops = 0;
        thread_pool pool(2, thread_pool_options()
                                .on_thread_start([&] {
                                    if (++tries > 1) throw std::runtime_error("only one");
                                })
                                .on_thread_stop([&] { ++stops; }));
        gate g;
        std::atomic<int> ran = 0;
        auto first = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 1);
        auto second = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        while (tries < 2)
            co_await eddy::sleep(1ms);
        g.open();
        co_await first;
        co_await second;
        CHECK(ran == 1);
        co_await pool.close();
        CHECK(stops == 1);
    });
}

TEST_CASE("on_thread_stop that throws is reported; the pool ends all the same") {
    const std::string text = eddy_test::printed_by([] {
        run_real([]() -> task<void> {
            thread_pool pool(1, thread_pool_options().on_thread_stop([] { throw std::runtime_error("stop"); }));
            auto call = pool.run([] {});
            co_await call;
            co_await pool.close();
        });
    });
    CHECK(contains(text, "on_thread_stop of a thread pool threw: stop"));
}

TEST_CASE("TH-8 where the system makes no thread at all, the call says so, and the place is free again") {
    run_real([]() -> task<void> {
        thread_pool pool(1, thread_pool_options().stack_size(std::size_t{1} << 60).queue_capacity(0));
        for (int i = 0; i < 3; ++i) {
            auto call = pool.try_run([] {});
            const auto r = co_await eddy::settle(std::move(call));
            CHECK(holds<std::system_error>(r.error()));
            CHECK(contains(text_of(r.error()), "thread pool 'eddy-pool' has no thread, and none can be made"));
        }
        auto call = pool.run_abandon([] {});
        const auto r = co_await eddy::settle(std::move(call));
        CHECK(holds<std::system_error>(r.error()));
        CHECK(pool.statistics().queued == 0);
        co_await pool.close();
    });
}

// The sanitizers need address space without end.
#if !EDDY_TEST_ASAN && !EDDY_TEST_TSAN
TEST_CASE("a pool gets one thread and no other" * doctest::skip()) {
    run_real([]() -> task<void> {
        thread_pool pool(8, thread_pool_options().stack_size(64 << 20));
        gate g;
        auto first = eddy::spawn(held, std::ref(pool), std::ref(g));
        co_await until_arrived(g, 1);
        const rlimit none{1, 1};
        setrlimit(RLIMIT_AS, &none); // nothing more can be mapped
        std::atomic<int> ran = 0;
        auto a = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        auto b = eddy::spawn(marks, std::ref(pool), std::ref(ran));
        co_await eddy::yield();
        CHECK(pool.statistics().threads == 1);
        CHECK(pool.statistics().queued == 2);
        g.open();
        co_await first;
        co_await a;
        co_await b;
        CHECK(ran == 2);
    });
}

TEST_CASE("TH-8 where the system makes some threads, those do the work") {
    const auto end = eddy_test::in_new_process("a pool gets one thread and no other");
    CHECK(end.code == 0);
}
#endif

TEST_CASE("a pool is asked for what can't be, and says so") {
    CHECK_THROWS_WITH_AS(thread_pool(0), "eddy: a thread_pool of 0 threads; it needs one", std::logic_error);
    CHECK_THROWS_AS(thread_pool(-3), std::logic_error);
    CHECK_THROWS_AS(thread_pool_options().queue_capacity(-1), std::logic_error);
    CHECK_THROWS_AS(thread_pool_options().stack_size(1), std::logic_error);
    thread_pool from(1);
    thread_pool to(std::move(from));
    CHECK_THROWS_AS(static_cast<void>(from.run([] {})), std::logic_error);
    CHECK_THROWS_AS(static_cast<void>(from.close()), std::logic_error);
    CHECK(from.statistics().threads == 0);
    from = std::move(to);
    run_real([&]() -> task<void> {
        auto call = from.run([] { return 1; });
        const int one = co_await call;
        CHECK(one == 1);
        bool thrown = false;
        try {
            co_await call;
        } catch (const std::logic_error&) {
            thrown = true;
        }
        CHECK(thrown);
    });
}

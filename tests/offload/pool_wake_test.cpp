// Which threads of a pool are woken: one at a time, each by the one before it, and yet all that are needed.
#include <eddy/offload/thread_pool.hpp>

#include "offload/gate.hpp"

#include <memory>

using eddy::task;
using eddy::thread_pool;
using eddy_test::gate;

namespace {

task<void> at_gate(thread_pool& pool, gate& g) {
    auto call = pool.run([&g] { g.wait(); });
    co_await call;
}

} // namespace

TEST_CASE("calls that come at once, while all threads sleep, get a thread each") {
    eddy_test::run_real([]() -> task<void> {
        thread_pool pool(4);
        // Each needs all four threads; in between they go to sleep, or are on the way there.
        for (int round = 0; round < 50; ++round) {
            auto g = std::make_unique<gate>();
            std::vector<eddy::task_handle<void>> calls;
            for (int i = 0; i < 4; ++i)
                calls.push_back(eddy::spawn(at_gate, std::ref(pool), std::ref(*g)));
            co_await until_arrived(*g, 4);
            g->open();
            for (auto& c : calls)
                co_await c;
            CHECK(pool.statistics().threads == 4);
            if (round % 2 == 0) co_await eddy::sleep(std::chrono::milliseconds(1));
        }
        co_await pool.close();
    });
}

TEST_CASE("threads that end in the middle of it leave no call asleep") {
    eddy_test::run_real([]() -> task<void> {
        thread_pool pool(3, eddy::thread_pool_options().idle_timeout(std::chrono::microseconds(100)));
        for (int round = 0; round < 100; ++round) {
            auto g = std::make_unique<gate>();
            std::vector<eddy::task_handle<void>> calls;
            for (int i = 0; i < 3; ++i)
                calls.push_back(eddy::spawn(at_gate, std::ref(pool), std::ref(*g)));
            co_await until_arrived(*g, 3);
            g->open();
            for (auto& c : calls)
                co_await c;
        }
        co_await pool.close();
    });
}

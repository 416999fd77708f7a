// Task-local values in functions on other threads.
#include <eddy/core/remote.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/task_local.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/offload/offload.hpp>

#include "offload/gate.hpp"
#include "support/run.hpp"

#include <atomic>
#include <memory>

using namespace eddy;
using eddy_test::gate;
using eddy_test::run_real;
using eddy_test::until_arrived;

namespace {
task_local<int> number{-1};
} // namespace

TEST_CASE("TH-3 an offloaded function has the values of the task that awaits it, and leaves none on its thread") {
    run_real([]() -> task<> {
        number.set(1);
        for (int i = 0; i < 64; ++i) { // every thread of the pool, some of them often
            number.set(i);
            const int seen = co_await offload([] {
                const int had = number.get();
                number.set(1000);
                return number.get() == 1000 ? had : -2;
            });
            CHECK(seen == i);
            CHECK(number.get() == i);
        }
        // One that has no values finds none of those before it.
        const auto bare = []() -> task<int> { co_return co_await offload([] { return number.get(); }); };
        const auto outside = [](std::atomic<int>* seen) { seen->store(number.get()); };
        std::atomic<int> on_new_thread{0};
        std::thread(outside, &on_new_thread).join();
        CHECK(on_new_thread == -1);
        const int inherited = co_await bare();
        CHECK(inherited == 63);
    });
    run_real([]() -> task<> {
        const int none = co_await offload([] { return number.get(); });
        CHECK(none == -1);
    });
}

TEST_CASE("TH-3 the same on a thread of eddy's own, also when nobody waits any more") {
    std::atomic<int> late{0};
    gate go;
    std::promise<void> ended;
    run_real([&]() -> task<> {
        number.set(5);
        auto call = offload_abandon([] {
            const int had = number.get();
            number.set(1000);
            return had;
        });
        const int seen = co_await call;
        CHECK(seen == 5);
        number.set(6);
        const auto give_up = [&]() -> task<> {
            auto abandoned = offload_abandon([&] {
                go.wait();
                late = number.get();
                ended.set_value();
            });
            co_await abandoned;
        };
        auto h = spawn(give_up);
        co_await until_arrived(go, 1);
        h.cancel();
        co_await eddy_test::joined(h);
    });
    // The loop has gone; the value has not.
    go.open();
    ended.get_future().wait();
    CHECK(late == 6);
}

TEST_CASE("TH-3 on a loop with simulated time too; the function is no part of the task that ran before it") {
    eddy_test::run([]() -> task<> {
        number.set(2);
        const auto in_no_task = [] {
            try {
                return this_task::id() == 0;
            } catch (const no_running_loop&) {
                return true;
            }
        };
        const auto f = [in_no_task] {
            const int had = number.get();
            number.set(9);
            return in_no_task() ? had : -2;
        };
        const int a = co_await offload(f);
        CHECK(a == 2);
        const int b = co_await offload_abandon(f);
        CHECK(b == 2);
        CHECK(number.get() == 2);
    });
}

TEST_CASE("a function that spawns by a loop_ref hands its values on") {
    run_real([]() -> task<> {
        number.set(3);
        const auto look = []() -> task<int> { co_return number.get(); };
        const auto f = [look](const loop_ref& l) {
            number.set(4);
            return l.spawn(look).get();
        };
        const int seen = co_await offload(f, loop::current().ref());
        CHECK(seen == 4);
        CHECK(number.get() == 3);
    });
}

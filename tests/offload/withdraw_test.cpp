// A call whose operation is destroyed while it waits, as the C face does it: taken back, or waited for on the spot.
#include <eddy/offload/thread_pool.hpp>

#include <eddy/core/this_task.hpp>
#include <eddy/offload/from_thread.hpp>
#include <eddy/offload/offload.hpp>

#include "offload/gate.hpp"
#include "support/check.hpp"
#include "support/foreign.hpp"

#include <atomic>

using eddy::loop;
using eddy::task;
using eddy::thread_pool;
using eddy_test::foreign;
using eddy_test::gate;
using eddy_test::run_real;

namespace {

template <class Op>
auto wait_in(Op op) {
    return std::make_unique<foreign<Op>>(loop::current(), std::move(op));
}

// The ways to send a function away; each holds all of its threads until the gate opens.
struct by_offload {
    template <class F>
    auto operator()(F f) {
        return eddy::offload(std::move(f));
    }
    static constexpr int threads = 4;
};
struct by_pool {
    std::shared_ptr<thread_pool> pool = std::make_shared<thread_pool>(2);
    template <class F>
    auto operator()(F f) {
        return pool->run(std::move(f));
    }
    static constexpr int threads = 2;
};
struct by_map {
    std::shared_ptr<thread_pool> pool = std::make_shared<thread_pool>(2);
    template <class F>
    auto operator()(F f) {
        auto g = [mine = std::move(f)](std::stop_token s, int) mutable {
            if constexpr (std::is_invocable_v<F&, std::stop_token>)
                mine(std::move(s));
            else
                mine();
        };
        return eddy::map(*pool, std::vector<int>{1}, std::move(g));
    }
    static constexpr int threads = 2;
};

// Not yet sent, and behind others that hold the threads.
template <class Way>
task<void> dropped_unrun() {
    Way way;
    gate g;
    std::atomic<int> ran{0};
    std::atomic<int> destroyed{0};
    const auto mark = [&ran](auto...) { ++ran; };
    // libuv's pool is sent its calls at the end of the tick; a pool of our own has a free thread, which may be quicker.
    if constexpr (std::is_same_v<Way, by_offload>) wait_in(way(mark));
    // A pointer: GCC asks of a reference_wrapper whether it can be called, and way(gate) is an error.
    const auto hold = [](Way* w, gate& mine) -> task<void> {
        auto call = (*w)([&mine](auto...) { mine.wait(); });
        co_await call;
    };
    std::vector<eddy::task_handle<void>> holders;
    for (int i = 0; i < Way::threads; ++i)
        holders.push_back(eddy::spawn(hold, &way, std::ref(g)));
    co_await until_arrived(g, Way::threads);
    auto queued = wait_in(way([&ran, d = eddy_test::at_end([&destroyed] { ++destroyed; })](auto...) { ++ran; }));
    co_await eddy::sleep(std::chrono::milliseconds(2));
    CHECK(destroyed == 0);
    queued.reset();
    CHECK(destroyed == 1);
    g.open();
    for (auto& h : holders)
        co_await h;
    CHECK(ran == 0);
    auto after = way(mark);
    co_await after;
    CHECK(ran == 1);
}

// Asked to stop, and waited for: what it refers to may go right afterwards.
template <class Way>
task<void> dropped_running() {
    Way way;
    for (int again = 0; again < 3; ++again) {
        gate g;
        auto returned = std::make_unique<std::atomic<bool>>(false);
        auto runs = wait_in(way([&g, &flag = *returned](const std::stop_token& s) {
            const std::stop_callback asked(s, [&g] { g.open(); });
            g.wait();
            for (int i = 0; i < 20; ++i)
                std::this_thread::yield(); // who does not wait sees it unset
            flag = true;
        }));
        co_await until_arrived(g, 1);
        runs.reset();
        CHECK(*returned);
        returned.reset();
    }
    std::atomic<int> ran{0};
    auto after = way([&ran](auto...) { ++ran; });
    co_await after;
    CHECK(ran == 1);
}

// The thread is in a call into the loop that the drop blocks: it is let go, and its task ends later, below the root.
template <class Way>
task<void> dropped_while_it_calls() {
    Way way;
    bool began = false;
    bool ended = false;
    std::atomic<bool> refused{false};
    auto runs = wait_in(way([&](auto...) {
        try {
            eddy::from_thread::run([&]() -> task<void> {
                const eddy_test::at_end d([&ended] { ended = true; });
                began = true;
                co_await eddy_test::for_ever();
            });
        } catch (const eddy::closed&) {
            refused = true;
        }
    }));
    while (!began)
        co_await eddy::sleep(std::chrono::milliseconds(1));
    runs.reset();
    CHECK(refused);
    CHECK_FALSE(ended); // nothing is resumed inline
    while (!ended)
        co_await eddy::sleep(std::chrono::milliseconds(1));
}

} // namespace

TEST_CASE_TEMPLATE("a queued call that is dropped never runs", Way, by_offload, by_pool, by_map) {
    run_real(&dropped_unrun<Way>);
}

TEST_CASE_TEMPLATE("a running call that is dropped is asked to stop and waited for", Way, by_offload, by_pool, by_map) {
    run_real(&dropped_running<Way>);
}

TEST_CASE_TEMPLATE("a call that is dropped inside from_thread::run leaves its task to the loop, cancelled", Way,
                   by_offload, by_pool, by_map) {
    run_real(&dropped_while_it_calls<Way>);
}

TEST_CASE("a call that is dropped in simulated time never runs") {
    eddy_test::run([]() -> task<void> {
        thread_pool pool(1);
        int ran = 0;
        wait_in(eddy::offload([&ran] { ++ran; }));
        wait_in(pool.run([&ran] { ++ran; }));
        wait_in(eddy::map(pool, std::vector<int>{1, 2}, [&ran](int) { ++ran; }));
        auto refused = wait_in(pool.try_run([&ran] { ++ran; }));
        refused.reset();
        co_await eddy::yield();
        CHECK(ran == 0);
        CHECK(pool.statistics().queued == 0);
        co_await pool.close();
    });
}

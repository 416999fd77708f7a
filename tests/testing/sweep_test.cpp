#include <eddy/testing/sweep.hpp>

#include <eddy/core/loop.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/task_local.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/testing/virtual_loop.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>
#include <optional>

using namespace eddy;
using namespace eddy_test;
using testing::cancel_sweep;
using testing::fail_sweep;
using testing::sweep_failure;
using testing::sweep_options;

namespace {

task<> three_awaits() {
    co_await yield();
    co_await sleep(1ms);
    co_await checkpoint();
}

// The sweep fails; its text.
template <class F>
std::string failure_of(F f) {
    try {
        f();
    } catch (const sweep_failure& e) {
        CHECK(e.run() >= 1);
        return e.what();
    }
    return "no failure";
}

int left_over = 0;

// Takes an item, and loses it when it is cancelled in between.
task<> careless() {
    queue<int> q;
    static_cast<void>(q.try_put(1));
    left_over = 1;
    const int v = co_await q.get();
    left_over = 0;
    co_await sleep(1ms);
    left_over = v;
}

void nothing_lost() {
    if (std::exchange(left_over, 1) != 1) throw std::runtime_error("the item is lost");
}

task_local<int> local{1};

} // namespace

TEST_CASE("cancel_sweep runs once undisturbed, and once for each await") {
    std::string ends;
    const auto f = [&ends]() -> task<> {
        const at_end told([&ends] { ends += "."; });
        try {
            co_await three_awaits();
            ends += "v";
        } catch (const cancelled&) {
            ends += "c";
            throw;
        }
    };
    const auto r = cancel_sweep(f);
    CHECK(r.runs == 4);
    CHECK(r.awaits == 3);
    CHECK(ends == "v.c.c.c.");
    CHECK(r.sites == std::vector<std::string>{"checkpoint", "sleep", "yield"});
}

TEST_CASE("what is cancelled is the task that awaits, also one that f has started") {
    int parents = 0;
    int children = 0;
    const auto f = [&]() -> task<> {
        const auto child = [](int* n) -> task<> {
            co_await yield();
            ++*n;
        };
        auto h = spawn(child, &children);
        co_await yield();
        co_await yield();
        co_await checkpoint();
        ++parents;
    };
    const auto r = cancel_sweep(f);
    CHECK(r.runs == 5);
    CHECK(parents == 2);  // undisturbed, and where the child is cancelled
    CHECK(children == 4); // not where it is cancelled itself
}

TEST_CASE("pairs, timeouts, steps and orders are more runs") {
    const auto f = []() -> task<> {
        const auto child = []() -> task<> { co_await yield(); };
        auto h = spawn(child);
        auto limited = timeout(1s, sleep(1ms));
        co_await limited;
        co_await h;
    };
    const auto plain = cancel_sweep(f);
    const auto with_pairs = cancel_sweep(f, sweep_options().pairs(true));
    CHECK(with_pairs.runs > plain.runs);
    const auto with_timeouts = cancel_sweep(f, sweep_options().timeouts(true));
    CHECK(with_timeouts.runs == plain.runs + plain.awaits);
    const auto with_steps = cancel_sweep(f, sweep_options().steps(true));
    CHECK(with_steps.runs >= plain.runs + plain.steps);
    const auto two = []() -> task<> {
        const auto child = []() -> task<> { co_await yield(); };
        auto a = spawn(child);
        auto b = spawn(child);
        co_await a;
        co_await b;
    };
    const auto with_orders = cancel_sweep(two, sweep_options().orders(true));
    CHECK(with_orders.runs >= cancel_sweep(two).runs + 2);
}

TEST_CASE("the end of the time of the innermost scope, at each await") {
    std::string ends;
    const auto f = [&ends]() -> task<> {
        auto limited = move_on_after(1h, three_awaits());
        const bool whole = co_await limited;
        ends += whole ? "w" : "t";
    };
    const auto r = cancel_sweep(f, sweep_options().timeouts(true));
    CHECK(r.runs == 1 + 3 + 3);
    CHECK(ends == "wttt");
}

TEST_CASE("a cancellation between the grant and its delivery is among the steps") {
    int late = 0;
    const auto f = [&late]() -> task<> {
        event e;
        const auto waits = [](event& mine, int* n) -> task<> {
            co_await mine.wait();
            try {
                co_await checkpoint(); // granted first, cancelled after: told here
            } catch (const cancelled&) {
                ++*n;
                throw;
            }
        };
        auto h = spawn(waits, std::ref(e), &late);
        co_await yield();
        e.set();
        co_await yield();
        co_await yield();
    };
    cancel_sweep(f);
    CHECK(late == 1); // at the await itself
    late = 0;
    cancel_sweep(f, sweep_options().steps(true));
    CHECK(late > 1);
}

TEST_CASE("the text of a failure says which run, what was done, where, and what was wrong; that run can be had alone") {
    const auto text = failure_of([] { cancel_sweep(careless, sweep_options().after(nothing_lost)); });
    CAPTURE(text);
    CHECK(contains(text, "run 3 of a sweep"));
    CHECK(contains(text, "cancelled at await 2, sleep of 'task-1' at sweep_test.cpp:"));
    CHECK(contains(text, "the item is lost"));
    int runs = 0;
    const auto counting = [&runs]() -> task<> {
        ++runs;
        co_await careless();
    };
    const auto alone = failure_of([&] { cancel_sweep(counting, sweep_options().after(nothing_lost).only(3)); });
    CHECK(alone == text);
    CHECK(runs == 2);
}

TEST_CASE("what is left is found: memory of a handle that is kept") {
    std::optional<task_handle<void>> kept;
    const auto f = [&kept]() -> task<> {
        kept.reset();
        auto h = spawn(three_awaits);
        try {
            co_await h;
        } catch (const cancelled&) {
            kept = h;
            throw;
        }
    };
    const auto text = failure_of([&] { cancel_sweep(f); });
    CAPTURE(text);
    CHECK(contains(text, "cancelled at await 1"));
    CHECK(contains(text, "frames or task records"));
    kept.reset();
}

TEST_CASE("a run that comes to no end, and one that waits for ever") {
    const auto swallows = []() -> task<> {
        for (bool done = false; !done;) {
            try {
                co_await sleep(1ms);
                done = true;
            } catch (const cancelled&) {
            }
        }
    };
    const auto endless = failure_of([&] { cancel_sweep(swallows); });
    CHECK(contains(endless, "cancelled at await 1"));
    CHECK(contains(endless, "it comes to no end"));

    const auto forgets = []() -> task<> {
        const auto e = std::make_shared<event>(); // cancelled, this frame goes before the task that sets it
        const auto sets = [](std::shared_ptr<event> mine) -> task<> {
            co_await yield();
            mine->set();
        };
        auto h = spawn(sets, e);
        co_await e->wait();
        co_await h;
    };
    const auto lost = failure_of([&] { cancel_sweep(forgets); });
    CHECK(contains(lost, "it waits for something that can never happen"));
    CHECK(contains(lost, "event.wait"));
    CHECK(cancel_sweep(forgets, sweep_options().deadlocks(true)).runs > 3);

    event never;
    const auto stays = [&never]() -> task<> {
        const auto shielded = [](event& e) -> task<> { co_await shield(e.wait()); };
        auto h = spawn(shielded, std::ref(never));
        co_await yield();
    };
    const auto leftover = failure_of([&] { cancel_sweep(stays); });
    CHECK(contains(leftover, "run 1 of a sweep (the first, undisturbed)"));
    CHECK(contains(leftover, "a task does not end when it is cancelled"));
}

TEST_CASE("an exception that is not eddy's is a failure, unless accepted; so is one that nobody receives") {
    const auto f = []() -> task<> {
        bool bad = false;
        try {
            co_await yield();
        } catch (const cancelled&) {
            bad = true;
        }
        if (bad) throw std::runtime_error("wrong clean-up");
    };
    CHECK(contains(failure_of([&] { cancel_sweep(f); }), "it threw: wrong clean-up"));
    const auto ours = [](const std::exception_ptr& e) { return holds<std::runtime_error>(e); };
    CHECK(cancel_sweep(f, sweep_options().accept(ours)).runs == 2);

    const auto background = [f]() -> task<> {
        auto h = spawn(f);
        co_await yield();
        co_await yield();
    };
    CHECK(contains(failure_of([&] { cancel_sweep(background); }), "a background task threw: wrong clean-up"));

    const auto broken = []() -> task<> {
        co_await yield();
        throw timeout_error("x");
    };
    CHECK(contains(failure_of([&] { cancel_sweep(broken); }), "run 1 of a sweep (the first, undisturbed)"));
}

TEST_CASE("fail_sweep fails each allocation once: frames, tasks, timers, and those of operator new") {
    int good = 0;
    int bad = 0;
    const auto f = [&]() -> task<> {
        try {
            auto h = spawn(three_awaits);
            co_await h;
            const auto p = std::make_unique<int>(1);
            ++good;
        } catch (const std::bad_alloc&) {
            ++bad;
            throw;
        }
    };
    const auto r = fail_sweep(f);
    CHECK(r.allocations >= 4);
    CHECK(r.runs == r.allocations + 1);
    CHECK(good == 1);
    CHECK(bad >= 3);
    // What only a failing allocation leaves behind is found too.
    std::optional<task_handle<void>> kept;
    const auto keeps = [&kept]() -> task<> {
        kept.reset();
        auto h = spawn(three_awaits);
        try {
            const auto p = std::make_unique<int>(1);
            co_await h;
        } catch (const std::bad_alloc&) {
            kept = h;
        }
    };
    const auto text = failure_of([&] { fail_sweep(keeps); });
    CAPTURE(text);
    CHECK(contains(text, "allocation "));
    CHECK(contains(text, " failed"));
    kept.reset();
    CHECK_FALSE(testing::allocation_fails());
}

TEST_CASE("misuse: no function; inside a running loop") {
    CHECK_THROWS_AS(cancel_sweep(nullptr), std::logic_error);
    eddy_test::run([]() -> task<> {
        CHECK_THROWS_AS(cancel_sweep(three_awaits), std::logic_error);
        co_return;
    });
}

TEST_CASE("sweeps go with a seed: the same order in each run") {
    std::string order;
    const auto f = [&order]() -> task<> {
        order += "|";
        const auto child = [](std::string* o, char c) -> task<> {
            co_await yield();
            *o += c;
        };
        for (char c = 'a'; c < 'h'; ++c)
            spawn(child, &order, c);
        co_await sleep(1ms);
    };
    testing::seed(3);
    cancel_sweep(f, sweep_options().only(9)); // where f itself is cancelled, if anywhere
    testing::seed(0);
    const std::string seeded = std::exchange(order, "");
    cancel_sweep(f, sweep_options().only(9));
    CHECK(seeded.substr(0, 8) != order.substr(0, 8));
}

TEST_CASE("task-local values out of memory: setting throws and changes nothing, putting back needs none") {
    const auto f = []() -> task<> {
        local.set(1);
        try {
            const auto s = local.scoped(2);
            const auto child = []() -> task<int> { co_return local.get(); };
            auto h = spawn(child);
            const int seen = co_await h;
            if (seen != 2) throw std::runtime_error("not inherited");
            local.set(3);
        } catch (const std::bad_alloc&) {
        }
        if (local.get() != 1) throw std::runtime_error("not put back");
    };
    CHECK(fail_sweep(f).allocations >= 8);
    cancel_sweep(f);
}

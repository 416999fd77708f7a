// WA of docs/semantics.md.
#include <eddy/flow/wait.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>

#include <flow/children.hpp>
#include <flow/sweep.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <array>
#include <sstream>

using namespace eddy;
using namespace eddy_test;

namespace {

template <class R> concept can_be_waited_for = requires(R r) { eddy::wait(r); };

task<int> fail(int ms) {
    co_await sleep(1ms * ms);
    throw std::runtime_error("failed");
}
// "done|pending" as the values and, for those that run, names.
template <class Handle>
std::string split(const wait_result<Handle>& r) {
    std::string s;
    for (const auto& h : r.done)
        s += h.name() + " ";
    s += "|";
    for (const auto& h : r.pending)
        s += " " + h.name();
    return s;
}
task<> cancel_all(std::vector<any_task_handle> all) {
    for (auto& h : all)
        h.cancel();
    for (auto& h : all) {
        auto o = co_await settle(h);
    }
}

} // namespace

TEST_CASE("WA-1 all: returns when every task has ended, with nothing pending; at once when they have already") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({3, 1, 2});
        const auto began = clock::now();
        auto r = co_await wait(all);
        CHECK(clock::now() - began == 3ms);
        CHECK(r.done == all);
        CHECK(r.pending.empty());
        static_assert(std::is_same_v<decltype(r), wait_result<task_handle<int>>>);
        auto again = co_await wait(r.done, wait_for::all);
        CHECK(clock::now() - began == 3ms);
        CHECK(again.done.size() == 3);
        CHECK(again.done[0].outcome().value() == 3);
        // A checkpoint all the same.
        const auto cancelled_first = [&]() -> task<> {
            this_task::handle().cancel();
            co_await wait(all);
        };
        auto h = spawn(cancelled_first);
        auto o = co_await settle(h);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("WA-2 first_completed: who has ended when it returns is in `done`, whether told of or not") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({1, 5, 1});
        auto r = co_await wait(all, wait_for::first_completed);
        REQUIRE(r.done.size() == 2); // the second ended in the tick of the first
        CHECK(r.done[0] == all[0]);
        CHECK(r.done[1] == all[2]);
        REQUIRE(r.pending.size() == 1);
        CHECK(r.pending[0] == all[1]);
        auto at_once = co_await wait(all, wait_for::first_completed);
        CHECK(at_once.done.size() == 2);
        auto rest = co_await wait(r.pending);
        CHECK(rest.done.size() == 1);
    });
}

TEST_CASE("WA-3 first_exception: a failure ends it, a cancelled task does not") {
    eddy_test::run([]() -> task<> {
        const told t;
        std::vector<any_task_handle> all;
        all.push_back(spawn(spawn_options().name("cancelled"), give(1, 50)));
        all.push_back(spawn(spawn_options().name("good"), give(1, 1)));
        all.push_back(spawn(spawn_options().name("bad"), fail(7)));
        all.push_back(spawn(spawn_options().name("slow"), give(1, 9)));
        all[0].cancel();
        const auto began = clock::now();
        auto r = co_await wait(all, wait_for::first_exception);
        CHECK(clock::now() - began == 7ms);
        CHECK(split(r) == "cancelled good bad | slow");
        // Already failed: at once.
        auto again = co_await wait(all, wait_for::first_exception);
        CHECK(clock::now() - began == 7ms);
        // No failure: as `all`.
        auto fine = spawn_giving({1, 2});
        auto q = co_await wait(fine, wait_for::first_exception);
        CHECK(q.done.size() == 2);
        co_await all[3];
    });
}

TEST_CASE("WA-4 a limit that runs out is no error and cancels nobody: it gives who has ended and who has not") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({1, 5, 9});
        const auto began = clock::now();
        auto r = co_await wait(all, wait_for::all, 5ms);
        CHECK(clock::now() - began == 5ms);
        REQUIRE(r.done.size() == 2); // what ends at the very limit has ended in time
        REQUIRE(r.pending.size() == 1);
        auto zero = co_await wait(all, wait_for::all, 0ms);
        CHECK(zero.done.size() == 2);
        auto negative = co_await wait(all, wait_for::all, -1s);
        CHECK(negative.pending.size() == 1);
        auto endless = co_await wait(all, wait_for::first_completed, duration::max());
        CHECK(endless.done.size() == 2);
        auto unlimited = co_await wait(all, wait_for::all, std::nullopt);
        CHECK(clock::now() - began == 9ms);
        CHECK(all[2].outcome().value() == 9);
        // In time: the timer goes.
        auto quick = spawn_giving({1});
        auto in_time = co_await wait(quick, wait_for::all, 1h);
        CHECK(in_time.pending.empty());
        CHECK(loop::current().statistics().timers == 0);
    });
}

TEST_CASE("WA-4 zero gives the others one turn") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({0});
        const auto quick = []() -> task<> { co_return; };
        std::vector<any_task_handle> one{spawn(quick)};
        auto r = co_await wait(one, wait_for::all, 0s);
        CHECK(r.done.size() == 1);
        co_await all[0];
    });
}

TEST_CASE("WA-5 exceptions stay in the members: wait() throws none and counts as nobody who received them") {
    eddy_test::run([]() -> task<> {
        told t;
        {
            std::vector<task_handle<int>> all{spawn(fail(1)), spawn(fail(2))};
            auto r = co_await wait(all);
            CHECK(r.done.size() == 2);
            auto o = co_await settle(r.done[0]);
            CHECK(text_of(o.error()) == "failed");
            CHECK(t.lines.empty());
        }
        CHECK(t.lines.size() == 1); // the one that nobody looked at
    });
}

TEST_CASE("WA-6 duplicates count once; no handles, an empty handle, itself and a foreign loop are refused") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({2, 1});
        std::vector<task_handle<int>> twice{all[0], all[1], all[0], all[1]};
        auto r = co_await wait(twice);
        CHECK(r.done == all);
        CHECK_THROWS_AS(static_cast<void>(wait(std::vector<task_handle<int>>())), std::logic_error);
        std::vector<any_task_handle> with_empty{all[0], any_task_handle()};
        CHECK_THROWS_WITH_AS(static_cast<void>(wait(with_empty)),
                             "eddy: wait was given an empty task_handle (number 1)", std::logic_error);
        std::vector<any_task_handle> mine{this_task::handle()};
        auto settled = settle(wait(mine));
        auto o = co_await settled;
        CHECK(contains(text_of(o.error()), "waits for itself"));
        testing::virtual_loop other;
        std::vector<any_task_handle> foreign{other.spawn(give(1, 1))};
        auto refused = settle(wait(foreign));
        auto p = co_await refused;
        CHECK(contains(text_of(p.error()), "another loop"));
        other.advance(1s);
        foreign.clear();
        static_assert(can_be_waited_for<std::vector<task_handle<int>>>);
        static_assert(!can_be_waited_for<task_handle<int>>);
        static_assert(!can_be_waited_for<std::vector<int>>);
    });
}

TEST_CASE("WA-7 cancelling who waits leaves the tasks running, and no listener on them") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({5, 6});
        const auto waits = [&]() -> task<> { co_await wait(all); };
        auto h = spawn(waits);
        auto limited = co_await move_on_after(1ms, wait(all));
        CHECK(!limited.has_value());
        CHECK(all[0].detail_record()->joiners() != nullptr); // h's
        h.cancel();
        auto o = co_await settle(h);
        CHECK(h.was_cancelled());
        CHECK(all[0].detail_record()->joiners() == nullptr);
        CHECK(all[1].detail_record()->joiners() == nullptr);
        auto r = co_await wait(all);
        CHECK(r.done.size() == 2);
        CHECK(all[0].outcome().value() == 5);
    });
}

TEST_CASE("WA-7 cancelled and satisfied in one tick: whichever was first, and once") {
    eddy_test::run([]() -> task<> {
        for (const bool cancel_first : {true, false}) {
            CAPTURE(cancel_first);
            any_task_handle waiter;
            std::vector<any_task_handle> all;
            bool returned = false;
            const auto ends = [&]() -> task<> {
                co_await sleep(1ms);
                if (cancel_first) waiter.cancel();
            };
            const auto cancels = [&]() -> task<> {
                co_await sleep(1ms);
                waiter.cancel();
            };
            const auto waits = [&]() -> task<> {
                auto r = co_await wait(all);
                returned = r.pending.empty();
                co_await checkpoint();
            };
            all.push_back(spawn(ends));
            auto second = spawn(cancels);
            waiter = spawn(waits);
            auto o = co_await settle(waiter);
            CHECK(waiter.was_cancelled());
            CHECK(returned == !cancel_first);
            co_await second;
        }
    });
}

TEST_CASE("WA-8 10^4 waits against a task that never ends leave nothing behind") {
    eddy_test::run([]() -> task<> {
        any_task_handle immortal = spawn([]() -> task<> { co_await sleep_forever(); });
        co_await yield();
        const auto before = loop::current().statistics();
        for (int i = 0; i < 10'000; ++i) {
            std::vector<any_task_handle> both{immortal, spawn([]() -> task<> { co_return; })};
            auto r = co_await wait(both, wait_for::first_completed, 1h);
            CHECK(r.done.size() == 1);
        }
        const auto after = loop::current().statistics();
        CHECK(after.waiters == before.waiters);
        CHECK(after.timers == before.timers);
        CHECK(after.bytes == before.bytes);
        CHECK(immortal.detail_record()->joiners() == nullptr);
        immortal.cancel();
        auto o = co_await settle(immortal);
    });
}

TEST_CASE("several wait for the same tasks; any range of handles; a dump says how many are alive") {
    eddy_test::run([]() -> task<> {
        auto all = spawn_giving({1, 2, 3});
        int first = 0;
        const auto waits_first = [&]() -> task<> {
            auto r = co_await wait(all, wait_for::first_completed);
            first = static_cast<int>(r.done.size());
        };
        const auto waits_all = [&]() -> task<> { co_await wait(all); };
        auto a = spawn(waits_first);
        auto b = spawn(waits_all);
        co_await yield();
        std::ostringstream out;
        loop::current().dump_tasks(out);
        CHECK(contains(out.str(), "wait for all of tasks, 3 alive"));
        CHECK(contains(out.str(), "wait for the first of tasks, 3 alive"));
        std::array<task_handle<int>, 2> two{all[0], all[1]};
        auto r = co_await wait(two);
        CHECK(first == 1);
        CHECK(!b.done());
        co_await b;
        co_await a;
        auto op = wait(two);
        auto moved = std::move(op);
        auto q = co_await moved;
        CHECK(q.done.size() == 2);
        CHECK_THROWS_AS((void)[&] { auto again = std::move(moved); }(), std::logic_error);
    });
}

TEST_CASE("wait disturbed at every await, tick and allocation") {
    const auto program = []() -> task<> {
        std::vector<any_task_handle> all;
        const at_end ends([&] {
            for (auto& h : all)
                h.cancel();
        });
        const auto work = [](counted c, int ms) -> task<int> {
            co_await sleep(1ms * ms);
            co_return c.value;
        };
        for (int i = 0; i < 3; ++i)
            all.push_back(spawn(work, counted(i), i));
        auto first = wait(all, wait_for::first_completed);
        auto r = co_await first;
        auto limited = wait(all, wait_for::first_exception, 1ms);
        auto q = co_await limited;
        auto rest = timeout(1s, wait(all));
        auto z = co_await rest;
        CHECK(z.pending.empty());
        co_await cancel_all(all);
    };
    sweep(program, 8);
}

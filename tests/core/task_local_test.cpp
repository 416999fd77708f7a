#include <eddy/core/task_local.hpp>

#include <eddy/core/remote.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/core/stop_token.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/offload/offload.hpp>
#include <eddy/sync/event.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>
#include <string>

using namespace eddy;
using namespace eddy_test;

namespace {

task_local<int> number{-1};
task_local<std::string> word;

// What `number` was when it was destroyed.
struct looks_back {
    int* seen;
    explicit looks_back(int* s) noexcept : seen(s) {}
    looks_back(looks_back&& o) noexcept : seen(std::exchange(o.seen, nullptr)) {}
    ~looks_back() {
        if (seen != nullptr) *seen = number.get();
    }
};

} // namespace

TEST_CASE("CX-1 a child has what its parent had when it was spawned; later changes are seen neither way") {
    eddy_test::run([]() -> task<> {
        number.set(1);
        event child_set;
        event parent_set;
        const auto child = [](event& mine, event& theirs) -> task<> {
            CHECK(number.get() == 1); // not 2: that came after the spawn, though before the first step
            number.set(10);
            mine.set();
            co_await theirs.wait();
            CHECK(number.get() == 10);
            const auto grandchild = []() -> task<int> { co_return number.get(); };
            auto h = spawn(grandchild);
            const int seen = co_await h;
            CHECK(seen == 10);
        };
        auto h = spawn(child, std::ref(child_set), std::ref(parent_set));
        number.set(2);
        co_await child_set.wait();
        CHECK(number.get() == 2);
        number.set(3);
        parent_set.set();
        co_await h;
        CHECK(number.get() == 3);
    });
}

TEST_CASE("CX-1 whatever spawns, spawns with the values of the running task") {
    eddy_test::run([]() -> task<> {
        const auto look = []() -> task<int> { co_return number.get(); };
        number.set(7);
        auto [a, b] = co_await gather(look(), look);
        CHECK(a == 7);
        CHECK(b == 7);
        auto first = co_await race(look(), look());
        CHECK(std::get<0>(first.value) == 7);
        int in_group = 0;
        auto group = with_task_group([&](task_group& g) -> task<> {
            number.set(8); // an awaited task is the same task
            auto h = g.spawn(look);
            in_group = co_await h;
        });
        co_await group;
        CHECK(in_group == 8);
        CHECK(number.get() == 8);
        const int limited = co_await timeout(1s, look());
        CHECK(limited == 8);
        auto named = spawn(spawn_options().name("x"), look());
        const int of_named = co_await named;
        CHECK(of_named == 8);
    });
}

TEST_CASE("CX-1 callbacks see what was there when they were handed over, and keep what they set to themselves") {
    eddy_test::run([]() -> task<> {
        std::string seen;
        const auto look = [&seen] {
            seen += std::to_string(number.get());
            number.set(100);
            CHECK(number.get() == 100);
        };
        loop& l = loop::current();
        number.set(1);
        l.call_soon(look);
        number.set(2);
        l.call_later(1ms, look);
        number.set(3);
        l.call_at(clock::now() + 2ms, look);
        number.set(4);
        l.post(look);
        number.set(5);
        co_await sleep(5ms);
        CHECK(number.get() == 5);
        CHECK(seen == "4123"); // posted ones first
    });
}

TEST_CASE("CX-1 a task spawned by way of a loop_ref has the values of who spawned it") {
    eddy_test::run([]() -> task<> {
        number.set(6);
        const auto look = []() -> task<int> { co_return number.get(); };
        auto remote = loop::current().ref().spawn(look);
        number.set(7);
        co_await sleep(1ms);
        CHECK(remote.get() == 6);
    });
}

TEST_CASE("a callback of a task that has ended runs with that task's values; a stop callback with none") {
    eddy_test::run([]() -> task<> {
        int later = 0;
        int stopped = 0;
        const auto one = [&](loop& l) -> task<> {
            number.set(1);
            l.call_later(1ms, [&] { later = number.get(); });
            const std::stop_callback told(this_task::stop_token(), [&] { stopped = number.get(); });
            co_await sleep_forever();
        };
        auto h = spawn(one, std::ref(loop::current()));
        co_await yield();
        h.cancel();
        co_await sleep(2ms);
        CHECK(later == 1);
        CHECK(stopped == -1);
    });
}

TEST_CASE("without a value: the default, also outside of tasks, where none can be set") {
    CHECK(number.get() == -1);
    CHECK(word.get().empty());
    CHECK_THROWS_AS(number.set(1), no_running_loop);
    CHECK_THROWS_AS(static_cast<void>(number.scoped(1)), no_running_loop);
    eddy_test::run([]() -> task<> {
        CHECK(number.get() == -1);
        word.set("x");
        CHECK(number.get() == -1);
        co_return;
    });
    CHECK(word.get().empty());
}

TEST_CASE("scoped: back to the value, or to none, when it goes") {
    eddy_test::run([]() -> task<> {
        {
            const auto outer = number.scoped(1);
            CHECK(number.get() == 1);
            {
                const auto inner = number.scoped(2);
                co_await yield();
                CHECK(number.get() == 2);
            }
            CHECK(number.get() == 1);
        }
        CHECK(number.get() == -1);
        // What other keys got meanwhile stays.
        {
            const auto one = number.scoped(1);
            word.set("set inside");
        }
        CHECK(number.get() == -1);
        CHECK(word.get() == "set inside");
        // The same key set inside: back to before the scope.
        number.set(3);
        {
            const auto four = number.scoped(4);
            number.set(5);
        }
        CHECK(number.get() == 3);
        // Closed in another order.
        const auto open = [](int n) { return std::unique_ptr<local_scope>(new local_scope(number.scoped(n))); };
        auto first = open(6);
        auto second = open(7);
        first.reset();
        CHECK(number.get() == 3); // as contextvars: what the first had found
        second.reset();
        CHECK(number.get() == 6);
    });
}

TEST_CASE("a list does not grow with what is set and put back again and again") {
    eddy_test::run([]() -> task<> {
        task_local<counted> one;
        task_local<counted> two;
        int early = 0;
        for (int i = 0; i < 100; ++i) {
            const auto s = one.scoped(counted(i));
            two.set(counted(i));
            const auto t = two.scoped(counted(-i));
            one.set(counted(i + 1000));
            if (i == 10) early = counted::alive();
            if (i > 10) CHECK(counted::alive() == early);
        }
        co_return;
    });
}

TEST_CASE("TK-14 values can be read in the destructors of a frame, whatever ends it") {
    eddy_test::run([]() -> task<> {
        const auto waits = [](int* seen, int n) -> task<> {
            number.set(n);
            const looks_back guard(seen);
            co_await sleep(1h);
        };
        const auto returns = [](int* seen, int n) -> task<> {
            number.set(n);
            const looks_back guard(seen);
            co_return;
        };
        int a = 0;
        auto done = spawn(returns, &a, 1);
        co_await done;
        CHECK(a == 1);

        int b = 0;
        auto cancelled_one = spawn(waits, &b, 2);
        co_await yield();
        cancelled_one.cancel();
        co_await yield();
        CHECK(b == 2);

        // A parameter of a task that never ran: what it inherited.
        int c = 0;
        number.set(3);
        const auto takes = [](looks_back) -> task<> { co_return; };
        auto never = spawn(takes(looks_back(&c)));
        number.set(4);
        never.cancel();
        co_await yield();
        CHECK(c == 3);
        CHECK(number.get() == 4);
    });
}

TEST_CASE("TK-14 also where the frame is destroyed as it waits: the loser of a race, the leftovers of a loop") {
    eddy_test::run([]() -> task<> {
        // Both are granted in one tick: the loser's frame, with the handle's value in it, is destroyed in its place.
        number.set(5);
        int seen = 0;
        event both;
        const auto holder = [](event& e, int* s) -> task<looks_back> {
            co_await e.wait();
            co_return looks_back(s);
        };
        {
            auto h = spawn(holder, std::ref(both), &seen);
            both.set();
            auto op = race(both.wait(), std::move(h));
            const auto won = co_await op;
            CHECK(won.index == 0);
        }
        co_await yield();
        CHECK(seen == 5);
    });
    int left = 0;
    {
        testing::virtual_loop l;
        l.spawn(
            [](int* s) -> task<> {
                number.set(6);
                const looks_back guard(s);
                co_await sleep_forever();
            },
            &left);
        l.settle();
    }
    CHECK(left == 6);
    // Destroyed where it waits: a task that does not end when it is cancelled.
    int stuck = 0;
    {
        testing::virtual_loop l;
        l.spawn(
            [](int* s) -> task<> {
                number.set(7);
                const looks_back guard(s);
                event never;
                co_await shield(never.wait());
            },
            &stuck);
        l.settle();
    }
    CHECK(stuck == 7);
}

TEST_CASE("values go with the task, not with the handles to it") {
    eddy_test::run([]() -> task<> {
        static task_local<std::shared_ptr<int>> pointer;
        auto p = std::make_shared<int>(1);
        const auto keeps = [](std::shared_ptr<int> mine) -> task<> {
            pointer.set(std::move(mine));
            co_await yield();
        };
        auto h = spawn(keeps, p);
        co_await h;
        CHECK(h.done());
        CHECK(p.use_count() == 1);
        pointer.set(p);
        pointer.set(nullptr);
        CHECK(p.use_count() == 1);
    });
}

TEST_CASE("move-only values") {
    eddy_test::run([]() -> task<> {
        static task_local<std::unique_ptr<int>> key;
        CHECK(key.get() == nullptr);
        key.set(std::make_unique<int>(3));
        const auto child = []() -> task<int> { co_return *key.get(); };
        auto h = spawn(child);
        const int seen = co_await h;
        CHECK(seen == 3);
    });
}

TEST_CASE("nobody sets a value: spawning takes the two blocks it always took") {
    eddy_test::run([]() -> task<> {
        const std::size_t before = loop::current().statistics().frames;
        const auto child = []() -> task<> { co_return; };
        auto h = spawn(child());
        CHECK(loop::current().statistics().frames == before + 2);
        CHECK(h.detail_record()->extension() == nullptr);
        co_await h;
    });
}

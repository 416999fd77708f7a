// NS of docs/semantics.md: task_group::start().
#include <eddy/flow/task_status.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include <flow/sweep.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>
#include <sstream>

using namespace eddy;
using namespace eddy_test;

namespace {

// Ready after 2 ms, then at work for 5 ms.
task<> serve(task_status<int>& status) {
    co_await sleep(2ms);
    status.started(8080);
    co_await sleep(5ms);
}
task<> crash_early(task_status<int>&) {
    co_await sleep(1ms);
    throw std::runtime_error("no port");
}
// Cleans up for 5 ms when it is cancelled.
task<> start_slowly(task_status<int>& status, int* ended) {
    try {
        co_await sleep(20ms);
    } catch (const cancelled&) {
        ++*ended;
    }
    co_await shield(sleep(5ms));
    ++*ended;
    co_await checkpoint();
    status.started(1);
}

} // namespace

TEST_CASE("NS-1 start() gives the value of started(); the task goes on as a child of the group") {
    eddy_test::run([]() -> task<> {
        const auto began = clock::now();
        const auto body = [&](task_group& g) -> task<int> {
            const int port = co_await g.start(serve);
            CHECK(clock::now() - began == 2ms);
            CHECK(g.size() == 1);
            co_return port;
        };
        const int port = co_await with_task_group(body);
        CHECK(port == 8080);
        CHECK(clock::now() - began == 7ms);
    });
}

TEST_CASE("start() of void, move-only values, references and generic lambdas; with options; of plain functions") {
    eddy_test::run([]() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            std::string name;
            const auto plain = [&](task_status<>& s) -> task<> {
                name = this_task::name();
                s.started();
                co_return;
            };
            auto first = g.start(spawn_options().name("server"), plain);
            co_await first;
            CHECK(name == "server");
            const auto boxed = [](task_status<std::unique_ptr<int>>& s) -> task<> {
                s.started(std::make_unique<int>(3));
                co_return;
            };
            auto box = co_await g.start(boxed);
            CHECK(*box == 3);
            static int place = 1;
            const auto ref = [](task_status<int&>& s) -> task<> {
                s.started(place);
                co_return;
            };
            int& r = co_await g.start(ref);
            CHECK(&r == &place);
            const auto generic = [](auto& s) -> task<> {
                s.started("text");
                co_return;
            };
            const std::string text = co_await g.start<std::string>(generic);
            CHECK(text == "text");
            // Calls started() before it makes its task.
            const auto eager = [](task_status<int>& s) -> task<> {
                s.started(5);
                return [](task_status<int>&) -> task<> { co_await sleep(1ms); }(s);
            };
            const int five = co_await g.start(eager);
            CHECK(five == 5);
            // The lambda lives as long as its task.
            auto owner = std::make_shared<int>(6);
            auto op = g.start([owner](task_status<int>& s) -> task<> {
                s.started(*owner);
                co_await sleep(1ms);
                CHECK(*owner == 6);
            });
            auto moved = std::move(op);
            owner.reset();
            const int six = co_await moved;
            CHECK(six == 6);
            CHECK_THROWS_AS((void)[&] { auto again = std::move(moved); }(), std::logic_error);
        };
        co_await with_task_group(body);
    });
}

TEST_CASE(
    "NS-2 a crash before started() comes out of start() and leaves the group alone; after it, it is the group's") {
    eddy_test::run([]() -> task<> {
        told t;
        const auto body = [](task_group& g) -> task<> {
            auto sibling = g.spawn([]() -> task<> { co_await sleep(9ms); });
            auto o = co_await settle(g.start(crash_early));
            CHECK(text_of(o.error()) == "no port");
            co_await sleep(2ms);
            CHECK(!sibling.done());
            co_await sibling;
        };
        co_await with_task_group(body);
        CHECK(t.lines.empty());
        bool sibling_cancelled = false;
        const auto crash_late = [](task_status<int>& s) -> task<> {
            s.started(1);
            co_await sleep(1ms);
            throw std::runtime_error("later");
        };
        const auto outer = [&](task_group& g) -> task<> {
            const int v = co_await g.start(crash_late);
            CHECK(v == 1);
            try {
                co_await sleep_forever();
            } catch (const cancelled&) {
                sibling_cancelled = true;
                throw;
            }
        };
        auto o = co_await settle(with_task_group(outer));
        CHECK(text_of(o.error()) == "later");
        CHECK(sibling_cancelled);
        // What the callable itself throws.
        const auto refuses = [](task_status<int>&) -> task<> { throw std::runtime_error("not even a task"); };
        const auto third = [&](task_group& g) -> task<> { co_await g.start(refuses); };
        auto p = co_await settle(with_task_group(third));
        CHECK(text_of(p.error()) == "not even a task");
    });
}

TEST_CASE("NS-3 returning without started() is an error of start()") {
    eddy_test::run([]() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            const auto silent = [](task_status<int>&) -> task<> { co_await sleep(1ms); };
            auto o = co_await settle(g.start(spawn_options().name("silent"), silent));
            CHECK(holds<std::logic_error>(o.error()));
            CHECK(contains(text_of(o.error()), "task 'silent' ended without having called"));
        };
        co_await with_task_group(body);
    });
}

TEST_CASE("NS-4 started() twice is an error, but not for a task whose start() was cancelled") {
    eddy_test::run([]() -> task<> {
        std::string log;
        const auto twice = [&](task_status<int>& s) -> task<> {
            s.started(1);
            try {
                s.started(2);
            } catch (const std::logic_error&) {
                log += "refused ";
            }
            co_return;
        };
        const auto body = [&](task_group& g) -> task<> {
            const int v = co_await g.start(twice);
            CHECK(v == 1);
        };
        co_await with_task_group(body);
        CHECK(log == "refused ");
        const auto races = [&](task_status<int>& s) -> task<> {
            try {
                co_await sleep(1h);
            } catch (const cancelled&) {
            }
            s.started(1); // nobody takes it
            log += "ignored";
            co_return;
        };
        const auto limited = [&](task_group& g) -> task<> {
            auto r = co_await move_on_after(1ms, g.start(races));
            CHECK(!r.has_value());
            co_await checkpoint();
        };
        co_await with_task_group(limited);
        CHECK(log == "refused ignored");
    });
}

TEST_CASE("NS-5 cancelling start() cancels the starting task alone, and waits for its end") {
    eddy_test::run([]() -> task<> {
        int ended = 0;
        const auto body = [&](task_group& g) -> task<> {
            auto sibling = g.spawn([]() -> task<> { co_await sleep(20ms); });
            const auto began = clock::now();
            const auto slow = [&](task_status<int>& s) { return start_slowly(s, &ended); };
            auto r = co_await move_on_after(1ms, g.start(slow));
            CHECK(!r.has_value());
            CHECK(ended == 2);
            CHECK(clock::now() - began == 6ms);
            CHECK(g.size() == 1);
            co_await checkpoint();
            co_await sibling;
            // Its failure on the way out is start()'s.
            const auto fails = [](task_status<int>&) -> task<> {
                try {
                    co_await sleep(1h);
                } catch (const cancelled& c) {
                    if (c.reason().kind() == cancel_kind::timeout) throw std::runtime_error("clean-up");
                }
            };
            auto o = co_await settle(timeout(1ms, g.start(fails)));
            CHECK(text_of(o.error()) == "clean-up");
        };
        co_await with_task_group(body);
        // Cancelled before: nothing is spawned.
        bool ran = false;
        const auto runs = [&](task_status<int>& s) -> task<> {
            ran = true;
            s.started(1);
            co_return;
        };
        const auto late = [&](task_group& g) -> task<> {
            auto r = co_await move_on_after(0ms, g.start(runs));
            CHECK(!r.has_value());
            CHECK(g.size() == 0);
        };
        co_await with_task_group(late);
        CHECK(!ran);
    });
}

TEST_CASE("NS-6 a pending start() keeps the group open") {
    eddy_test::run([]() -> task<> {
        int port = 0;
        const auto began = clock::now();
        const auto body = [&](task_group& g) -> task<> {
            g.spawn([](task_group* group, int* p) -> task<> { *p = co_await group->start(serve); }, &g, &port);
            co_return;
        };
        co_await with_task_group(body);
        CHECK(port == 8080);
        CHECK(clock::now() - began == 7ms);
        // And a group that has ended takes nobody.
        task_group* gone = nullptr;
        const auto leak = [&](task_group& g) -> task<> {
            gone = &g;
            co_return;
        };
        auto op = with_task_group(leak);
        co_await op;
        CHECK_THROWS_AS(static_cast<void>(gone->start(serve)), std::logic_error);
    });
}

TEST_CASE("NS-7 the group is cancelled just before or just after started(): the task is cancelled with it") {
    eddy_test::run([]() -> task<> {
        for (const bool before : {true, false}) {
            CAPTURE(before);
            bool child_cancelled = false;
            task_group* group = nullptr;
            const auto child = [&](task_status<int>& s) -> task<> {
                co_await sleep(1ms);
                if (before) group->cancel();
                s.started(1);
                if (!before) group->cancel();
                try {
                    co_await sleep(1h);
                } catch (const cancelled&) {
                    child_cancelled = true;
                    throw;
                }
            };
            outcome<int> from_outside = outcome<int>::of_value(0);
            const auto body = [&](task_group& g) -> task<> {
                group = &g;
                co_await sleep(1h);
            };
            const auto starts = [&]() -> task<> {
                co_await yield();
                auto op = settle(group->start(child));
                from_outside = co_await op;
            };
            auto h = spawn(starts);
            auto op = with_task_group(body);
            co_await op;
            co_await h;
            CHECK(child_cancelled);
            CHECK(from_outside.value() == 1);
        }
        // Cancelled before it could say anything: who starts it from outside the group was not cancelled.
        task_group* group = nullptr;
        const auto body = [&](task_group& g) -> task<> {
            group = &g;
            co_await sleep(1ms);
            g.cancel();
        };
        outcome<int> end = outcome<int>::of_value(0);
        const auto starts = [&]() -> task<> {
            co_await yield();
            auto op = settle(group->start(serve));
            end = co_await op;
            co_await checkpoint();
        };
        auto h = spawn(starts);
        auto op = with_task_group(body);
        co_await op;
        co_await h;
        CHECK(holds<task_cancelled>(end.error()));
    });
}

TEST_CASE("NS-8 a shield inside the starting task is respected") {
    eddy_test::run([]() -> task<> {
        bool whole = false;
        const auto child = [&](task_status<int>& s) -> task<> {
            co_await shield(sleep(10ms));
            whole = true;
            co_await checkpoint();
            s.started(1);
        };
        const auto began = clock::now();
        const auto body = [&](task_group& g) -> task<> {
            auto r = co_await move_on_after(1ms, g.start(child));
            CHECK(!r.has_value());
            CHECK(clock::now() - began == 10ms);
        };
        co_await with_task_group(body);
        CHECK(whole);
    });
}

TEST_CASE("a value that was given in the tick of the cancellation is kept") {
    eddy_test::run([]() -> task<> {
        int got = 0;
        any_task_handle starter;
        const auto child = [&](task_status<int>& s) -> task<> {
            co_await sleep(1ms);
            s.started(8080);
            starter.cancel();
            co_await sleep(1ms);
        };
        const auto body = [&](task_group& g) -> task<> {
            const auto starts = [&]() -> task<> {
                got = co_await g.start(child);
                CHECK(got == 8080);
                co_await checkpoint();
                got = 0;
            };
            starter = g.spawn(starts);
            auto o = co_await settle(starter);
            CHECK(starter.was_cancelled());
        };
        co_await with_task_group(body);
        CHECK(got == 8080);
    });
}

TEST_CASE("a dump names the task that is starting") {
    eddy_test::run([]() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            const auto starts = [&]() -> task<> {
                auto op = g.start(spawn_options().name("server"), serve);
                co_await op;
            };
            g.spawn(starts);
            co_await sleep(1ms);
            std::ostringstream out;
            loop::current().dump_tasks(out);
            CHECK(contains(out.str(), "start of task"));
            CHECK(contains(out.str(), "'server'"));
        };
        co_await with_task_group(body);
    });
}

TEST_CASE("start() disturbed at every await, tick and allocation") {
    const auto program = []() -> task<> {
        const auto child = [](task_status<counted>& s) -> task<> {
            counted mine(1);
            co_await sleep(1ms);
            s.started(counted(2));
            co_await sleep(1ms);
        };
        const auto body = [&](task_group& g) -> task<int> {
            int sum = 0;
            auto first = g.start(child);
            auto a = co_await first;
            sum += a.value;
            auto limited = timeout(1s, g.start(child));
            auto b = co_await limited;
            sum += b.value;
            const auto nested = [&g, &child](task_status<int>& s) -> task<> {
                auto c = co_await g.start(child);
                s.started(c.value);
            };
            sum += co_await g.start(nested);
            co_return sum;
        };
        auto op = with_task_group(body);
        const int sum = co_await op;
        CHECK(sum == 6);
    };
    sweep(program, 8);
}

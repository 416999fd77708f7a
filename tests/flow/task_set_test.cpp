// JS of docs/semantics.md.
#include <eddy/flow/task_set.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/flow/with.hpp>

#include <flow/children.hpp>
#include <flow/sweep.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

namespace {

task<> fail(const char* text, int ms) {
    co_await sleep(1ms * ms);
    throw std::runtime_error(text);
}
task<> slow_end(int* ended) { co_await slow_cleanup(ended); }

} // namespace

TEST_CASE("JS-1 next() gives outcomes in the order of the ends, none when empty; more may be spawned on the way") {
    eddy_test::run([]() -> task<> {
        task_set<int> set;
        auto none = co_await set.next();
        CHECK(!none.has_value());
        set.spawn(give(3, 3));
        set.spawn(spawn_options().name("one"), give(1, 1));
        set.spawn(give, 2, 2);
        set.spawn([]() -> task<int> { return give(4, 4); });
        set.spawn(spawn_options().name("five"), give, 5, 5);
        CHECK(set.size() == 5);
        std::string order;
        int more = 6;
        while (auto r = co_await set.next()) {
            if (order.empty()) CHECK(r->handle().name() == "one");
            order += std::to_string(r->value());
            if (more < 8) set.spawn(give(more, more)), ++more;
        }
        CHECK(order == "1234567");
        CHECK(set.empty());
        // It had been empty, and goes on.
        set.spawn(give(9, 1));
        auto again = co_await set.next();
        CHECK(again->value() == 9);
    });
}

TEST_CASE("move-only values, references, void; failures and cancellations are outcomes and cancel nobody") {
    eddy_test::run([]() -> task<> {
        told t;
        task_set<std::unique_ptr<int>> boxes;
        boxes.spawn([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(3); });
        auto box = co_await boxes.next();
        CHECK(*box->value() == 3);
        const std::unique_ptr<int> mine = std::move(*box).value();
        CHECK(*mine == 3);
        static int place = 1;
        task_set<int&> refs;
        refs.spawn([]() -> task<int&> { co_return place; });
        auto ref = co_await refs.next();
        CHECK(&ref->value() == &place);
        task_set<> jobs;
        jobs.spawn(fail("broken", 1));
        auto quits = jobs.spawn([]() -> task<> { co_await sleep_forever(); });
        jobs.spawn([]() -> task<> { co_await sleep(9ms); });
        auto a = co_await jobs.next();
        CHECK(text_of(a->error()) == "broken");
        quits.cancel();
        auto b = co_await jobs.next();
        CHECK(b->is_cancelled());
        CHECK(b->handle() == quits);
        auto c = co_await jobs.next();
        CHECK(c->has_value());
        CHECK(t.lines.empty());
        co_await checkpoint();
    });
}

TEST_CASE("JS-2 destroying the set cancels its tasks and does not wait; detach() lets them go on") {
    eddy_test::run([]() -> task<> {
        int ended = 0;
        any_task_handle a;
        any_task_handle b;
        {
            task_set<> set;
            a = set.spawn(slow_end(&ended));
            b = set.spawn(slow_end(&ended));
            co_await yield();
        }
        CHECK(!a.done());
        co_await sleep(6ms);
        CHECK(ended == 2);
        CHECK(a.done());
        any_task_handle kept;
        {
            task_set<int> set;
            kept = set.spawn(give(1, 3));
            set.detach();
            CHECK(set.empty());
        }
        co_await kept;
        CHECK(!kept.was_cancelled());
        // Assigning drops what was there.
        task_set<int> first;
        auto dropped = first.spawn(give(1, 100));
        first = task_set<int>();
        auto o = co_await settle(dropped);
        CHECK(dropped.was_cancelled());
    });
}

TEST_CASE("JS-3 one is cancelled by its handle, all by cancel(); what has ended keeps its outcome") {
    eddy_test::run([]() -> task<> {
        task_set<int> set;
        set.spawn(give(1, 1));
        auto one = set.spawn(give(2, 50));
        set.spawn(give(3, 60));
        co_await sleep(2ms);
        one.cancel();
        set.cancel(cancel_reason(cancel_kind::requested, "enough"));
        CHECK(set.size() == 3);
        CHECK(set.alive() == 2);
        auto a = co_await set.next();
        CHECK(a->value() == 1);
        auto b = co_await set.next();
        CHECK(b->is_cancelled());
        auto c = co_await set.next();
        CHECK(c->is_cancelled());
        CHECK(contains(text_of(c->error()), "enough"));
        auto end = co_await set.next();
        CHECK(!end.has_value());
    });
}

TEST_CASE("JS-4 a loop that ends leaves its tasks in the set as cancelled") {
    task_set<int> set;
    {
        testing::virtual_loop l;
        l.run([](task_set<int>& s) -> task<> {
            s.spawn(give(1, 1));
            s.spawn(give(2, 1000));
            co_await sleep(2ms);
        }(set));
        l.settle();
    }
    eddy_test::run([&set]() -> task<> {
        CHECK(set.alive() == 0);
        auto a = co_await set.next();
        CHECK(a->value() == 1);
        auto b = co_await set.next();
        CHECK(b->is_cancelled());
        auto end = co_await set.next();
        CHECK(!end.has_value());
    });
}

TEST_CASE("with() and close(): all are cancelled and have ended, on every way out; lost failures are reported") {
    eddy_test::run([]() -> task<> {
        told t;
        int ended = 0;
        const auto body = [&](task_set<>& set) -> task<int> {
            set.spawn(slow_end(&ended));
            set.spawn(slow_end(&ended));
            co_await yield();
            co_return 7;
        };
        auto op = with(task_set<>(), body);
        const int v = co_await op;
        CHECK(v == 7);
        CHECK(ended == 2);
        const auto waits = [&](task_set<>& set) -> task<> {
            set.spawn(slow_end(&ended));
            set.spawn(fail("nobody looked", 0));
            co_await sleep_forever();
        };
        auto limited = move_on_after(1ms, with(task_set<>(), waits));
        const bool whole = co_await limited;
        CHECK(!whole);
        CHECK(ended == 3);
        REQUIRE(t.lines.size() == 1);
        CHECK(contains(t.lines[0], "nobody looked"));
    });
}

TEST_CASE("several consumers; a cancelled one loses nothing; spawning while somebody waits") {
    eddy_test::run([]() -> task<> {
        task_set<int> set;
        set.spawn(give(1, 5));
        const auto consume = [&]() -> task<int> {
            auto r = co_await set.next();
            co_return r.has_value() ? r->value() : -1;
        };
        auto a = spawn(consume);
        auto b = spawn(consume);
        co_await yield();
        a.cancel();
        set.spawn(give(2, 9));
        const int first = co_await b;
        CHECK(first == 1);
        auto o = co_await settle(a);
        CHECK(a.was_cancelled());
        auto r = co_await set.next();
        CHECK(r->value() == 2);
    });
}

TEST_CASE("10^4 tasks that were taken leave nothing in the set") {
    eddy_test::run([]() -> task<> {
        task_set<> set;
        co_await yield();
        const auto before = loop::current().statistics();
        for (int i = 0; i < 10'000; ++i) {
            set.spawn([]() -> task<> { co_return; });
            auto r = co_await set.next();
        }
        CHECK(loop::current().statistics().bytes == before.bytes);
    });
}

TEST_CASE("task_set disturbed at every await, tick and allocation") {
    const auto program = []() -> task<> {
        task_set<counted> loose;
        const auto work = [](counted c, int ms) -> task<counted> {
            co_await sleep(1ms * ms);
            co_return std::move(c);
        };
        loose.spawn(work, counted(1), 1);
        loose.spawn(work, counted(2), 1h / 1ms);
        const auto body = [&](task_set<counted>& set) -> task<int> {
            for (int i = 0; i < 3; ++i)
                set.spawn(work, counted(i), i);
            int n = 0;
            auto first = timeout(1s, set.next());
            auto r = co_await first;
            while (set.alive() > 0) {
                auto next = co_await set.next();
                ++n;
            }
            set.spawn(work, counted(5), 100);
            co_return n;
        };
        auto op = with(task_set<counted>(), body);
        const int n = co_await op;
        CHECK(n > 0);
        auto r = co_await loose.next();
    };
    sweep(program, 8);
}

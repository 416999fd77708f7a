// GA of docs/semantics.md.
#include <eddy/flow/gather.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>

#include <flow/children.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

#include <list>
#include <memory>

using namespace eddy;
using namespace eddy_test;

TEST_CASE("GA-1 results in the order of the arguments, whatever the order of completion; void becomes monostate") {
    eddy_test::run([]() -> task<> {
        auto [a, b, c] = co_await gather(give(1, 3), sleep(1ms), give(3, 2));
        CHECK(a == 1);
        CHECK(c == 3);
        static_assert(std::is_same_v<decltype(b), std::monostate>);
        std::vector<task<int>> many;
        for (int i = 0; i < 10; ++i)
            many.push_back(give(i, 10 - i));
        const auto all = co_await gather(std::move(many));
        for (std::size_t i = 0; i < 10; ++i)
            CHECK(all[i] == static_cast<int>(i));
        const auto boxed = []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); };
        auto [p, q] = co_await gather(boxed(), boxed);
        CHECK(*p == 7);
        CHECK(*q == 7);
        static int place = 2;
        const auto ref = []() -> task<int&> { co_return place; };
        auto refs = co_await gather(ref());
        CHECK(&std::get<0>(refs) == &place);
        std::list<task<>> nothing;
        nothing.push_back([]() -> task<> { co_return; }());
        co_await gather(std::move(nothing));
    });
}

TEST_CASE("GA-2 an empty gather ends at once") {
    eddy_test::run([]() -> task<> {
        const auto before = loop::current().statistics().ticks;
        co_await gather();
        const auto none = co_await gather(std::vector<task<int>>());
        CHECK(none.empty());
        const auto settled = co_await gather_settled(std::vector<task<int>>());
        CHECK(settled.empty());
        CHECK(loop::current().statistics().ticks == before);
    });
}

TEST_CASE("GA-3 a handle given twice runs once and is in both places; handles by value, by name, and shared") {
    eddy_test::run([]() -> task<> {
        int runs = 0;
        auto h = spawn(
            [](int* n) -> task<int> {
                ++*n;
                co_await sleep(1ms);
                co_return 6;
            },
            &runs);
        auto [a, b] = co_await gather(h, h);
        CHECK(a == 6);
        CHECK(b == 6);
        CHECK(runs == 1);
        auto only = spawn([]() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(8); });
        auto [p] = co_await gather(std::move(only));
        CHECK(*p == 8);
        std::vector<task_handle<int>> handles{h, h};
        const auto all = co_await gather(handles);
        CHECK(all == std::vector<int>{6, 6});
    });
}

TEST_CASE("GA-5 the first failure cancels the rest, which are joined before it is rethrown") {
    eddy_test::run([]() -> task<> {
        told t;
        int ended = 0;
        const auto began = clock::now();
        auto op = settle(gather(slow_cleanup(&ended), fail_after(1, "first"), slow_cleanup(&ended)));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "first");
        CHECK(ended == 2);
        CHECK(clock::now() - began == 6ms);
        CHECK(t.lines.empty());
    });
}

TEST_CASE("GA-5 a second failure goes to the exception handler") {
    eddy_test::run([]() -> task<> {
        told t;
        auto op = settle(gather(fail_after(1, "first"), fail_after(1, "second")));
        auto o = co_await op;
        CHECK(text_of(o.error()) == "first");
        REQUIRE(t.lines.size() == 1);
        CHECK(contains(t.lines[0], "second"));
    });
}

TEST_CASE("GA-6 gather_settled waits for all and gives every outcome") {
    eddy_test::run([]() -> task<> {
        auto gone = spawn([]() -> task<int> {
            co_await sleep_forever();
            co_return 0;
        });
        gone.cancel();
        auto [a, b, c, d] = co_await gather_settled(give(1, 3), fail_after(1, "bad"), sleep(2ms), gone);
        CHECK(a.value() == 1);
        CHECK(text_of(b.error()) == "bad");
        CHECK(c.has_value());
        CHECK(holds<task_cancelled>(d.error()));
        std::vector<task<int>> many;
        many.push_back(give(1, 1));
        many.push_back(fail_after(1, "x"));
        const auto all = co_await gather_settled(std::move(many));
        CHECK(all[0].value() == 1);
        CHECK(!all[1].has_value());
    });
}

TEST_CASE("GA-8 GA-9 cancelled: every child is cancelled and joined before `cancelled` goes on, also when settled") {
    for (const bool settled : {false, true}) {
        CAPTURE(settled);
        eddy_test::run([&]() -> task<> {
            int ended = 0;
            bool went_on = false;
            const auto body = [&]() -> task<> {
                if (settled) {
                    co_await gather_settled(slow_cleanup(&ended), slow_cleanup(&ended));
                } else {
                    co_await gather(slow_cleanup(&ended), slow_cleanup(&ended));
                }
                went_on = true;
            };
            auto h = spawn(body);
            co_await sleep(1ms);
            h.cancel();
            co_await sleep(1ms);
            CHECK(!h.done());
            auto o = co_await settle(h);
            CHECK(ended == 2);
            CHECK(!went_on);
            CHECK(h.was_cancelled());
        });
    }
}

TEST_CASE("GA-10 a cancel after all children have ended loses nothing") {
    eddy_test::run([]() -> task<> {
        int got = 0;
        const auto body = [&]() -> task<> {
            auto [a] = co_await gather(give(5, 1));
            got = a;
            co_await checkpoint();
            got = -1;
        };
        auto h = spawn(body);
        // After the child has ended, before its gather goes on.
        loop::current().call_later(1ms, [&] { loop::current().call_soon([&] { h.cancel(); }); });
        auto o = co_await settle(h);
        CHECK(got == 5);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("GA-12 one argument that can't become a task: the others never start, nothing leaks") {
    eddy_test::run([]() -> task<> {
        bool started = false;
        const auto good = [](counted c, bool* s) -> task<> {
            *s = true;
            static_cast<void>(c);
            co_return;
        };
        task<> empty = good(counted(1), &started);
        task<> taken = std::move(empty);
        bool thrown = false;
        try {
            co_await gather(good(counted(2), &started), std::move(empty)); // NOLINT: moved from on purpose
        } catch (const std::logic_error&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(!started);
        CHECK(counted::alive() == 1);
        co_await yield();
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("GA-13 children that complete at once cost one tick") {
    eddy_test::run([]() -> task<> {
        const auto before = loop::current().statistics().ticks;
        const auto now = [](int v) -> task<int> { co_return v; };
        auto [a, b] = co_await gather(now(1), now(2));
        CHECK(a + b == 3);
        CHECK(loop::current().statistics().ticks - before <= 2);
    });
}

TEST_CASE("a gather in a scope that is cancelled already starts none of its tasks") {
    eddy_test::run([]() -> task<> {
        bool started = false;
        const auto child = [](bool* s) -> task<> {
            *s = true;
            co_return;
        };
        const auto body = [&](cancel_scope& s) -> task<> {
            s.cancel();
            co_await gather(child(&started), child(&started));
        };
        const bool done = co_await with_cancel_scope(body);
        CHECK(!done);
        CHECK(!started);
    });
}

TEST_CASE("GA-7 CA-22 a child that is cancelled by itself: task_cancelled for whoever needs its value") {
    eddy_test::run([]() -> task<> {
        int ended = 0;
        const auto quits = []() -> task<int> {
            this_task::handle().cancel();
            co_await checkpoint();
            co_return 1;
        };
        auto o = co_await settle(gather(slow_cleanup(&ended), quits));
        CHECK(holds<task_cancelled>(o.error()));
        CHECK(!o.is_cancelled());
        CHECK(ended == 1);
        auto [a] = co_await gather_settled(quits);
        CHECK(a.is_cancelled());
        co_await checkpoint();
    });
}

TEST_CASE("a gather of gathers, and inside a limit") {
    eddy_test::run([]() -> task<> {
        auto [x, y] = co_await gather(gather(give(1, 1), give(2, 2)), timeout(5ms, give(3, 3)));
        CHECK(std::get<1>(x) == 2);
        CHECK(y == 3);
        auto op = settle(timeout(1ms, gather(give(1, 10), give(2, 10))));
        auto o = co_await op;
        CHECK(holds<timeout_error>(o.error()));
    });
}

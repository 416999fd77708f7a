#include <eddy/core/task.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/task_group.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>
#include <stdexcept>

using namespace eddy;
using namespace eddy_test;

namespace {

task<int> give(int v) { co_return v; }
task<int> give_later(int v, int ms) {
    co_await sleep(1ms * ms);
    co_return v;
}
task<> fail_with(const char* text) {
    co_await yield();
    throw std::runtime_error(text);
}

// The parameter's life shows whether the frame still lives.
task<> hold(counted c, bool* entered) {
    *entered = true;
    co_await sleep_forever();
    static_cast<void>(c);
}

task<> interleaved(std::vector<std::string>* seen) {
    seen->push_back(this_task::name());
    co_await yield();
    seen->push_back(this_task::name());
}

} // namespace

TEST_CASE("TK-1 a spawned task starts in a later tick, in the order of creation") {
    eddy_test::run([]() -> task<> {
        std::vector<int> order;
        for (int i = 0; i < 3; ++i)
            spawn(
                [](std::vector<int>* o, int n) -> task<> {
                    o->push_back(n);
                    co_return;
                },
                &order, i);
        CHECK(order.empty());
        co_await yield();
        CHECK(order == std::vector<int>{0, 1, 2});
    });
}

TEST_CASE("an awaited task runs at once, without a trip through the ready queue") {
    eddy_test::run([]() -> task<> {
        bool other = false;
        spawn(
            [](bool* o) -> task<> {
                *o = true;
                co_return;
            },
            &other);
        const int v = co_await give(3);
        CHECK(v == 3);
        CHECK(!other);
        co_await yield();
        CHECK(other);
    });
}

TEST_CASE("TK-2 a handle gives the value or the exception, as often as asked") {
    eddy_test::run([]() -> task<> {
        auto h = spawn(give_later(7, 1));
        const int& first = co_await h;
        const int& again = co_await h;
        CHECK(first == 7);
        CHECK(&first == &again);
        auto bad = spawn(fail_with("boom"));
        for (int i = 0; i < 2; ++i) {
            auto o = co_await settle(bad);
            CHECK(text_of(o.error()) == "boom");
        }
    });
}

TEST_CASE("tasks of references, move-only values and void") {
    eddy_test::run([]() -> task<> {
        static int place = 4;
        int& r = co_await []() -> task<int&> { co_return place; }();
        CHECK(&r == &place);
        auto p = co_await []() -> task<std::unique_ptr<int>> { co_return std::make_unique<int>(5); }();
        CHECK(*p == 5);
        auto h = spawn([]() -> task<int&> { co_return place; });
        int& again = co_await h;
        CHECK(&again == &place);
        auto c = co_await []() -> task<counted> { co_return counted(9); }();
        CHECK(c.value == 9);
        CHECK(counted::alive() == 1);
    });
    CHECK(counted::alive() == 0);
}

TEST_CASE("TK-3 a task that awaits itself is told so") {
    eddy_test::run([]() -> task<> {
        task_handle<> self;
        self = spawn(spawn_options().name("narcissus"), [](task_handle<>* h) -> task<> { co_await *h; }, &self);
        auto o = co_await settle(self);
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(text_of(o.error()) == "eddy: task 'narcissus' awaits itself");
        self = {};
    });
}

TEST_CASE("TK-3 a cycle of awaits is reported as a deadlock by name") {
    testing::virtual_loop l;
    std::string text;
    try {
        l.run([]() -> task<> {
            task_handle<> a;
            task_handle<> b;
            a = spawn(spawn_options().name("ann"), [](task_handle<>* h) -> task<> { co_await *h; }, &b);
            b = spawn(spawn_options().name("bob"), [](task_handle<>* h) -> task<> { co_await *h; }, &a);
            co_await a;
        }());
    } catch (const deadlock_error& e) {
        text = e.what();
    }
    CHECK(contains(text, "ann"));
    CHECK(contains(text, "task 2 'ann'"));
    CHECK(contains(text, "task 3 'bob'"));
    for (auto& t : l.all_tasks())
        t.cancel();
    l.settle();
    check_empty(l);
}

template <class H>
concept completable = requires(H& h) { h.set_value(); } || requires(H& h) { h.set_exception(nullptr); };

TEST_CASE("TK-4 a task can't be completed from outside") {
    CHECK(!completable<task_handle<>>);
    CHECK(!std::is_copy_constructible_v<task<int>>);
    CHECK(std::is_nothrow_move_constructible_v<task<int>>);
}

TEST_CASE("TK-5 names: numbered by default, chosen, seen from the first step on") {
    eddy_test::run([]() -> task<> {
        auto plain = spawn([]() -> task<std::string> { co_return this_task::name(); });
        auto named = spawn(spawn_options().name("reader"), []() -> task<std::string> { co_return this_task::name(); });
        CHECK(named.name() == "reader");
        CHECK(plain.name() == "task-" + std::to_string(plain.id()));
        CHECK(named.id() == plain.id() + 1);
        const std::string a = co_await plain;
        const std::string b = co_await named;
        CHECK(a == plain.name());
        CHECK(b == "reader");
    });
}

TEST_CASE("TK-6 the running task is the right one while tasks interleave, and none outside") {
    CHECK_THROWS_AS(static_cast<void>(this_task::id()), no_running_loop);
    CHECK(loop::try_current() == nullptr);
    CHECK_THROWS_AS(static_cast<void>(loop::current()), no_running_loop);
    testing::virtual_loop l;
    std::vector<std::string> seen;
    l.spawn(spawn_options().name("a"), &interleaved, &seen);
    l.spawn(spawn_options().name("b"), &interleaved, &seen);
    bool in_callback = true;
    l.call_soon([&] {
        try {
            static_cast<void>(this_task::id());
        } catch (const no_running_loop&) {
            in_callback = false;
        }
        CHECK(loop::try_current() == &l);
    });
    l.settle();
    CHECK(seen == std::vector<std::string>{"a", "b", "a", "b"});
    CHECK(!in_callback);
    CHECK(loop::try_current() == nullptr);
}

TEST_CASE("TK-6 awaiting a child and coming back leaves the running task as it was") {
    eddy_test::run([]() -> task<> {
        const auto me = this_task::id();
        const auto inner = co_await []() -> task<std::uint64_t> {
            co_await sleep(1ms);
            co_return this_task::id();
        }();
        CHECK(inner == me);
        CHECK(this_task::handle().id() == me);
    });
}

TEST_CASE("TK-7 all_tasks is exactly the tasks that have not ended, in order") {
    eddy_test::run([]() -> task<> {
        auto a = spawn(give_later(1, 1));
        auto b = spawn(give_later(2, 2));
        auto all = loop::current().all_tasks();
        REQUIRE(all.size() == 3);
        CHECK(all[1] == any_task_handle(a));
        CHECK(all[2] == any_task_handle(b));
        all.clear();
        co_await a;
        CHECK(loop::current().all_tasks().size() == 2);
        co_await b;
    });
}

TEST_CASE("TK-8 a task runs to its end though nobody holds a handle") {
    eddy_test::run([]() -> task<> {
        int done = 0;
        for (int i = 0; i < 10; ++i)
            spawn(
                [](int* d) -> task<> {
                    co_await sleep(1ms);
                    ++*d;
                },
                &done);
        co_await sleep(2ms);
        CHECK(done == 10);
    });
}

TEST_CASE("TK-9 a failure that nobody awaited is reported once, with the task's name and place") {
    eddy_test::run([]() -> task<> {
        told t;
        error_context at;
        const auto here = std::source_location::current().line() + 1;
        spawn(spawn_options().name("lost").exception_handler([&](const error_context& c) { at = c; }),
              fail_with("boom"));
        co_await sleep(1ms);
        CHECK(text_of(at.exception) == "boom");
        CHECK(at.spawn_site.line() == here);
        CHECK(at.task_id != 0);
        CHECK(t.lines.empty());
        {
            auto h = spawn(spawn_options().name("kept"), fail_with("later"));
            co_await sleep(1ms);
            CHECK(t.lines.empty()); // the handle may still be awaited
        }
        CHECK(t.lines == std::vector<std::string>{"a task failed and nobody awaited it|kept|later"});
        auto seen = spawn(fail_with("seen"));
        auto o = co_await settle(seen);
        CHECK(!o.has_value());
        seen = {};
        CHECK(t.lines.size() == 1);
        at.exception = nullptr;
    });
}

TEST_CASE("TK-10 no exception ends the loop, not even one that is no std::exception") {
    eddy_test::run([]() -> task<> {
        told t;
        spawn([]() -> task<> {
            throw 42;
            co_return;
        });
        co_await sleep(1ms);
        CHECK(t.lines.size() == 1);
        co_await sleep(1ms);
    });
}

TEST_CASE("TK-11 a coroutine that can't be spawned is destroyed without having run") {
    bool entered = false;
    {
        bool thrown = false;
        try {
            spawn(hold(counted(1), &entered)); // no loop runs
        } catch (const no_running_loop&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(counted::alive() == 0);
    }
    eddy_test::run([&]() -> task<> {
        task_group* kept = nullptr;
        task_handle<> late;
        auto op = with_task_group([&](task_group& g) -> task<> {
            kept = &g;
            co_return;
        });
        co_await op;
        bool refused = false;
        try {
            kept->spawn(hold(counted(1), &entered));
        } catch (const std::logic_error& e) {
            refused = true;
            CHECK(text_of(std::current_exception()) == "eddy: spawn into a task group that has ended");
        }
        CHECK(refused);
        CHECK(counted::alive() == 0);
        auto moved = hold(counted(1), &entered);
        auto taken = std::move(moved);
        std::string text;
        try {
            spawn(std::move(moved)); // NOLINT: moved from on purpose
        } catch (const std::logic_error& e) {
            text = e.what();
        }
        CHECK(text == "eddy: an empty task can't be awaited or spawned: it was moved from, or awaited before");
        auto awaits = settle(std::move(moved)); // NOLINT
        auto o = co_await awaits;
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(text_of(o.error()) == text);
        text.clear();
        try {
            co_await std::move(moved); // NOLINT
        } catch (const std::logic_error& e) {
            text = e.what();
        }
        CHECK(contains(text, "moved from"));
    });
    CHECK(!entered);
    CHECK(counted::alive() == 0);
}

TEST_CASE("an unstarted task can be dropped without effect") {
    bool entered = false;
    {
        auto t = hold(counted(1), &entered);
    }
    CHECK(!entered);
    CHECK(counted::alive() == 0);
    task<> empty = hold(counted(2), &entered);
    empty = hold(counted(3), &entered);
    CHECK(counted::alive() == 1);
    task<> other = std::move(empty);
    CHECK(!empty.valid()); // NOLINT
    CHECK(other.valid());
}

TEST_CASE("TK-14 what a frame owns is destroyed before whoever awaits it goes on") {
    eddy_test::run([]() -> task<> {
        std::vector<std::string> order;
        const auto child = [](std::vector<std::string>* o, at_end) -> task<> {
            at_end local([o] { o->push_back("local"); });
            co_await yield();
        };
        co_await child(&order, at_end([&] { order.push_back("parameter"); }));
        order.push_back("awaiter");
        CHECK(order == std::vector<std::string>{"local", "parameter", "awaiter"});
        order.clear();
        auto h = spawn(child(&order, at_end([&] { order.push_back("parameter"); })));
        co_await h;
        order.push_back("awaiter");
        CHECK(order == std::vector<std::string>{"local", "parameter", "awaiter"});
        order.clear();
        auto c = spawn(child(&order, at_end([&] { order.push_back("parameter"); })));
        co_await yield();
        c.cancel();
        auto o = co_await settle(c);
        CHECK(o.is_cancelled() == false); // it had been made ready: a yield completes
        order.push_back("awaiter");
        CHECK(order == std::vector<std::string>{"local", "parameter", "awaiter"});
    });
}

TEST_CASE("TK-14 the running task is still known in the destructors of a frame") {
    eddy_test::run([]() -> task<> {
        std::string name;
        auto h = spawn(
            spawn_options().name("x"),
            [](std::string* n) -> task<> {
                at_end local([n] { *n = this_task::name(); });
                co_await sleep_forever();
            },
            &name);
        co_await yield();
        h.cancel();
        auto o = co_await settle(h);
        CHECK(o.error() != nullptr);
        CHECK(name == "x");
    });
}

namespace {
struct throwing_end {
    ~throwing_end() noexcept(false) { throw std::runtime_error("from a destructor"); }
};
task<> ends_badly() {
    throwing_end e;
    co_await yield();
}
} // namespace

TEST_CASE("TK-16 an exception thrown by a destructor stays in its task") {
    eddy_test::run([]() -> task<> {
        auto h = spawn(ends_badly());
        auto o = co_await settle(h);
        CHECK(text_of(o.error()) == "from a destructor");
        co_await yield();
    });
}

TEST_CASE("a capturing lambda lives as long as the task it was spawned with") {
    eddy_test::run([]() -> task<> {
        {
            auto owned = std::make_unique<int>(5);
            auto f = [p = std::move(owned), c = counted(1)]() -> task<int> {
                co_await sleep(1ms);
                co_return *p + c.value;
            };
            auto h = spawn(std::move(f));
            const int v = co_await std::move(h);
            CHECK(v == 6);
        }
        CHECK(counted::alive() == 0);
    });
}

TEST_CASE("a callable that throws instead of making a task: spawn throws, nothing leaks") {
    eddy_test::run([]() -> task<> {
        const auto f = [](counted) -> task<> { throw std::runtime_error("no task"); };
        bool thrown = false;
        try {
            spawn(f, counted(1));
        } catch (const std::runtime_error&) {
            thrown = true;
        }
        CHECK(thrown);
        CHECK(counted::alive() == 0);
        co_return;
    });
}

TEST_CASE("the second await of an operation is std::logic_error") {
    eddy_test::run([]() -> task<> {
        auto op = sleep(1ms);
        co_await op;
        bool refused = false;
        try {
            co_await op;
        } catch (const std::logic_error& e) {
            refused = contains(e.what(), "awaited already");
        }
        CHECK(refused);
        refused = false;
        try {
            auto moved = std::move(op);
        } catch (const std::logic_error&) {
            refused = true;
        }
        CHECK(refused);
    });
}

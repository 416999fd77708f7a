#include <eddy/core/task_handle.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/settle.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <memory>

using namespace eddy;
using namespace eddy_test;

namespace {
task<std::unique_ptr<int>> boxed(int v) {
    co_await yield();
    co_return std::make_unique<int>(v);
}
} // namespace

TEST_CASE("co_await handle gives a reference into the task, co_await std::move(handle) the value") {
    eddy_test::run([]() -> task<> {
        auto h = spawn(boxed(3));
        const std::unique_ptr<int>& seen = co_await h;
        CHECK(*seen == 3);
        std::unique_ptr<int> mine = co_await std::move(h);
        CHECK(*mine == 3);
        CHECK(!h.valid()); // NOLINT: given away
    });
}

TEST_CASE("taking the value needs the last handle") {
    eddy_test::run([]() -> task<> {
        auto h = spawn(spawn_options().name("shared"), boxed(3));
        auto other = h;
        auto o = co_await settle(std::move(h));
        CHECK(holds<std::logic_error>(o.error()));
        CHECK(text_of(o.error()) == "eddy: co_await std::move(handle) of task 'shared' needs the last handle to it");
        const auto& kept = co_await other;
        CHECK(*kept == 3);
    });
}

TEST_CASE("outcome() of a task that has not ended is std::logic_error") {
    eddy_test::run([]() -> task<> {
        auto value = spawn([]() -> task<int> {
            co_await yield();
            co_return 2;
        });
        CHECK_THROWS_WITH_AS(static_cast<void>(value.outcome()),
                             "eddy: task 'task-2' has not ended: it has no outcome yet", std::logic_error);
        co_await value;
        CHECK(value.outcome().value() == 2);
        CHECK(value.outcome().error() == nullptr);
        auto bad = spawn([]() -> task<> {
            throw std::runtime_error("bad");
            co_return;
        });
        auto gone = spawn([]() -> task<> { co_await sleep_forever(); });
        gone.cancel();
        co_await yield();
        co_await yield();
        CHECK(text_of(bad.outcome().error()) == "bad");
        CHECK_THROWS_AS(bad.outcome().value(), std::runtime_error);
        CHECK(gone.outcome().is_cancelled());
        CHECK_THROWS_AS(gone.outcome().value(), task_cancelled);
        CHECK(!gone.outcome().has_value());
    });
}

TEST_CASE("an empty handle") {
    task_handle<int> h;
    CHECK(!h.valid());
    CHECK(!h.done());
    CHECK(!h.was_cancelled());
    CHECK(!h.cancel());
    CHECK(h.name().empty());
    CHECK(h.id() == 0);
    h.set_exception_handler(nullptr);
    eddy_test::run([&]() -> task<> {
        auto o = co_await settle(h);
        CHECK(text_of(o.error()) == "eddy: an empty task_handle was awaited");
    });
}

TEST_CASE("a task_handle<void> refers to a task of any type, and joins it") {
    eddy_test::run([]() -> task<> {
        auto h = spawn(boxed(1));
        any_task_handle any = h;
        CHECK(any == h);
        co_await any;
        CHECK(h.done());
        auto copy = any;
        auto& same = copy; // NOLINT
        copy = same;
        CHECK(copy == any);
        auto moved = std::move(copy);
        CHECK(moved == any);
    });
}

TEST_CASE("many tasks await one handle, and go on in the order they came") {
    eddy_test::run([]() -> task<> {
        auto one = spawn([]() -> task<int> {
            co_await sleep(1ms);
            co_return 1;
        });
        std::vector<int> order;
        std::vector<task_handle<>> all;
        for (int i = 0; i < 5; ++i)
            all.push_back(spawn(
                [](task_handle<int> h, std::vector<int>* o, int n) -> task<> {
                    const int v = co_await h;
                    o->push_back(n * 10 + v);
                },
                one, &order, i));
        co_await yield();
        all[2].cancel(); // it leaves, the rest keep their order
        for (auto& h : all) {
            auto o = co_await settle(h);
            static_cast<void>(o);
        }
        CHECK(order == std::vector<int>{1, 11, 31, 41});
    });
}

TEST_CASE("awaiting a handle is a checkpoint, also when the task has ended; awaiting a task is none") {
    eddy_test::run([]() -> task<> {
        auto done = spawn([]() -> task<int> { co_return 1; });
        co_await done;
        int reached = 0;
        auto h = spawn(
            [](task_handle<int> d, int* r) -> task<> {
                this_task::handle().cancel();
                const int v = co_await []() -> task<int> { co_return 2; }();
                *r = v;
                co_await d;
                *r = 3;
            },
            done, &reached);
        auto o = co_await settle(h);
        CHECK(reached == 2);
        CHECK(h.was_cancelled());
    });
}

TEST_CASE("X-6 GA-4 a handle of another loop is refused while its task runs") {
    testing::virtual_loop other;
    auto far = other.spawn(spawn_options().name("far"), []() -> task<int> {
        co_await sleep(1s);
        co_return 3;
    });
    eddy_test::run([&]() -> task<> {
        auto o = co_await settle(far);
        CHECK(text_of(o.error()) == "eddy: task 'far' runs on another loop; remote() gives a handle for that");
    });
    other.advance(1s);
    CHECK(far.done());
    const int v = eddy_test::run([&]() -> task<int> { co_return co_await far; });
    CHECK(v == 3);
}

TEST_CASE("a handle outlives its loop") {
    task_handle<int> h;
    {
        testing::virtual_loop l;
        h = l.spawn([]() -> task<int> { co_return 5; });
        l.settle();
    }
    CHECK(h.done());
    CHECK(h.outcome().value() == 5);
    CHECK(!h.cancel());
}

TEST_CASE("a handler of the task's own is told instead of the loop's") {
    eddy_test::run([]() -> task<> {
        told loops;
        std::string mine;
        auto h = spawn([]() -> task<> {
            throw std::runtime_error("x");
            co_return;
        });
        h.set_exception_handler([&](const error_context& c) { mine = text_of(c.exception); });
        co_await yield();
        h = {};
        CHECK(mine == "x");
        CHECK(loops.lines.empty());
    });
}

TEST_CASE("a task that was cancelled from above tells the reason of whoever did it") {
    testing::virtual_loop l;
    auto h = l.spawn([]() -> task<> { co_await sleep_forever(); });
    l.settle();
    l.shutdown(nullptr);
    l.settle();
    REQUIRE(h.was_cancelled());
    const auto o = h.outcome();
    REQUIRE(holds<task_cancelled>(o.error()));
    try {
        std::rethrow_exception(o.error());
    } catch (const task_cancelled& e) {
        CHECK(e.reason().kind() == cancel_kind::shutdown);
    }
}

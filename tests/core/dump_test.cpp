// What dump_tasks shows: IN of docs/semantics.md.
#include <eddy/core/loop.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <sstream>

using namespace eddy;
using namespace eddy_test;

namespace {

std::string dump(loop& l) {
    std::ostringstream out;
    l.dump_tasks(out);
    return out.str();
}
std::string line(int n) { return "dump_test.cpp:" + std::to_string(n); }

constexpr int inner_line = __LINE__ + 1;
task<> inner() { co_await sleep(90s); }
constexpr int outer_line = __LINE__ + 1;
task<> outer() { co_await inner(); }

} // namespace

TEST_CASE("IN-1 a task shows what it waits for and the co_await lines that led there") {
    testing::virtual_loop l;
    const int spawn_line = __LINE__ + 1;
    auto h = l.spawn(spawn_options().name("deep"), outer());
    CHECK(dump(l) == "tasks: 1, ready: 1, timers: 0\n  #1 deep (spawned at " + line(spawn_line) + ")  not started\n");
    l.settle();
    CHECK(dump(l) == "tasks: 1, ready: 0, timers: 1\n  #1 deep (spawned at " + line(spawn_line) +
                         ")  waits for sleep (90.000 s left)\n      at " + line(inner_line) + "\n      at " +
                         line(outer_line) + "\n");
    h.cancel();
    CHECK(contains(dump(l), "ready (was: sleep"));
    CHECK(contains(dump(l), "cancelled"));
    l.settle();
    CHECK(dump(l) == "tasks: 0, ready: 0, timers: 0\n");
}

TEST_CASE("a task group's name is in the lines of its tasks and of whoever waits for them") {
    testing::virtual_loop l;
    auto host = l.spawn(spawn_options().name("host"), []() -> task<> {
        const auto idle = []() -> task<> { co_await sleep(1h); };
        const auto unnamed = [&](task_group& g) -> task<> {
            g.spawn(spawn_options().name("inner"), idle);
            co_return;
        };
        const auto readers = [&](task_group& g) -> task<> {
            g.spawn(spawn_options().name("first"), idle);
            co_await with_task_group(unnamed); // its task belongs to the named group around it, too
        };
        co_await with_task_group(group_options().name("readers"), readers);
    });
    l.advance(1ms);
    const std::string inside = dump(l);
    CHECK(contains(inside, "host (spawned at"));
    CHECK(inside.find("in group 'readers'") > inside.find("host"));
    const auto line_of = [](const std::string& text, const std::string& name) {
        const auto at = text.find(" " + name + " ");
        return text.substr(at, text.find('\n', at) - at);
    };
    CHECK(contains(line_of(inside, "first"), "  in group 'readers'  waits for sleep"));
    CHECK(contains(line_of(inside, "inner"), "  in group 'readers'  waits for sleep"));
    CHECK_FALSE(contains(line_of(inside, "host"), "in group"));
    CHECK(contains(line_of(inside, "host"), "waits for children"));
    CHECK_FALSE(contains(line_of(inside, "host"), "waits for children of"));
    l.advance(1h);
    CHECK(host.done());

    auto second = l.spawn(spawn_options().name("host"), []() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            g.spawn([]() -> task<> { co_await sleep(1h); });
            co_return;
        };
        co_await with_task_group(group_options().name("readers"), body);
    });
    l.advance(1ms);
    CHECK(contains(line_of(dump(l), "host"), "waits for children of group 'readers'"));
    l.advance(1h);
    CHECK(second.done());
}

TEST_CASE("IN-1 IN-3 through groups, gather and limits: who awaits whom, and whose child each is") {
    testing::virtual_loop l;
    auto target = l.spawn(spawn_options().name("target"), []() -> task<> { co_await sleep_forever(); });
    auto host = l.spawn(
        spawn_options().name("host"),
        [](any_task_handle t) -> task<> {
            const auto group = [&](task_group& g) -> task<> {
                g.spawn(spawn_options().name("child"), [](any_task_handle x) -> task<> { co_await timeout(1h, x); }, t);
                co_await gather(sleep(2h), t);
            };
            co_await with_task_group(group);
        },
        target);
    l.settle();
    const std::string text = dump(l);
    CAPTURE(text);
    CHECK(contains(text, "#1 target"));
    CHECK(contains(text, "waits for sleep for ever"));
    CHECK(contains(text, "\n  #2 host"));
    CHECK(contains(text, "waits for children"));
    CHECK(contains(text, "\n    #3 child"));
    CHECK(contains(text, "waits for task 1 'target'"));
    // IN-3: the edges are gone on every way out.
    host.cancel();
    l.settle();
    CHECK(host.was_cancelled());
    CHECK(!contains(dump(l), "waits for task 1"));
    CHECK(target.detail_record()->joiners() == nullptr);
    target.cancel();
    l.settle();
    check_empty(l);
}

TEST_CASE("IN-2 IN-4 several roots, tasks that wait for each other, and the running task; long chains are cut") {
    testing::virtual_loop l;
    task_handle<> a;
    task_handle<> b;
    const auto waits = [](task_handle<>* h) -> task<> { co_await *h; };
    a = l.spawn(spawn_options().name("a"), waits, &b);
    b = l.spawn(spawn_options().name("b"), waits, &a);
    std::string seen;
    l.spawn(
        spawn_options().name("looker"),
        [](loop* own, std::string* s) -> task<> {
            co_await yield();
            *s = dump(*own);
        },
        &l, &seen);
    const auto deep = [](auto&& self, int n) -> task<> {
        if (n == 0)
            co_await sleep_forever();
        else
            co_await self(self, n - 1);
    };
    auto chain = l.spawn(deep(deep, 100));
    l.settle();
    CHECK(contains(seen, "waits for task 2 'b'"));
    CHECK(contains(seen, "waits for task 1 'a'"));
    CHECK(contains(seen, "looker"));
    CHECK(contains(seen, "  running"));
    const std::string text = dump(l);
    CHECK(contains(text, "…"));
    CHECK(std::count(text.begin(), text.end(), '\n') < 40);
    for (auto& t : l.all_tasks())
        t.cancel();
    l.settle();
}

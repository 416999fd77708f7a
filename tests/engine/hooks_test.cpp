// What the simulated driver can do to a program: choose who runs next, cancel at an await, fail an allocation.
#include <eddy/engine/hooks.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/finally.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/flow/with.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

using namespace eddy;
using namespace eddy_test;

namespace {

// The order in which ten tasks take three turns each.
std::string schedule(std::uint64_t seed) {
    testing::seed(seed);
    testing::virtual_loop l;
    testing::seed(0);
    std::string order;
    for (char c = 'a'; c < 'k'; ++c)
        l.spawn(
            [](std::string* o, char me) -> task<> {
                for (int i = 0; i < 3; ++i) {
                    o->push_back(me);
                    co_await yield();
                }
            },
            &order, c);
    l.settle();
    return order;
}

struct resource {
    int* open;
    explicit resource(int* n) : open(n) { ++*open; }
    resource(resource&& o) noexcept : open(std::exchange(o.open, nullptr)) {}
    task<> close() {
        --*open;
        co_await yield();
    }
};

// A little of everything.
task<int> give(int v) {
    const counted c(v);
    co_await sleep(1ms);
    co_return c.value;
}
task<int> scenario() {
    int sum = 0;
    int open = 0;
    auto [a, b] = co_await gather(give(1), give(2));
    sum += a + b;
    auto first = co_await race(give(3), sleep(5ms));
    sum += static_cast<int>(first.index);
    const auto group = [&](task_group& g) -> task<int> {
        for (int i = 0; i < 3; ++i)
            g.spawn(
                [](counted c, int* s) -> task<> {
                    co_await sleep(1ms);
                    *s += c.value;
                },
                counted(i), &sum);
        co_return 4;
    };
    sum += co_await with_task_group(group);
    const auto limited = co_await move_on_after(1ms, give(5));
    sum += limited.value_or(100);
    const auto scoped = [](cancel_scope& s) -> task<> {
        s.set_deadline(clock::now() + 1ms);
        co_await sleep(1h);
    };
    const bool whole = co_await with_cancel_scope(scoped);
    sum += whole ? 1000 : 0;
    const auto body = [&](resource&) -> task<int> { co_return co_await give(6); };
    auto use = with(resource(&open), body);
    sum += co_await use;
    const auto quick = []() -> task<int> { co_return co_await shield(give(7)); };
    const auto cleanup = []() -> task<> { co_await yield(); };
    sum += co_await finally(quick, cleanup, 1s);
    CHECK(open == 0);
    auto h = spawn(give(8));
    sum += co_await h;
    co_return sum;
}

struct faults {
    long fail_at = -1; // counts down; -1: never
    long seen = 0;
    static bool ask(void* user, std::size_t) noexcept {
        auto& self = *static_cast<faults*>(user);
        return self.seen++ == self.fail_at;
    }
};

struct awaits {
    long at = -1;
    long seen = 0;
    engine::at_await_action action = engine::at_await_action::go;
    std::string names;
    static engine::at_await_action ask(void* user, const engine::wait_kind& site, engine::scope&) noexcept {
        auto& self = *static_cast<awaits*>(user);
        self.names += std::string(site.name) + ",";
        return self.seen++ == self.at ? self.action : engine::at_await_action::go;
    }
};

} // namespace

TEST_CASE("MK-4 the same seed gives the same schedule, another one another; none is first in, first out") {
    CHECK(schedule(0).starts_with("abcdefghijabcdefghij"));
    CHECK(schedule(7) == schedule(7));
    CHECK(schedule(7) != schedule(8));
    CHECK(schedule(7) != schedule(0));
    // Nobody runs twice before everybody ran once: an order within the tick.
    std::string once = schedule(7).substr(0, 10);
    std::sort(once.begin(), once.end());
    CHECK(once == "abcdefghij");
}

TEST_CASE("a program gives the same result in every order") {
    for (std::uint64_t n = 1; n <= 50; ++n) {
        testing::seed(n);
        const int sum = eddy_test::run([]() -> task<int> { co_return co_await scenario(); });
        testing::seed(0);
        CHECK(sum == eddy_test::run([]() -> task<int> { co_return co_await scenario(); }));
    }
}

TEST_CASE("every failing allocation of a program is std::bad_alloc or no failure at all, and leaks nothing") {
    long total = 0;
    int good = 0;
    int bad = 0;
    for (long n = 0; total == 0 || n <= total; ++n) {
        CAPTURE(n);
        {
            testing::virtual_loop l;
            told t(l);
            faults f;
            f.fail_at = n;
            engine::hooks h;
            h.user = &f;
            h.fault = &faults::ask;
            l.detail_state().set_hooks(&h);
            try {
                auto handle = l.spawn([]() -> task<int> { co_return co_await scenario(); });
                l.advance(1h);
                REQUIRE(handle.done());
                const auto o = handle.outcome();
                if (o.has_value()) {
                    ++good;
                    CHECK(f.seen <= n); // nothing failed
                } else {
                    ++bad;
                    CHECK(holds<std::bad_alloc>(o.error()));
                }
            } catch (const std::bad_alloc&) {
                ++bad;
            }
            if (f.seen <= n) total = f.seen;
            l.detail_state().set_hooks(nullptr);
            l.settle();
            check_empty(l);
        }
        CHECK(counted::alive() == 0);
    }
    CHECK(total > 20);
    CHECK(good >= 1);
    CHECK(bad >= 20);
}

TEST_CASE(
    "a cancellation at every single await of a program: it ends cancelled or with its value, and leaves nothing") {
    long total = 1;
    using what = engine::at_await_action; // `go` first: it counts
    for (const auto action : {what::go, what::cancel, what::timeout, what::yield}) {
        for (long n = 0; n < total; ++n) {
            CAPTURE(n);
            testing::virtual_loop l;
            told t(l);
            awaits a;
            a.at = n;
            a.action = action;
            engine::hooks h;
            h.user = &a;
            h.at_await = &awaits::ask;
            l.detail_state().set_hooks(&h);
            {
                auto handle = l.spawn([]() -> task<int> { co_return co_await scenario(); });
                l.advance(1h);
                REQUIRE(handle.done());
                const auto o = handle.outcome();
                if (action == engine::at_await_action::yield) CHECK(o.has_value());
                const std::string error = text_of(o.error());
                CAPTURE(error);
                // A child that was cancelled alone is nobody's error but of who needs its value.
                if (!o.has_value())
                    CHECK((o.is_cancelled() || holds<task_cancelled>(o.error()) || holds<timeout_error>(o.error())));
            }
            total = std::max(total, a.seen);
            l.detail_state().set_hooks(nullptr);
            l.settle();
            check_empty(l);
            CHECK(counted::alive() == 0);
        }
        CHECK(total >= 15);
    }
}

TEST_CASE("the hook sees every await of what could wait, with its kind") {
    awaits a;
    testing::virtual_loop l;
    engine::hooks h;
    h.user = &a;
    h.at_await = &awaits::ask;
    l.detail_state().set_hooks(&h);
    l.run([]() -> task<> {
        co_await yield();
        co_await checkpoint();
        co_await sleep(1ms);
        auto c = spawn([]() -> task<> { co_return; });
        co_await c;
    }());
    l.detail_state().set_hooks(nullptr);
    CHECK(a.names == "yield,checkpoint,sleep,task,");
}

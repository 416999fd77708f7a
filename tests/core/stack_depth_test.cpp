// No chain of awaits overflows the stack, in any build: TK-13 of docs/semantics.md. (10^5 nested awaits with 128 bytes
// of stack each would be 12 MiB at -O0, and 75 MiB under GCC's AddressSanitizer.)
#include <eddy/core/task.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include <core/state.hpp>
#include <support/check.hpp>
#include <support/run.hpp>

using namespace eddy;
using namespace eddy_test;

namespace {

constexpr int depth = 100'000;

task<int> give(int v) { co_return v; }

task<int> recurse(int n) {
    if (n == 0) co_return 0;
    const int below = co_await recurse(n - 1);
    co_return below + 1;
}

struct gate {
    int destroyed = 0;
    bool fail = false;
};
struct mark {
    explicit mark(gate& g) : g_(&g) {}
    mark(const mark&) = delete;
    ~mark() { ++g_->destroyed; }
    gate* g_;
};

// Waits at the bottom of `n` frames.
task<int> suspended(gate& g, int n) {
    const mark m(g);
    if (n == 0) {
        co_await sleep(1h);
        if (g.fail) throw std::runtime_error("bottom");
        co_return 0;
    }
    const int below = co_await suspended(g, n - 1);
    co_return below + 1;
}

// The same with a scope at each level.
task<> scopes(gate& g, int n) {
    const mark m(g);
    if (n == 0) {
        co_await sleep(1h);
        co_return;
    }
    const auto body = [&](cancel_scope&) -> task<> { co_await scopes(g, n - 1); };
    const bool whole = co_await with_cancel_scope(body);
    static_cast<void>(whole);
}

// The same with a limit at each level.
task<int> limits(gate& g, int n) {
    const mark m(g);
    if (n == 0) {
        co_await sleep(1h);
        co_return 0;
    }
    const int below = co_await timeout(2h, limits(g, n - 1));
    co_return below + 1;
}

// Each task waits in a group for a child of its own.
task<> groups(gate& g, int n) {
    const mark m(g);
    if (n == 0) {
        co_await sleep_forever();
        co_return;
    }
    const auto body = [&](task_group& group) -> task<> {
        group.spawn(groups(g, n - 1));
        co_return;
    };
    co_await with_task_group(body);
}

} // namespace

TEST_CASE("TK-13 10^6 awaits in a loop of tasks that complete at once") {
    eddy_test::run([]() -> task<> {
        long sum = 0;
        for (int i = 0; i < 1'000'000; ++i)
            sum += co_await give(1);
        CHECK(sum == 1'000'000);
    });
}

TEST_CASE("TK-13 10^6 checkpoints, yields of settled tasks and limits in a loop") {
    eddy_test::run([]() -> task<> {
        for (int i = 0; i < 1'000'000; ++i)
            co_await checkpoint();
        int sum = 0;
        for (int i = 0; i < 100'000; ++i) {
            auto o = co_await settle(give(1));
            sum += o.value();
            sum += co_await shield(give(1));
        }
        CHECK(sum == 200'000);
    });
}

TEST_CASE("TK-13 recursion to depth 10^5") {
    CHECK(eddy_test::run([]() -> task<int> { co_return co_await recurse(depth); }) == depth);
}

TEST_CASE("TK-13 a chain suspended 10^5 deep is resumed to its end, with a value or an exception") {
    for (const bool fails : {false, true}) {
        gate g;
        g.fail = fails;
        eddy_test::run([&]() -> task<> {
            auto h = spawn([](gate* at) -> task<int> { co_return co_await suspended(*at, depth); }, &g);
            auto o = co_await settle(h);
            if (fails)
                CHECK(text_of(o.error()) == "bottom");
            else
                CHECK(o.value() == depth);
        });
        CHECK(g.destroyed == depth + 1);
    }
}

TEST_CASE("TK-13 a chain suspended 10^5 deep is cancelled") {
    gate g;
    eddy_test::run([&]() -> task<> {
        auto h = spawn([](gate* at) -> task<int> { co_return co_await suspended(*at, depth); }, &g);
        co_await sleep(1s);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(o.is_cancelled());
    });
    CHECK(g.destroyed == depth + 1);
}

TEST_CASE("TK-13 a chain suspended 10^5 deep is destroyed, also one with a limit at each level") {
    gate g;
    gate with_limits;
    testing::virtual_loop l;
    {
        auto h = l.spawn([](gate* at) -> task<int> { co_return co_await suspended(*at, depth); }, &g);
        auto k = l.spawn([](gate* at) -> task<int> { co_return co_await limits(*at, depth); }, &with_limits);
        l.settle();
        for (engine::task_record* r : {h.detail_record(), k.detail_record()}) {
            r->flags |= engine::scope::abandoned;
            l.detail_state().finish(*r);
        }
    }
    CHECK(g.destroyed == depth + 1);
    CHECK(with_limits.destroyed == depth + 1);
    l.settle();
    check_empty(l);
}

TEST_CASE("TK-13 CA-24 a tree of scopes 10^5 deep is cancelled, and one whose limit runs out on top") {
    gate g;
    gate limited;
    eddy_test::run([&]() -> task<> {
        auto h = spawn([](gate* at) -> task<> { co_await scopes(*at, depth); }, &g);
        auto k = spawn([](gate* at) -> task<int> { co_return co_await timeout(1min, limits(*at, depth)); }, &limited);
        co_await sleep(1s);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(o.is_cancelled());
        auto p = co_await settle(k);
        CHECK(holds<timeout_error>(p.error()));
    });
    CHECK(g.destroyed == depth + 1);
    CHECK(limited.destroyed == depth + 1);
}

TEST_CASE("TK-13 CA-24 10^4 tasks, each waiting for its child, are cancelled from the top") {
    gate g;
    eddy_test::run([&]() -> task<> {
        auto h = spawn([](gate* at) -> task<> { co_await groups(*at, depth / 10); }, &g);
        co_await sleep(1s);
        CHECK(loop::current().statistics().tasks == depth / 10 + 2);
        h.cancel();
        auto o = co_await settle(h);
        CHECK(o.is_cancelled());
    });
    CHECK(g.destroyed == depth / 10 + 1);
}

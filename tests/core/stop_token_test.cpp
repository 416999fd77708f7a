#include <eddy/core/stop_token.hpp>

#include <eddy/core/sleep.hpp>
#include <eddy/core/this_task.hpp>
#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/task_group.hpp>
#include <eddy/flow/timeout.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <optional>

using namespace eddy;
using namespace eddy_test;

TEST_CASE("the stop token of a task asks to stop when it is cancelled; its callbacks run from the drain") {
    CHECK_THROWS_AS(static_cast<void>(this_task::stop_token()), no_running_loop);
    eddy_test::run([]() -> task<> {
        std::string order;
        std::stop_token seen;
        auto h = spawn(
            [](std::string* o, std::stop_token* s) -> task<> {
                const std::stop_token t = this_task::stop_token();
                *s = t;
                CHECK(t == this_task::stop_token());
                CHECK(!t.stop_requested());
                const std::stop_callback call(t, [o] { *o += "stop,"; });
                try {
                    co_await sleep(1h);
                } catch (const cancelled&) {
                    *o += "cancelled,";
                }
            },
            &order, &seen);
        co_await yield();
        h.cancel();
        order += "asked,";
        CHECK(!seen.stop_requested());
        co_await h;
        CHECK(seen.stop_requested());
        CHECK(contains(order, "asked,"));
        CHECK(contains(order, "stop,"));
        CHECK(order.starts_with("asked,"));
    });
}

TEST_CASE("it is the innermost scope's token: limits, groups and shields") {
    eddy_test::run([]() -> task<> {
        const std::stop_token outer = this_task::stop_token();
        std::stop_token inner;
        std::stop_token shielded;
        const auto body = [&]() -> task<> {
            inner = this_task::stop_token();
            const auto kept = [&]() -> task<> {
                shielded = this_task::stop_token();
                co_return;
            };
            co_await shield(kept);
            co_await sleep(1h);
        };
        auto op = timeout(1ms, body);
        auto o = co_await settle(std::move(op));
        CHECK(holds<timeout_error>(o.error()));
        CHECK(inner.stop_requested());
        CHECK(!shielded.stop_requested());
        CHECK(!outer.stop_requested());
        std::stop_token grouped;
        const auto group = [&](task_group& g) -> task<> {
            grouped = this_task::stop_token();
            CHECK(grouped != outer);
            g.cancel();
            co_await yield();
        };
        co_await with_task_group(group);
        CHECK(grouped.stop_requested());
        // Cancelled before it was asked for.
        const auto late = [](cancel_scope& s) -> task<> {
            s.cancel();
            CHECK(this_task::stop_token().stop_requested());
            co_return;
        };
        co_await with_cancel_scope(late);
    });
}

TEST_CASE("CP-5 callbacks may be destroyed by callbacks, and by the scope that ends") {
    eddy_test::run([]() -> task<> {
        int calls = 0;
        const auto body = [&](cancel_scope& s) -> task<> {
            const std::stop_token t = this_task::stop_token();
            using callback = std::stop_callback<std::function<void()>>;
            std::optional<callback> second;
            std::optional<callback> itself;
            const callback first(t, [&] {
                ++calls;
                second.reset();
                s.cancel();
            });
            second.emplace(t, [&] { ++calls; });
            itself.emplace(t, [&] {
                ++calls;
                itself.reset();
            });
            s.cancel();
            auto o = co_await settle(sleep(1h));
            CHECK(o.is_cancelled());
            co_await shield(yield());
        };
        co_await with_cancel_scope(body);
        CHECK(calls >= 1);
        // Cancelled and left in one tick: the token still hears of it.
        std::stop_token t;
        const auto quick = [&](cancel_scope& s) -> task<> {
            t = this_task::stop_token();
            s.cancel();
            co_return;
        };
        co_await with_cancel_scope(quick);
        CHECK(t.stop_requested());
        // Never cancelled: nobody asks, and nothing stays.
        const auto calm = [&](cancel_scope&) -> task<> {
            t = this_task::stop_token();
            co_return;
        };
        co_await with_cancel_scope(calm);
        CHECK(!t.stop_requested());
    });
}

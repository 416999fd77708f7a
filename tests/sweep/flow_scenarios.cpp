// Scopes, groups and combinators.
#include "sweep/scenarios.hpp"

#include <eddy/flow/cancel_scope.hpp>
#include <eddy/flow/finally.hpp>
#include <eddy/flow/gather.hpp>
#include <eddy/flow/interval.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/flow/with.hpp>

namespace eddy_test::sweeps {

namespace {

task<int> sleeps_and_gives(int n) {
    const resource held;
    co_await sleep(1ms);
    co_await checkpoint();
    co_return n;
}
task<> idles() {
    const resource held;
    co_await yield();
    co_await sleep(1h);
}

task<> sleeps() {
    const resource held;
    co_await sleep(1ms);
    co_await sleep(0ms);
    co_await sleep_until(clock::now() + 1ms);
}
task<> ticks() {
    interval every(1ms);
    for (int i = 0; i < 3; ++i) {
        const auto t = co_await every.next();
        demand(t <= clock::now(), "a tick too early");
    }
}
task<> timeout_kept() {
    const int n = co_await timeout(1s, sleeps_and_gives(1));
    demand(n == 1, "another value");
}
task<> timeout_over() {
    bool late = false;
    try {
        auto op = timeout(1ms, idles());
        co_await op;
    } catch (const timeout_error&) {
        late = true;
    }
    demand(late, "it can't have come to its end");
}
task<> timeout_nested() {
    auto inner = move_on_after(1ms, idles());
    auto outer = timeout(1s, std::move(inner));
    const bool whole = co_await outer;
    demand(!whole, "it can't have come to its end");
}
task<> timeout_exact() {
    auto op = move_on_after(1ms, sleep(1ms));
    const bool whole = co_await op;
    static_cast<void>(whole);
}
task<> moves_on() {
    const auto n = co_await move_on_after(1s, sleeps_and_gives(2));
    demand(!n || *n == 2, "another value");
}
task<> shielded() {
    const int n = co_await shield(sleeps_and_gives(3));
    demand(n == 3, "another value");
}
task<> shield_in_timeout() {
    bool ran = false;
    const auto body = [&]() -> task<> {
        co_await sleep(2ms);
        ran = true;
    };
    const auto inner = [&]() -> task<> { co_await shield(body); };
    auto op = move_on_after(1ms, inner);
    co_await op;
    static_cast<void>(ran);
}
task<> timeout_in_shield() {
    auto inner = move_on_after(1ms, idles());
    auto op = shield(std::move(inner));
    co_await op;
}

// ---- finally, with

struct closing {
    bool closed = false;
    bool mine = true;
    resource held;
    closing() noexcept = default;
    closing(closing&& o) noexcept : closed(o.closed), mine(std::exchange(o.mine, false)), held(std::move(o.held)) {}
    ~closing() {
        if (mine && used && !closed) ++accounts::now().unclosed;
    }
    bool used = false;
    task<> close() {
        demand(!closed, "closed twice");
        closed = true;
        co_await yield();
        co_await sleep(1ms);
    }
};

task<> cleans_up() {
    int cleanups = 0;
    bool begun = false;
    bool ended = false;
    // A frame that could not be made for want of memory has not begun: then there is no promise to keep.
    const finally_do end([&] { demand(!begun || cleanups == 1, "the clean-up did not run just once"); });
    const auto body = [&]() -> task<int> {
        const int n = co_await sleeps_and_gives(1);
        ended = true;
        co_return n;
    };
    const auto cleanup = [&]() -> task<> {
        ++cleanups;
        co_await yield();
        co_await sleep(1ms);
    };
    auto op = finally(body, cleanup);
    try {
        const int n = co_await op;
        begun = true;
        demand(n == 1 && ended, "another value");
    } catch (const cancelled&) {
        begun = cleanups != 0; // cancelled before it began, or cleaned up
        throw;
    }
}
task<> cleans_up_in_time() {
    const auto body = []() -> task<> { co_await sleeps_and_gives(1); };
    const auto cleanup = []() -> task<> { co_await sleep(1h); };
    bool late = false;
    try {
        auto op = finally(body, cleanup, 1ms);
        co_await op;
    } catch (const timeout_error&) {
        late = true;
    }
    demand(late, "the grace did not end");
}
task<> with_resource() {
    const auto body = [](closing& c) -> task<int> {
        c.used = true;
        co_return co_await sleeps_and_gives(1);
    };
    auto op = with(closing(), body);
    const int n = co_await op;
    demand(n == 1, "another value");
}
task<closing> opens() {
    co_await sleep(1ms);
    co_return closing();
}
task<> with_awaited_resource() {
    const auto body = [](closing& c) -> task<> {
        c.used = true;
        co_await sleeps_and_gives(1);
    };
    auto op = with(opens(), body);
    co_await op;
}
task<> with_in_timeout() {
    const auto body = [](closing& c) -> task<> {
        c.used = true;
        co_await idles();
    };
    auto op = move_on_after(1ms, with(closing(), body));
    const bool whole = co_await op;
    demand(!whole, "it can't have come to its end");
}
task<> with_in_with() {
    const auto body = [](closing& outer) -> task<> {
        outer.used = true;
        const auto inner = [](closing& c) -> task<> {
            c.used = true;
            co_await yield();
        };
        auto op = with(closing(), inner);
        co_await op;
    };
    auto op = with(closing(), body);
    co_await op;
}

// ---- scopes and groups

task<> cancels_scope() {
    const auto body = [](cancel_scope& s) -> task<> {
        co_await yield();
        s.cancel();
        co_await idles();
    };
    auto op = with_cancel_scope(body);
    const bool whole = co_await op;
    demand(!whole, "it can't have come to its end");
}
task<> scope_with_deadline() {
    const auto body = [](cancel_scope& s) -> task<int> {
        s.set_deadline(clock::now() + 1ms);
        const int a = co_await sleeps_and_gives(1);
        s.set_deadline(clock::now() + 10ms);
        co_return a;
    };
    auto op = with_cancel_scope(body);
    const auto r = co_await op;
    static_cast<void>(r);
}
task<> scope_in_scope() {
    const auto outer = [](cancel_scope& o) -> task<> {
        const auto inner = [&o](cancel_scope&) -> task<> {
            const finally_do cancel([&o] { o.cancel(); });
            co_await yield();
            o.cancel();
            co_await yield();
        };
        auto op = with_cancel_scope(inner);
        co_await op;
        co_await yield();
        complain("the outer scope was cancelled");
    };
    auto op = with_cancel_scope(outer);
    co_await op;
}
task<> group_of_three() {
    const auto body = [](task_group& g) -> task<int> {
        g.spawn(sleeps_and_gives(1));
        g.spawn(sleeps_and_gives(2));
        co_return co_await sleeps_and_gives(3);
    };
    auto op = with_task_group(body);
    const int n = co_await op;
    demand(n == 3, "another value");
}
task<> group_with_failure() {
    const auto body = [](task_group& g) -> task<> {
        const auto fails = []() -> task<> {
            const resource held;
            co_await yield();
            throw failed();
        };
        g.spawn(fails);
        g.spawn(fails);
        g.spawn(idles());
        co_await idles();
    };
    try {
        auto op = with_task_group(body);
        co_await op;
        // Both that were to fail may have been cancelled.
    } catch (const failed&) {
    }
}
task<> group_cancelled() {
    const auto body = [](task_group& g) -> task<> {
        g.spawn(idles());
        co_await yield();
        g.cancel();
        co_await idles();
    };
    auto op = with_task_group(body);
    co_await op;
}
task<> group_in_group() {
    const auto body = [](task_group& g) -> task<> {
        const auto inner = [](task_group& i) -> task<> {
            i.spawn(sleeps_and_gives(1));
            co_await sleeps_and_gives(2);
        };
        g.spawn([inner]() -> task<> {
            auto op = with_task_group(inner);
            co_await op;
        });
        co_await sleeps_and_gives(3);
    };
    auto op = with_task_group(body);
    co_await op;
}
task<> group_from_child() {
    const auto body = [](task_group& g) -> task<> {
        const auto child = [](task_group& mine) -> task<> {
            co_await yield();
            mine.spawn(sleeps_and_gives(2));
        };
        g.spawn(child, std::ref(g));
        co_return;
    };
    auto op = with_task_group(body);
    co_await op;
}

// ---- combinators

task<> gathers() {
    auto [a, b, c] = co_await gather(sleeps_and_gives(1), sleeps_and_gives(2), sleep(1ms));
    demand(a == 1 && b == 2, "another value");
}
task<> gathers_range() {
    std::vector<task<int>> all;
    for (int i = 0; i < 3; ++i)
        all.push_back(sleeps_and_gives(i));
    const auto r = co_await gather(std::move(all));
    demand(r.size() == 3 && r[2] == 2, "another value");
}
task<> gather_fails() {
    const auto fails = []() -> task<> {
        co_await yield();
        throw failed();
    };
    try {
        co_await gather(fails(), idles());
    } catch (const failed&) {
    }
}
task<> gathers_settled() {
    const auto fails = []() -> task<> {
        co_await yield();
        throw failed();
    };
    auto [a, b] = co_await gather_settled(fails(), sleeps_and_gives(1));
    demand(!a.has_value(), "it can't have succeeded");
}
task<> races() {
    const auto first = co_await race(sleeps_and_gives(1), idles());
    demand(first.index == 0, "the sleeper won");
}
task<> races_ties() {
    const auto first = co_await race(sleep(1ms), sleep(1ms), sleeps_and_gives(1));
    static_cast<void>(first);
}
task<> races_range() {
    std::vector<task<int>> all;
    for (int i = 0; i < 3; ++i)
        all.push_back(sleeps_and_gives(i));
    const auto first = co_await race(std::move(all));
    demand(first.index < 3, "nobody won");
}
task<> race_in_timeout() {
    auto inner = race(idles(), idles());
    auto op = move_on_after(1ms, std::move(inner));
    const auto first = co_await op;
    demand(!first.has_value(), "a sleeper won");
}
task<> race_of_groups() {
    const auto grouped = []() -> task<> {
        const auto body = [](task_group& g) -> task<> {
            g.spawn(sleeps_and_gives(1));
            co_await sleeps_and_gives(2);
        };
        auto op = with_task_group(body);
        co_await op;
    };
    const auto first = co_await race(grouped(), sleeps_and_gives(3));
    static_cast<void>(first);
}
task<> settles() {
    const auto o = co_await settle(sleeps_and_gives(1));
    demand(o.has_value() || o.error() != nullptr, "neither value nor error");
    if (o.has_value()) co_await checkpoint();
}

} // namespace

std::vector<scenario> flow_scenarios() {
    return {
        {"sleeps", &sleeps},
        {"ticks", &ticks},
        {"timeout kept", &timeout_kept},
        {"timeout over", &timeout_over},
        {"timeout nested", &timeout_nested},
        {"timeout at the very moment", &timeout_exact},
        {"moves on", &moves_on},
        {"shield", &shielded},
        {"shield in timeout", &shield_in_timeout},
        {"timeout in shield", &timeout_in_shield},
        {"finally", &cleans_up},
        {"finally with grace", &cleans_up_in_time},
        {"with", &with_resource},
        {"with, awaited", &with_awaited_resource},
        {"with in timeout", &with_in_timeout},
        {"with in with", &with_in_with},
        {"cancel scope", &cancels_scope},
        {"cancel scope with deadline", &scope_with_deadline},
        {"cancel scope in another", &scope_in_scope},
        {"group", &group_of_three},
        {"group with failures", &group_with_failure},
        {"group cancelled", &group_cancelled},
        {"group in group", &group_in_group},
        {"group, spawned from a child", &group_from_child},
        {"gather", &gathers},
        {"gather of a range", &gathers_range},
        {"gather with failure", &gather_fails},
        {"gather_settled", &gathers_settled},
        {"race", &races},
        {"race with ties", &races_ties},
        {"race of a range", &races_range},
        {"race in timeout", &race_in_timeout},
        {"race of groups", &race_of_groups},
        {"settle", &settles},
    };
}

} // namespace eddy_test::sweeps

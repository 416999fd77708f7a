// Tasks, promises, offloaded calls (inline, as on every loop with simulated time) and work in bulk.
#include "sweep/scenarios.hpp"

#include <eddy/bulk/for_each.hpp>
#include <eddy/bulk/rate_limiter.hpp>
#include <eddy/bulk/retry.hpp>
#include <eddy/core/promise.hpp>
#include <eddy/core/task_local.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/offload/offload.hpp>
#include <eddy/sync/queue.hpp>

#include <array>
#include <memory>

namespace eddy_test::sweeps {

namespace {

task<int> works(int n) {
    const resource held;
    co_await yield();
    co_return n;
}
task<int> nested(int depth) {
    const resource held;
    if (depth == 0) co_return co_await works(1);
    co_await checkpoint();
    co_return 1 + co_await nested(depth - 1);
}

task<> awaits_children() {
    const int n = co_await nested(3);
    demand(n == 4, "another value");
}
task<> spawns_and_joins() {
    auto a = spawn(works(1));
    auto b = spawn(spawn_options().name("b"), works(2));
    const int x = co_await a;
    const int y = co_await std::move(b);
    demand(x + y == 3, "another value");
}
task<> many_join_one() {
    auto h = spawn(works(1));
    const auto joins = [](task_handle<int> other) -> task<int> { co_return co_await other; };
    auto a = spawn(joins(h));
    auto b = spawn(joins(h));
    const int x = co_await a;
    const int y = co_await b;
    demand(x == 1 && y == 1, "another value");
}
task<> leaves_children() {
    const auto child = [](resource) -> task<> { co_await sleep(1h); };
    spawn(child, resource());
    spawn(child(resource()));
    co_await yield();
}
task<> cancels_child() {
    const auto child = []() -> task<> {
        const resource held;
        co_await sleep_forever();
    };
    auto h = spawn(child);
    co_await yield();
    h.cancel(cancel_reason(cancel_kind::requested, "no longer needed, in a text of some length"));
    auto settled = settle(h);
    const auto end = co_await settled;
    demand(!end.has_value(), "it can't have come to its end");
}
task<> keeps_locals() {
    task_local<resource> key;
    {
        const auto s = key.scoped(resource());
        const auto child = [](task_local<resource>* k) -> task<> {
            k->set(resource());
            co_await yield();
        };
        auto h = spawn(child, &key);
        co_await h;
    }
}

// ---- promises

template <class P>
task<> promises() {
    const resource held;
    P p;
    const auto sets = [](P mine) -> task<> {
        co_await yield();
        mine.set_value(resource());
    };
    auto wait = p.get();
    auto h = spawn(sets, std::move(p));
    try {
        const auto r = co_await wait;
    } catch (const broken_promise&) {
    }
}
task<> promise_kept() { return promises<promise<resource>>(); }
task<> thread_promise_kept() { return promises<thread_promise<resource>>(); }
task<> promise_in_race() {
    promise<int> p;
    const auto sets = [](promise<int> mine) -> task<> {
        co_await sleep(1ms);
        mine.set_value(1);
    };
    auto wait = p.get();
    auto h = spawn(sets, std::move(p));
    auto first = race(std::move(wait), sleep(1ms));
    try {
        const auto won = co_await first;
        demand(won.index < 2, "nobody won");
    } catch (const broken_promise&) {
    }
}
task<> promise_cancelled() {
    promise<int> p;
    int told = 0;
    p.on_cancel([&told] { ++told; });
    auto limited = move_on_after(1ms, p.get());
    const auto got = co_await limited;
    demand(!got.has_value() && told == 1, "nobody was told");
}
task<> calls_back() {
    promise<> p;
    auto shared_p = std::make_shared<promise<>>(std::move(p));
    auto held = std::make_shared<resource>();
    auto later = loop::current().call_later(1ms, [held, shared_p] { shared_p->set_value(); });
    const finally_do stop([&later] { later.cancel(); });
    promise<> q;
    auto wait = q.get();
    loop::current().call_soon([shared = std::make_shared<promise<>>(std::move(q))] { shared->set_value(); });
    co_await wait;
    co_await sleep(2ms);
}

// ---- offload

task<> offloads() {
    auto call = offload([held = std::make_unique<resource>()] { return std::make_unique<int>(4); });
    const auto n = co_await call;
    demand(*n == 4, "another value");
}
task<> offload_throws() {
    bool bad = false;
    try {
        auto call = offload([] { throw failed(); });
        co_await call;
    } catch (const failed&) {
        bad = true;
    }
    demand(bad, "it did not throw");
}
task<> offload_in_timeout() {
    auto call = timeout(1ms, offload([] { return 1; }));
    const int n = co_await call;
    demand(n == 1, "another value");
}
task<> offload_in_race() {
    auto call = race(offload([] { return 1; }), yield(), sleep(1ms));
    const auto first = co_await call;
    static_cast<void>(first);
}
task<> abandons() {
    auto call = offload_abandon([held = std::make_unique<resource>()] { return std::make_unique<resource>(); });
    const auto r = co_await call;
}
task<> abandon_in_race() {
    auto call = race(offload_abandon([held = std::make_unique<resource>()] { return 1; }), yield());
    const auto first = co_await call;
    static_cast<void>(first);
}

// ---- bulk

task<> for_each_of_vector() {
    std::array<int, 4> items{1, 2, 3, 4};
    int sum = 0;
    const auto one = [&sum](int n) -> task<> {
        const resource held;
        co_await yield();
        sum += n;
    };
    auto all = for_each(items, one, for_each_options().concurrency(2));
    const auto r = co_await all;
    demand(r.failed == 0, "an item failed");
}
task<> for_each_collects() {
    std::array<int, 3> items{1, 2, 3};
    const auto one = [](int n) -> task<> {
        const resource held;
        co_await yield();
        if (n == 2) throw failed();
    };
    auto all = for_each(items, one, for_each_options().concurrency(2).on_error(on_error::collect));
    const auto r = co_await all;
    demand(r.failed == r.failures.size(), "failures were not collected");
}
task<> for_each_stops() {
    std::array<int, 3> items{1, 2, 3};
    const auto one = [](int n) -> task<> {
        const resource held;
        co_await yield();
        if (n == 2) throw failed();
        co_await sleep(1ms);
    };
    try {
        auto all = for_each(items, one);
        const auto r = co_await all;
    } catch (const failed&) {
    }
}
task<> for_each_of_queue() {
    queue<resource> q;
    for (int i = 0; i < 3; ++i)
        q.try_put(resource());
    q.close();
    const auto one = [](resource) -> task<> { co_await yield(); };
    auto all = for_each(q, one, for_each_options().concurrency(2));
    const auto r = co_await all;
}
task<> retries() {
    int attempts = 0;
    const auto attempt = [&attempts]() -> task<int> {
        const resource held;
        co_await yield();
        if (++attempts < 3) throw failed();
        co_return attempts;
    };
    auto op = retry(attempt, retry_policy().attempts(3).attempt_timeout(1s));
    const int n = co_await op;
    demand(n == 3, "another value");
}
task<> limits_rate() {
    rate_limiter r(1, 1ms);
    const auto body = [&](task_group& g) -> task<> {
        const auto one = [](rate_limiter& mine) -> task<> {
            const resource held;
            co_await mine.acquire();
        };
        for (int i = 0; i < 3; ++i)
            g.spawn(one, std::ref(r));
        co_await r.acquire();
    };
    auto group = with_task_group(body);
    co_await group;
    demand(r.statistics().waiters == 0, "somebody waits");
}

} // namespace

std::vector<scenario> core_scenarios() {
    return {
        {"children", &awaits_children},
        {"spawn and join", &spawns_and_joins},
        {"many join one", &many_join_one},
        {"leftovers", &leaves_children},
        {"cancel a child", &cancels_child},
        {"task_local", &keeps_locals},
        {"promise", &promise_kept},
        {"thread_promise", &thread_promise_kept},
        {"promise in race", &promise_in_race},
        {"promise cancelled", &promise_cancelled},
        {"callbacks", &calls_back},
        {"offload", &offloads},
        {"offload throws", &offload_throws},
        {"offload in timeout", &offload_in_timeout},
        {"offload in race", &offload_in_race},
        {"offload_abandon", &abandons},
        {"offload_abandon in race", &abandon_in_race},
        {"for_each", &for_each_of_vector},
        {"for_each collects", &for_each_collects},
        {"for_each stops", &for_each_stops},
        {"for_each of a queue", &for_each_of_queue},
        {"retry", &retries},
        {"rate limiter", &limits_rate},
    };
}

} // namespace eddy_test::sweeps

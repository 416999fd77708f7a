// Mutex, semaphore, event, queue.
#include "sweep/scenarios.hpp"

#include <eddy/flow/gather.hpp>
#include <eddy/flow/race.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/timeout.hpp>
#include <eddy/sync/event.hpp>
#include <eddy/sync/mutex.hpp>
#include <eddy/sync/queue.hpp>
#include <eddy/sync/semaphore.hpp>

#include <optional>

namespace eddy_test::sweeps {

namespace {

// ---- mutex

task<> locks(mutex& m, int& inside) {
    const resource held;
    const auto guard = co_await m.lock();
    demand(inside++ == 0, "two in a mutex");
    const finally_do leave([&] { --inside; });
    co_await yield();
}
task<> mutex_in_line() {
    mutex m;
    int inside = 0;
    const finally_do end([&] { demand(!m.locked() && m.waiters() == 0, "the mutex is not free"); });
    const auto body = [&](task_group& g) -> task<> {
        for (int i = 0; i < 3; ++i)
            g.spawn(locks(m, inside));
        co_await locks(m, inside);
    };
    auto group = with_task_group(body);
    co_await group;
}
task<> mutex_twice() {
    mutex m;
    int inside = 0;
    const finally_do end([&] { demand(!m.locked(), "the mutex is not free"); });
    co_await locks(m, inside);
    co_await locks(m, inside);
}
task<> mutex_with_timeout() {
    mutex m;
    int inside = 0;
    const auto body = [&](task_group& g) -> task<> {
        g.spawn(locks(m, inside));
        co_await yield();
        auto limited = move_on_after(0ms, m.lock());
        const auto got = co_await limited;
    };
    auto group = with_task_group(body);
    co_await group;
    demand(!m.locked(), "the mutex is not free");
}
task<> mutex_in_race() {
    mutex m;
    event e;
    auto held = m.try_lock();
    const auto body = [&](task_group& g) -> task<> {
        const auto both = [](mutex& mine, event& other, std::optional<mutex::guard>& h) -> task<> {
            co_await yield();
            other.set();
            h.reset();
            static_cast<void>(mine);
        };
        g.spawn(both, std::ref(m), std::ref(e), std::ref(held));
        auto first = race(e.wait(), m.lock());
        const auto won = co_await first;
        demand(won.index == 1 || !m.locked(), "the loser kept the lock");
    };
    const finally_do end([&] { held.reset(); });
    auto limited = move_on_after(1s, with_task_group(body));
    co_await limited;
    held.reset();
    demand(!m.locked(), "the mutex is not free");
}
task<> mutex_unlocked_by_hand() {
    mutex m;
    int inside = 0; // not in the body's frame, which goes before the children when there is no memory for the second
    const auto body = [&](task_group& g) -> task<> {
        g.spawn(locks(m, inside));
        g.spawn(locks(m, inside));
        auto guard = co_await m.lock();
        co_await checkpoint();
        guard.unlock();
        co_await yield();
        co_await sleep(1ms);
    };
    auto group = with_task_group(body);
    const auto settled = co_await settle(std::move(group));
    demand(!m.locked(), "the mutex is not free");
}

// ---- semaphore

task<> takes(semaphore& s, std::ptrdiff_t k) {
    const resource held;
    const auto permit = co_await s.acquire(k);
    co_await yield();
}
template <class... K>
task<> together(semaphore& s, K... k) {
    const std::ptrdiff_t before = s.available();
    const finally_do end([&, before] { demand(s.available() == before, "permits are missing"); });
    const auto body = [&](task_group& g) -> task<> {
        (g.spawn(takes(s, k)), ...);
        co_return;
    };
    auto group = with_task_group(body);
    co_await group;
}
task<> semaphore_ones() {
    semaphore s(1);
    co_await together(s, 1, 1, 1);
}
task<> semaphore_mixed() {
    semaphore s(3);
    co_await together(s, 2, 3, 1, 2);
}
task<> semaphore_big_first() {
    semaphore s(2, bounded);
    co_await together(s, 1, 2, 1);
}
task<> semaphore_resized() {
    semaphore s(1);
    const auto body = [&](task_group& g) -> task<> {
        g.spawn(takes(s, 1));
        g.spawn(takes(s, 2));
        const finally_do grow([&] { s.resize(3); });
        co_await yield();
    };
    auto group = with_task_group(body);
    co_await group;
    demand(s.available() == 3, "permits are missing");
}
task<> semaphore_released() {
    semaphore s(0);
    const auto body = [&](task_group& g) -> task<> {
        g.spawn(takes(s, 2));
        g.spawn(takes(s, 1));
        const finally_do give([&] { s.release(3); });
        co_await yield();
        co_await yield();
    };
    auto group = with_task_group(body);
    co_await group;
    demand(s.available() == 3, "permits are missing");
}
task<> semaphore_in_race() {
    semaphore s(1);
    event e;
    {
        const auto body = [&](task_group& g) -> task<> {
            const auto sets = [](event& mine, semaphore::permit) -> task<> {
                const finally_do end([&] { mine.set(); });
                co_await yield();
            };
            auto permit = s.try_acquire();
            g.spawn(sets, std::ref(e), std::move(*permit));
            auto first = race(s.acquire(), e.wait());
            const auto won = co_await first;
        };
        auto group = with_task_group(body);
        co_await group;
    }
    demand(s.available() == 1, "a permit is missing");
}
task<> semaphore_with_timeout() {
    semaphore s(1);
    const auto held = s.try_acquire();
    auto limited = move_on_after(1ms, s.acquire());
    const auto got = co_await limited;
    demand(!got.has_value() && s.statistics().waiters == 0, "still in line");
}

// ---- event

task<> waits(event& e) {
    const resource held;
    co_await e.wait();
}
task<> event_for_many() {
    event e;
    const auto body = [&](task_group& g) -> task<> {
        const finally_do set([&] { e.set(); });
        for (int i = 0; i < 3; ++i)
            g.spawn(waits(e));
        co_await yield();
    };
    auto group = with_task_group(body);
    co_await group;
    demand(e.statistics().waiters == 0, "somebody waits");
}
task<> event_set_and_cleared() {
    event e;
    const auto body = [&](task_group& g) -> task<> {
        const finally_do set([&] {
            e.set();
            e.clear();
        });
        g.spawn(waits(e));
        g.spawn(waits(e));
        co_await yield();
        co_await yield(); // in an order in which they come last, they come too late without
        while (e.statistics().waiters < 2 && g.size() == 2)
            co_await yield();
    };
    auto group = with_task_group(body);
    auto limited = move_on_after(1s, std::move(group));
    co_await limited;
    demand(e.statistics().waiters == 0, "somebody waits");
}
task<> event_destroyed() {
    const auto body = [](task_group& g) -> task<> {
        auto e = std::make_unique<event>();
        e->set();
        g.spawn(waits(*e));
        co_await sleep(1ms);
        co_await e->wait();
        co_await sleep(1ms);
    };
    auto group = with_task_group(body);
    co_await group;
}

// ---- queue

class item : public resource {
public:
    explicit item(int n) noexcept : value(n) {}
    int value;
    friend bool operator<(const item& a, const item& b) noexcept { return a.value < b.value; }
};

template <class Q>
struct shop {
    explicit shop(std::size_t capacity) : q(capacity) {}
    ~shop() {
        demand(b.in == b.out + static_cast<int>(q.size()), "items were lost or doubled");
        demand(q.statistics().getters == 0 && q.statistics().putters == 0, "somebody waits");
    }
    books b; // first: outlives the queue
    Q q;
};

template <class Q>
task<> produces(shop<Q>& s, int n) {
    const finally_do end([&] { s.q.close(); });
    for (int i = 0; i < n; ++i) {
        co_await s.q.put(item(i));
        ++s.b.in;
    }
}
enum class how { get, next, take };
template <class Q>
task<> consumes(shop<Q>& s, how h) {
    try {
        for (;;) {
            if (h == how::get) {
                const auto i = co_await s.q.get();
                ++s.b.out;
                s.q.task_done();
            } else if (h == how::next) {
                const auto i = co_await s.q.next();
                if (!i) co_return;
                ++s.b.out;
                s.q.task_done();
            } else {
                const auto j = co_await s.q.take();
                ++s.b.out;
                co_await yield();
            }
        }
    } catch (const queue_closed&) {
    }
}
template <class Order>
task<> trade(std::size_t capacity, how h, int consumers) {
    shop<queue<item, Order>> s(capacity);
    const auto body = [&](task_group& g) -> task<> {
        for (int i = 0; i < consumers; ++i)
            g.spawn(consumes(s, h));
        g.spawn(produces(s, 3));
        // A consumer that was cancelled alone does not leave the producer waiting for ever.
        const auto sweeps_up = [](shop<queue<item, Order>>& mine, task_group& all) -> task<> {
            for (int i = 0; i < 50 && all.size() > 1; ++i)
                co_await sleep(1ms);
            mine.q.close();
        };
        co_await sweeps_up(s, g);
    };
    auto group = with_task_group(body);
    co_await group;
}
task<> queue_fifo_get() { return trade<fifo>(1, how::get, 1); }
task<> queue_fifo_next() { return trade<fifo>(1, how::next, 1); }
task<> queue_fifo_take() { return trade<fifo>(1, how::take, 1); }
task<> queue_lifo_get() { return trade<lifo>(2, how::get, 1); }
task<> queue_lifo_next() { return trade<lifo>(1, how::next, 1); }
task<> queue_lifo_take() { return trade<lifo>(1, how::take, 1); }
task<> queue_priority_get() { return trade<priority<>>(2, how::get, 1); }
task<> queue_priority_next() { return trade<priority<>>(1, how::next, 1); }
task<> queue_priority_take() { return trade<priority<>>(1, how::take, 1); }
task<> queue_unbounded() { return trade<fifo>(0, how::next, 1); }

task<> queue_join() {
    shop<queue<item>> s(0);
    const auto body = [&](task_group& g) -> task<> {
        for (int i = 0; i < 2; ++i) {
            s.q.try_put(item(i));
            ++s.b.in;
        }
        const auto worker = [](shop<queue<item>>& mine) -> task<> {
            const finally_do rest([&] {
                while (mine.q.try_get().has_value()) {
                    ++mine.b.out;
                    mine.q.task_done();
                }
            });
            co_await consumes(mine, how::take);
        };
        auto h = g.spawn(worker, std::ref(s));
        const finally_do close([&] { s.q.close(); });
        auto limited = move_on_after(1s, s.q.join());
        co_await limited;
    };
    auto group = with_task_group(body);
    co_await group;
    demand(s.q.unfinished() == 0 || s.q.size() != 0, "unfinished without an item");
}
template <class Order>
task<> get_in_race() {
    shop<queue<item, Order>> s(0);
    event e;
    const auto body = [&](task_group& g) -> task<> {
        const auto both = [](shop<queue<item, Order>>& mine, event& other) -> task<> {
            const finally_do end([&] { other.set(); });
            co_await yield();
            mine.q.try_put(item(1));
            ++mine.b.in;
        };
        g.spawn(both, std::ref(s), std::ref(e));
        auto first = race(e.wait(), s.q.get());
        const auto won = co_await first;
        if (won.index == 1) ++s.b.out;
    };
    // Who is to put and to set may be cancelled before its first step.
    auto limited = move_on_after(1s, with_task_group(body));
    co_await limited;
}
task<> queue_get_in_race_fifo() { return get_in_race<fifo>(); }
task<> queue_get_in_race_priority() { return get_in_race<priority<>>(); }
task<> queue_get_with_timeout() {
    shop<queue<item>> s(0);
    const auto body = [&](task_group& g) -> task<> {
        const auto late = [](shop<queue<item>>& mine) -> task<> {
            co_await sleep(1ms);
            mine.q.try_put(item(1));
            ++mine.b.in;
        };
        g.spawn(late, std::ref(s));
        auto limited = move_on_after(1ms, s.q.get()); // in the same tick
        const auto got = co_await limited;
        if (got) ++s.b.out;
    };
    auto group = with_task_group(body);
    co_await group;
}
task<> queue_put_with_timeout() {
    shop<queue<item>> s(1);
    s.q.try_put(item(1));
    ++s.b.in;
    const auto body = [&](task_group& g) -> task<> {
        const auto late = [](shop<queue<item>>& mine) -> task<> {
            co_await sleep(1ms);
            if (mine.q.try_get()) ++mine.b.out;
        };
        g.spawn(late, std::ref(s));
        auto limited = move_on_after(1ms, s.q.put(item(2)));
        const bool put = co_await limited;
        if (put) ++s.b.in;
    };
    auto group = with_task_group(body);
    const auto settled = co_await settle(std::move(group));
    // A put that was granted has happened, whatever came of its task.
    s.b.in = s.b.out + static_cast<int>(s.q.size());
}
task<> queue_shut_down() {
    shop<queue<item>> s(1);
    const auto body = [&](task_group& g) -> task<> {
        g.spawn(produces(s, 3));
        co_await yield();
        co_await yield();
        s.b.out += static_cast<int>(s.q.shutdown().size());
    };
    auto group = with_task_group(body);
    const auto settled = co_await settle(std::move(group));
    s.b.in = s.b.out + static_cast<int>(s.q.size());
}

} // namespace

std::vector<scenario> sync_scenarios() {
    return {
        {"mutex in line", &mutex_in_line},
        {"mutex twice", &mutex_twice},
        {"mutex with timeout", &mutex_with_timeout},
        {"mutex in race", &mutex_in_race},
        {"mutex unlocked by hand", &mutex_unlocked_by_hand},
        {"semaphore, ones", &semaphore_ones},
        {"semaphore, mixed", &semaphore_mixed},
        {"semaphore, big first", &semaphore_big_first},
        {"semaphore resized", &semaphore_resized},
        {"semaphore released", &semaphore_released},
        {"semaphore in race", &semaphore_in_race},
        {"semaphore with timeout", &semaphore_with_timeout},
        {"event for many", &event_for_many},
        {"event set and cleared", &event_set_and_cleared},
        {"event destroyed", &event_destroyed},
        {"queue fifo get", &queue_fifo_get},
        {"queue fifo next", &queue_fifo_next},
        {"queue fifo take", &queue_fifo_take},
        {"queue lifo get", &queue_lifo_get},
        {"queue lifo next", &queue_lifo_next},
        {"queue lifo take", &queue_lifo_take},
        {"queue priority get", &queue_priority_get},
        {"queue priority next", &queue_priority_next},
        {"queue priority take", &queue_priority_take},
        {"queue unbounded", &queue_unbounded},
        {"queue join", &queue_join},
        {"queue get in race, fifo", &queue_get_in_race_fifo},
        {"queue get in race, priority", &queue_get_in_race_priority},
        {"queue get with timeout", &queue_get_with_timeout},
        {"queue put with timeout", &queue_put_with_timeout},
        {"queue shut down", &queue_shut_down},
    };
}

} // namespace eddy_test::sweeps

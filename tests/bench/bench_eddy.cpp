// The workloads in eddy, as a user would write them. bench_limit.cpp has the same ones, in the same order, on the
// limit.
#include <eddy/eddy.hpp>

#include "bench.hpp"

#include <atomic>
#include <utility>

namespace {

using bench::scaled;
using eddy::task;
using eddy::task_group;
using namespace std::chrono_literals;

// The time of the work alone: the loop is made before and closed after it.
task<std::int64_t> timed(clockid_t clock, task<void> work) {
    const bench::stopwatch watch(clock);
    co_await std::move(work);
    co_return watch.elapsed();
}

std::int64_t measure(task<void> work, clockid_t clock = CLOCK_PROCESS_CPUTIME_ID) {
    return eddy::run(timed(clock, std::move(work)));
}

// ---- W1: spawn and join

task<void> trivial() { co_return; }

task<void> spawn_and_join(std::int64_t rounds, std::int64_t tasks) {
    for (std::int64_t round = 0; round < rounds; ++round) {
        auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
            for (std::int64_t i = 0; i < tasks; ++i) {
                g.spawn(trivial());
            }
            co_return;
        });
        co_await group;
    }
}

bench::result w1a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    const bench::memory_meter memory;
    const std::int64_t nanoseconds = measure(spawn_and_join(1, tasks));
    return {nanoseconds, tasks, memory.per(tasks)};
}

task<std::int64_t> spawn_and_join_warm(std::int64_t rounds) {
    co_await spawn_and_join(10, 1'000);
    co_return co_await timed(CLOCK_PROCESS_CPUTIME_ID, spawn_and_join(rounds, 1'000));
}

bench::result w1b(double scale) {
    const std::int64_t rounds = scaled(1'000, scale);
    return {eddy::run(spawn_and_join_warm(rounds)), rounds * 1'000};
}

// ---- W2: yield

task<void> yielder(std::int64_t times) {
    for (std::int64_t i = 0; i < times; ++i) {
        co_await eddy::yield();
    }
}

task<void> yielders(std::int64_t tasks, std::int64_t times) {
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        for (std::int64_t i = 0; i < tasks; ++i) {
            g.spawn(yielder(times));
        }
        co_return;
    });
    co_await group;
}

bench::result yields(std::int64_t tasks, std::int64_t times) {
    return {measure(yielders(tasks, times)), tasks * times};
}

bench::result w2a(double scale) { return yields(1'000, scaled(1'000, scale)); }

bench::result w2b(double scale) { return yields(1, scaled(1'000'000, scale)); }

// ---- W3: awaiting a child

task<std::int64_t> child(std::int64_t n) { co_return n; }

task<void> parent(std::int64_t times) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        sum += co_await child(1);
    }
    bench::require(sum == times, "a child's value");
}

bench::result w3a(double scale) {
    const std::int64_t times = scaled(10'000'000, scale);
    return {measure(parent(times)), times};
}

task<std::int64_t> recurse(std::int64_t depth) {
    if (depth == 0) {
        co_return 0;
    }
    const std::int64_t below = co_await recurse(depth - 1);
    co_return below + 1;
}

task<void> descend(std::int64_t times) {
    for (std::int64_t i = 0; i < times; ++i) {
        const std::int64_t depth = co_await recurse(1'000);
        bench::require(depth == 1'000, "the depth");
    }
}

bench::result w3b(double scale) {
    const std::int64_t times = scaled(1'000, scale);
    return {measure(descend(times)), times * 1'000};
}

// ---- W4: queue

task<void> produce(eddy::queue<std::int64_t>& q, std::int64_t items) {
    for (std::int64_t i = 0; i < items; ++i) {
        co_await q.put(i);
    }
}

task<void> consume(eddy::queue<std::int64_t>& q, std::int64_t& sum) {
    for (;;) {
        sum += co_await q.get();
        q.task_done();
    }
}

task<void> through_queue(std::size_t capacity, std::int64_t consumers, std::int64_t items) {
    eddy::queue<std::int64_t> q(capacity);
    std::int64_t sum = 0;
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        for (std::int64_t i = 0; i < consumers; ++i) {
            g.spawn(consume(q, sum));
        }
        auto producer = g.spawn(produce(q, items));
        co_await producer;
        co_await q.join();
        g.cancel();
    });
    co_await group;
    bench::require(sum == items * (items - 1) / 2, "the sum of the items");
}

bench::result queueing(std::size_t capacity, std::int64_t consumers, std::int64_t items) {
    return {measure(through_queue(capacity, consumers, items)), items};
}

bench::result w4a(double scale) { return queueing(100, 50, scaled(1'000'000, scale)); }

bench::result w4b(double scale) { return queueing(1, 1, scaled(1'000'000, scale)); }

// ---- W5: mutex

task<void> lock_alone(std::int64_t times) {
    eddy::mutex m;
    std::int64_t inside = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        const auto guard = co_await m.lock();
        bench::keep(++inside);
    }
    bench::require(inside == times, "the number of locks");
}

bench::result w5a(double scale) {
    const std::int64_t times = scaled(10'000'000, scale);
    return {measure(lock_alone(times)), times};
}

task<void> locker(eddy::mutex& m, std::int64_t times, std::int64_t& inside) {
    for (std::int64_t i = 0; i < times; ++i) {
        const auto guard = co_await m.lock();
        bench::require(++inside == 1, "one at a time");
        co_await eddy::yield();
        --inside;
    }
}

task<void> lockers(std::int64_t tasks, std::int64_t times) {
    eddy::mutex m;
    std::int64_t inside = 0;
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        for (std::int64_t i = 0; i < tasks; ++i) {
            g.spawn(locker(m, times, inside));
        }
        co_return;
    });
    co_await group;
}

bench::result w5b(double scale) {
    const std::int64_t times = scaled(1'000, scale);
    return {measure(lockers(1'000, times)), times * 1'000};
}

// ---- W6: semaphore

task<void> user(eddy::semaphore& s, std::int64_t times, std::int64_t& inside) {
    for (std::int64_t i = 0; i < times; ++i) {
        const auto permit = co_await s.acquire();
        bench::require(++inside <= 10, "ten at a time");
        co_await eddy::yield();
        --inside;
    }
}

task<void> users(std::int64_t tasks, std::int64_t times) {
    eddy::semaphore s(10);
    std::int64_t inside = 0;
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        for (std::int64_t i = 0; i < tasks; ++i) {
            g.spawn(user(s, times, inside));
        }
        co_return;
    });
    co_await group;
}

bench::result w6(double scale) {
    const std::int64_t times = scaled(1'000, scale);
    return {measure(users(1'000, times)), times * 1'000};
}

// ---- W7: timers

task<void> sleeper(std::chrono::nanoseconds duration) { co_await eddy::sleep(duration); }

task<void> sleepers(std::int64_t tasks) {
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        bench::random_number random;
        for (std::int64_t i = 0; i < tasks; ++i) {
            g.spawn(sleeper(std::chrono::nanoseconds(random.below(100'000'000))));
        }
        co_return;
    });
    co_await group;
}

bench::result w7a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    const bench::memory_meter memory;
    const std::int64_t nanoseconds = measure(sleepers(tasks));
    return {nanoseconds, tasks, memory.per(tasks)};
}

task<void> limit_ready(std::int64_t times) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        auto limited = eddy::timeout(1s, child(1));
        sum += co_await limited;
    }
    bench::require(sum == times, "a child's value");
}

bench::result w7b(double scale) {
    const std::int64_t times = scaled(5'000'000, scale);
    return {measure(limit_ready(times)), times};
}

task<std::int64_t> yield_once(std::int64_t n) {
    co_await eddy::yield();
    co_return n;
}

task<void> limit_yield(std::int64_t times) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        auto limited = eddy::timeout(1s, yield_once(1));
        sum += co_await limited;
    }
    bench::require(sum == times, "a child's value");
}

bench::result w7c(double scale) {
    const std::int64_t times = scaled(5'000'000, scale);
    return {measure(limit_yield(times)), times};
}

// ---- W8: cancelling sleepers. The clock runs from the request to the end of the join.

task<void> catching_sleeper(std::int64_t& caught) {
    try {
        co_await eddy::sleep(1h);
    } catch (const eddy::cancelled&) {
        ++caught;
    }
}

task<std::int64_t> cancel_sleepers(std::int64_t tasks, bool catching) {
    std::int64_t caught = 0;
    bench::stopwatch watch;
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        for (std::int64_t i = 0; i < tasks; ++i) {
            if (catching) {
                g.spawn(catching_sleeper(caught));
            } else {
                g.spawn(sleeper(1h));
            }
        }
        co_await eddy::yield();
        watch = bench::stopwatch();
        g.cancel();
    });
    co_await group;
    const std::int64_t nanoseconds = watch.elapsed();
    bench::require(caught == (catching ? tasks : 0), "the number of tasks that caught it");
    co_return nanoseconds;
}

bench::result w8a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    return {eddy::run(cancel_sleepers(tasks, false)), tasks};
}

bench::result w8b(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    return {eddy::run(cancel_sleepers(tasks, true)), tasks};
}

// ---- W9: offload, by the wall clock

task<void> offload_often(std::int64_t times, std::atomic<std::int64_t>& ran) {
    for (std::int64_t i = 0; i < times; ++i) {
        auto call = eddy::offload([&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
        co_await call;
    }
}

task<void> offloaders(std::int64_t tasks, std::int64_t times) {
    std::atomic<std::int64_t> ran{0};
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        for (std::int64_t i = 0; i < tasks; ++i) {
            g.spawn(offload_often(times, ran));
        }
        co_return;
    });
    co_await group;
    bench::require(ran == tasks * times, "the number of calls");
}

bench::result offloads(std::int64_t tasks, std::int64_t times) {
    return {measure(offloaders(tasks, times), CLOCK_MONOTONIC), tasks * times};
}

bench::result w9a(double scale) { return offloads(1'000, scaled(1'000, scale)); }

bench::result w9b(double scale) { return offloads(1, scaled(20'000, scale)); }

task<void> run_often(eddy::thread_pool& pool, std::int64_t times, std::atomic<std::int64_t>& ran) {
    for (std::int64_t i = 0; i < times; ++i) {
        auto call = pool.run([&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
        co_await call;
    }
}

task<void> pool_users(std::int64_t tasks, std::int64_t times) {
    std::atomic<std::int64_t> ran{0};
    eddy::thread_pool pool(4);
    auto group = eddy::with_task_group([&](task_group& g) -> task<void> {
        for (std::int64_t i = 0; i < tasks; ++i) {
            g.spawn(run_often(pool, times, ran));
        }
        co_return;
    });
    co_await group;
    co_await pool.close();
    bench::require(ran == tasks * times, "the number of calls");
}

// The same in a pool of the program's own.
bench::result w9c(double scale) {
    const std::int64_t tasks = 1'000;
    const std::int64_t times = scaled(1'000, scale);
    return {measure(pool_users(tasks, times), CLOCK_MONOTONIC), tasks * times};
}

} // namespace

int main(int argc, char** argv) {
    return bench::main(argc, argv,
                       {{"W1a", w1a},
                        {"W1b", w1b},
                        {"W2a", w2a},
                        {"W2b", w2b},
                        {"W3a", w3a},
                        {"W3b", w3b},
                        {"W4a", w4a},
                        {"W4b", w4b},
                        {"W5a", w5a},
                        {"W5b", w5b},
                        {"W6", w6},
                        {"W7a", w7a},
                        {"W7b", w7b},
                        {"W7c", w7c},
                        {"W8a", w8a},
                        {"W8b", w8b},
                        {"W9a", w9a},
                        {"W9b", w9b},
                        {"W9c", w9c}});
}

// The workloads on the limit (limit.hpp). bench_eddy.cpp has the same ones, in the same order, for eddy.
#include "bench.hpp"
#include "limit.hpp"

namespace {

using bench::scaled;
using limit::job;
using limit::task;

constexpr std::uint64_t one_hour = 3'600'000'000'000;
constexpr std::uint64_t one_second = 1'000'000'000;
constexpr std::uint64_t hundred_milliseconds = 100'000'000;

// ---- W1: spawn and join

job trivial() { co_return; }

job spawn_and_join(std::int64_t rounds, std::int64_t tasks, bool& finished) {
    for (std::int64_t round = 0; round < rounds; ++round) {
        limit::group g;
        for (std::int64_t i = 0; i < tasks; ++i) {
            g.spawn(trivial());
        }
        co_await g.join();
    }
    finished = true;
}

bench::result w1a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    bool finished = false;
    const bench::memory_meter memory;
    const bench::stopwatch watch;
    limit::run(spawn_and_join(1, tasks, finished), finished);
    return {watch.elapsed(), tasks, memory.per(tasks)};
}

bench::result w1b(double scale) {
    const std::int64_t rounds = scaled(1'000, scale);
    bool warm = false;
    limit::run(spawn_and_join(10, 1'000, warm), warm);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(spawn_and_join(rounds, 1'000, finished), finished);
    return {watch.elapsed(), rounds * 1'000};
}

// ---- W2: yield

job yielder(std::int64_t times) {
    for (std::int64_t i = 0; i < times; ++i) {
        co_await limit::yield();
    }
}

job yielders(std::int64_t tasks, std::int64_t times, bool& finished) {
    limit::group g;
    for (std::int64_t i = 0; i < tasks; ++i) {
        g.spawn(yielder(times));
    }
    co_await g.join();
    finished = true;
}

bench::result yields(std::int64_t tasks, std::int64_t times) {
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(yielders(tasks, times, finished), finished);
    return {watch.elapsed(), tasks * times};
}

bench::result w2a(double scale) { return yields(1'000, scaled(1'000, scale)); }

bench::result w2b(double scale) { return yields(1, scaled(1'000'000, scale)); }

// ---- W3: awaiting a child

task<std::int64_t> child(std::int64_t n) { co_return n; }

job parent(std::int64_t times, bool& finished) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        sum += co_await child(1);
    }
    bench::require(sum == times, "a child's value");
    finished = true;
}

bench::result w3a(double scale) {
    const std::int64_t times = scaled(10'000'000, scale);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(parent(times, finished), finished);
    return {watch.elapsed(), times};
}

task<std::int64_t> recurse(std::int64_t depth) {
    if (depth == 0) {
        co_return 0;
    }
    const std::int64_t below = co_await recurse(depth - 1);
    co_return below + 1;
}

job descend(std::int64_t times, bool& finished) {
    for (std::int64_t i = 0; i < times; ++i) {
        const std::int64_t depth = co_await recurse(1'000);
        bench::require(depth == 1'000, "the depth");
    }
    finished = true;
}

bench::result w3b(double scale) {
    const std::int64_t times = scaled(1'000, scale);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(descend(times, finished), finished);
    return {watch.elapsed(), times * 1'000};
}

// ---- W4: queue

job produce(limit::queue<std::int64_t>& q, std::int64_t items) {
    for (std::int64_t i = 0; i < items; ++i) {
        co_await q.put(i);
    }
}

job consume(limit::queue<std::int64_t>& q, std::int64_t& sum) {
    try {
        for (;;) {
            sum += co_await q.get();
            q.task_done();
        }
    } catch (const limit::cancelled&) {
        co_return;
    }
}

job through_queue(std::size_t capacity, std::int64_t consumers, std::int64_t items, bool& finished) {
    limit::queue<std::int64_t> q(capacity);
    std::int64_t sum = 0;
    limit::group consuming;
    limit::group producing;
    for (std::int64_t i = 0; i < consumers; ++i) {
        consuming.spawn(consume(q, sum));
    }
    producing.spawn(produce(q, items));
    co_await producing.join();
    co_await q.join();
    consuming.cancel();
    co_await consuming.join();
    bench::require(sum == items * (items - 1) / 2, "the sum of the items");
    finished = true;
}

bench::result queueing(std::size_t capacity, std::int64_t consumers, std::int64_t items) {
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(through_queue(capacity, consumers, items, finished), finished);
    return {watch.elapsed(), items};
}

bench::result w4a(double scale) { return queueing(100, 50, scaled(1'000'000, scale)); }

bench::result w4b(double scale) { return queueing(1, 1, scaled(1'000'000, scale)); }

// ---- W5: mutex

job lock_alone(std::int64_t times, bool& finished) {
    limit::mutex m;
    std::int64_t inside = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        const auto guard = co_await m.lock();
        bench::keep(++inside);
    }
    bench::require(inside == times, "the number of locks");
    finished = true;
}

bench::result w5a(double scale) {
    const std::int64_t times = scaled(10'000'000, scale);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(lock_alone(times, finished), finished);
    return {watch.elapsed(), times};
}

job locker(limit::mutex& m, std::int64_t times, std::int64_t& inside) {
    for (std::int64_t i = 0; i < times; ++i) {
        const auto guard = co_await m.lock();
        bench::require(++inside == 1, "one at a time");
        co_await limit::yield();
        --inside;
    }
}

job lockers(std::int64_t tasks, std::int64_t times, bool& finished) {
    limit::mutex m;
    std::int64_t inside = 0;
    limit::group g;
    for (std::int64_t i = 0; i < tasks; ++i) {
        g.spawn(locker(m, times, inside));
    }
    co_await g.join();
    finished = true;
}

bench::result w5b(double scale) {
    const std::int64_t times = scaled(1'000, scale);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(lockers(1'000, times, finished), finished);
    return {watch.elapsed(), times * 1'000};
}

// ---- W6: semaphore

job user(limit::semaphore& s, std::int64_t times, std::int64_t& inside) {
    for (std::int64_t i = 0; i < times; ++i) {
        const auto permit = co_await s.acquire();
        bench::require(++inside <= 10, "ten at a time");
        co_await limit::yield();
        --inside;
    }
}

job users(std::int64_t tasks, std::int64_t times, bool& finished) {
    limit::semaphore s(10);
    std::int64_t inside = 0;
    limit::group g;
    for (std::int64_t i = 0; i < tasks; ++i) {
        g.spawn(user(s, times, inside));
    }
    co_await g.join();
    finished = true;
}

bench::result w6(double scale) {
    const std::int64_t times = scaled(1'000, scale);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(users(1'000, times, finished), finished);
    return {watch.elapsed(), times * 1'000};
}

// ---- W7: timers

job sleeper(std::uint64_t nanoseconds) { co_await limit::sleep(nanoseconds); }

job sleepers(std::int64_t tasks, bool& finished) {
    bench::random_number random;
    limit::group g;
    for (std::int64_t i = 0; i < tasks; ++i) {
        g.spawn(sleeper(random.below(hundred_milliseconds)));
    }
    co_await g.join();
    finished = true;
}

bench::result w7a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    bool finished = false;
    const bench::memory_meter memory;
    const bench::stopwatch watch;
    limit::run(sleepers(tasks, finished), finished);
    return {watch.elapsed(), tasks, memory.per(tasks)};
}

job limit_ready(std::int64_t times, bool& finished) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        sum += co_await limit::timeout(one_second, child(1));
    }
    bench::require(sum == times, "a child's value");
    finished = true;
}

bench::result w7b(double scale) {
    const std::int64_t times = scaled(5'000'000, scale);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(limit_ready(times, finished), finished);
    return {watch.elapsed(), times};
}

task<std::int64_t> yield_once(std::int64_t n) {
    co_await limit::yield();
    co_return n;
}

job limit_yield(std::int64_t times, bool& finished) {
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < times; ++i) {
        sum += co_await limit::timeout(one_second, yield_once(1));
    }
    bench::require(sum == times, "a child's value");
    finished = true;
}

bench::result w7c(double scale) {
    const std::int64_t times = scaled(5'000'000, scale);
    bool finished = false;
    const bench::stopwatch watch;
    limit::run(limit_yield(times, finished), finished);
    return {watch.elapsed(), times};
}

// ---- W8: cancelling sleepers. The clock runs from the request to the end of the join.

job catching_sleeper(std::int64_t& caught) {
    try {
        co_await limit::sleep(one_hour);
    } catch (const limit::cancelled&) {
        ++caught;
    }
}

job destroy_sleepers(std::int64_t tasks, std::int64_t& nanoseconds, bool& finished) {
    limit::group g;
    for (std::int64_t i = 0; i < tasks; ++i) {
        g.spawn(sleeper(one_hour));
    }
    co_await limit::yield();
    const bench::stopwatch watch;
    g.destroy();
    co_await g.join();
    nanoseconds = watch.elapsed();
    finished = true;
}

job cancel_sleepers(std::int64_t tasks, std::int64_t& nanoseconds, bool& finished) {
    std::int64_t caught = 0;
    limit::group g;
    for (std::int64_t i = 0; i < tasks; ++i) {
        g.spawn(catching_sleeper(caught));
    }
    co_await limit::yield();
    const bench::stopwatch watch;
    g.cancel();
    co_await g.join();
    nanoseconds = watch.elapsed();
    bench::require(caught == tasks, "the number of cancelled tasks");
    finished = true;
}

bench::result w8a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    std::int64_t nanoseconds = 0;
    bool finished = false;
    limit::run(destroy_sleepers(tasks, nanoseconds, finished), finished);
    return {nanoseconds, tasks};
}

bench::result w8b(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    std::int64_t nanoseconds = 0;
    bool finished = false;
    limit::run(cancel_sleepers(tasks, nanoseconds, finished), finished);
    return {nanoseconds, tasks};
}

// ---- W9: offload, by the wall clock

job offload_often(std::int64_t times, std::atomic<std::int64_t>& ran) {
    for (std::int64_t i = 0; i < times; ++i) {
        auto op = limit::offload([&ran] { ran.fetch_add(1, std::memory_order_relaxed); });
        co_await op;
    }
}

job offloaders(std::int64_t tasks, std::int64_t times, bool& finished) {
    std::atomic<std::int64_t> ran{0};
    limit::group g;
    for (std::int64_t i = 0; i < tasks; ++i) {
        g.spawn(offload_often(times, ran));
    }
    co_await g.join();
    bench::require(ran == tasks * times, "the number of calls");
    finished = true;
}

bench::result offloads(std::int64_t tasks, std::int64_t times) {
    bool finished = false;
    const bench::stopwatch watch(CLOCK_MONOTONIC);
    limit::run(offloaders(tasks, times, finished), finished);
    return {watch.elapsed(), tasks * times};
}

bench::result w9a(double scale) { return offloads(1'000, scaled(1'000, scale)); }

bench::result w9b(double scale) { return offloads(1, scaled(20'000, scale)); }

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
                        {"W9c", w9a}});
}

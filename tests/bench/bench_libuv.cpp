// The workloads in plain libuv callbacks, where that makes sense: one straightforward program, for comparison.
#include "bench.hpp"

#include <uv.h>

#include <atomic>
#include <memory>
#include <vector>

namespace {

using bench::scaled;

constexpr std::uint64_t one_hour = 3'600'000;
constexpr std::uint64_t one_second = 1'000;
constexpr std::uint64_t hundred_milliseconds = 100;

class loop {
public:
    loop() { uv_loop_init(&uv_); }
    loop(const loop&) = delete;
    loop& operator=(const loop&) = delete;
    ~loop() { uv_loop_close(&uv_); }

    [[nodiscard]] uv_loop_t* uv() { return &uv_; }
    void run() { uv_run(&uv_, UV_RUN_DEFAULT); }

private:
    uv_loop_t uv_{};
};

template <class Handle>
void close(Handle& handle) {
    uv_close(reinterpret_cast<uv_handle_t*>(&handle), nullptr);
}

// ---- W2: an idle handle is called once a turn of the loop

struct yielder {
    uv_idle_t idle{};
    std::int64_t left = 0;
};

bench::result yields(std::int64_t tasks, std::int64_t times) {
    loop l;
    std::vector<yielder> yielders(static_cast<std::size_t>(tasks));
    const bench::stopwatch watch;
    for (yielder& y : yielders) {
        y.left = times;
        uv_idle_init(l.uv(), &y.idle);
        y.idle.data = &y;
        uv_idle_start(&y.idle, [](uv_idle_t* idle) {
            if (--static_cast<yielder*>(idle->data)->left == 0) {
                uv_idle_stop(idle);
                close(*idle);
            }
        });
    }
    l.run();
    return {watch.elapsed(), tasks * times};
}

bench::result w2a(double scale) { return yields(1'000, scaled(1'000, scale)); }

bench::result w2b(double scale) { return yields(1, scaled(1'000'000, scale)); }

// ---- W7: timers

bench::result w7a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    loop l;
    bench::random_number random;
    const bench::memory_meter memory;
    const bench::stopwatch watch;
    const auto timers = std::make_unique_for_overwrite<uv_timer_t[]>(static_cast<std::size_t>(tasks));
    for (std::int64_t i = 0; i < tasks; ++i) {
        uv_timer_t& t = timers[static_cast<std::size_t>(i)];
        uv_timer_init(l.uv(), &t);
        uv_timer_start(&t, [](uv_timer_t* timer) { close(*timer); }, random.below(hundred_milliseconds), 0);
    }
    l.run();
    return {watch.elapsed(), tasks, memory.per(tasks)};
}

bench::result w7b(double scale) {
    const std::int64_t times = scaled(5'000'000, scale);
    loop l;
    uv_timer_t timer;
    uv_timer_init(l.uv(), &timer);
    const bench::stopwatch watch;
    for (std::int64_t i = 0; i < times; ++i) {
        uv_timer_start(&timer, [](uv_timer_t*) {}, one_second, 0);
        uv_timer_stop(&timer);
    }
    const std::int64_t nanoseconds = watch.elapsed();
    close(timer);
    l.run();
    return {nanoseconds, times};
}

// ---- W8: the clock runs from the first close to the last callback

bench::result w8a(double scale) {
    const std::int64_t tasks = scaled(1'000'000, scale);
    loop l;
    const auto timers = std::make_unique_for_overwrite<uv_timer_t[]>(static_cast<std::size_t>(tasks));
    for (std::int64_t i = 0; i < tasks; ++i) {
        uv_timer_t& t = timers[static_cast<std::size_t>(i)];
        uv_timer_init(l.uv(), &t);
        uv_timer_start(&t, [](uv_timer_t*) { bench::require(false, "a timer fired"); }, one_hour, 0);
    }
    const bench::stopwatch watch;
    for (std::int64_t i = 0; i < tasks; ++i) {
        close(timers[static_cast<std::size_t>(i)]);
    }
    l.run();
    return {watch.elapsed(), tasks};
}

// ---- W9: offload, by the wall clock

std::atomic<std::int64_t> calls{0};

struct offloader {
    uv_work_t work{};
    loop* where = nullptr;
    std::int64_t left = 0;

    void submit() {
        work.data = this;
        uv_queue_work(
            where->uv(), &work, [](uv_work_t*) { calls.fetch_add(1, std::memory_order_relaxed); },
            [](uv_work_t* done, int) {
                auto& self = *static_cast<offloader*>(done->data);
                if (--self.left != 0) {
                    self.submit();
                }
            });
    }
};

bench::result offloads(std::int64_t tasks, std::int64_t times) {
    loop l;
    std::vector<offloader> offloaders(static_cast<std::size_t>(tasks));
    const bench::stopwatch watch(CLOCK_MONOTONIC);
    for (offloader& o : offloaders) {
        o.where = &l;
        o.left = times;
        o.submit();
    }
    l.run();
    const std::int64_t nanoseconds = watch.elapsed();
    bench::require(calls == tasks * times, "the number of calls");
    return {nanoseconds, tasks * times};
}

bench::result w9a(double scale) { return offloads(1'000, scaled(1'000, scale)); }

bench::result w9b(double scale) { return offloads(1, scaled(20'000, scale)); }

} // namespace

int main(int argc, char** argv) {
    return bench::main(argc, argv,
                       {{"W2a", w2a},
                        {"W2b", w2b},
                        {"W7a", w7a},
                        {"W7b", w7b},
                        {"W8a", w8a},
                        {"W9a", w9a},
                        {"W9b", w9b},
                        {"W9c", w9a}});
}

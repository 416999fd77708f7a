// A group of tasks cancelled together: by the program, by a failure, by a time limit.
#include <eddy/eddy.hpp>

#include <cstdio>
#include <stdexcept>

using namespace std::chrono_literals;

eddy::task<void> worker(int& stopped) {
    try {
        co_await eddy::sleep(24h);
    } catch (const eddy::cancelled&) {
        ++stopped;
        throw;
    }
}

eddy::task<void> fail_soon() {
    co_await eddy::sleep(1ms);
    throw std::runtime_error("one of them failed");
}

eddy::task<void> main_task() {
    int stopped = 0;
    auto by_hand = eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<void> {
        for (int i = 0; i < 10; ++i)
            g.spawn(worker(stopped));
        co_await eddy::sleep(1ms);
        g.cancel();
    });
    co_await by_hand;
    std::printf("by hand: %d stopped\n", stopped);

    auto by_failure = eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<void> {
        for (int i = 0; i < 10; ++i)
            g.spawn(worker(stopped));
        g.spawn(fail_soon());
        co_return;
    });
    try {
        co_await by_failure;
    } catch (const std::runtime_error& e) {
        std::printf("%s: %d stopped\n", e.what(), stopped);
    }

    auto both = eddy::move_on_after(1ms, eddy::gather(worker(stopped), worker(stopped)));
    const auto in_time = co_await both;
    std::printf("in time: %s, %d stopped\n", in_time.has_value() ? "yes" : "no", stopped);
}

int main() { return eddy::run_main(main_task()); }

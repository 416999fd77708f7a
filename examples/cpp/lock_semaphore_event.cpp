// A lock, a semaphore and an event among tasks. (asyncio.Lock, asyncio.Semaphore, asyncio.Event)
#include <eddy/eddy.hpp>

#include <cstdio>

using namespace std::chrono_literals;

struct shared {
    eddy::mutex lock;
    eddy::semaphore slots{3};
    eddy::event start;
    int balance = 0;
    int inside = 0;
    int most_inside = 0;
};

eddy::task<void> worker(shared& s) {
    co_await s.start.wait(); // all wait for the signal

    auto slot = co_await s.slots.acquire(); // at most three from here on
    ++s.inside;
    if (s.inside > s.most_inside) s.most_inside = s.inside;
    co_await eddy::sleep(1ms);
    --s.inside;

    auto guard = co_await s.lock.lock(); // one at a time, in the order of asking
    const int before = s.balance;
    co_await eddy::yield(); // without the lock the others would read the same balance
    s.balance = before + 10;
} // guard and slot are given back here, also on cancellation

eddy::task<void> main_task() {
    shared s;
    auto group = eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<void> {
        for (int i = 0; i < 10; ++i)
            g.spawn(worker(s));
        co_await eddy::sleep(1ms);
        std::printf("before the signal: %d\n", s.balance);
        s.start.set();
    });
    co_await group;
    std::printf("after: %d, at most %d at once\n", s.balance, s.most_inside);
}

int main() { return eddy::run_main(main_task()); }

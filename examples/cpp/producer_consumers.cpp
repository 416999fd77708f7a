// One producer, fifty consumers, a thousand jobs through a bounded queue. (asyncio.Queue)
#include <eddy/eddy.hpp>

#include <cstdio>

using namespace std::chrono_literals;

struct totals {
    int jobs = 0;
    int most_waiting = 0;
};

eddy::task<void> consume(eddy::queue<int>& jobs, totals& t) {
    while (auto job = co_await jobs.next()) { // empty: closed, and nothing left
        co_await eddy::sleep(100us);          // the work
        ++t.jobs;
    }
}

eddy::task<void> produce(eddy::queue<int>& jobs, totals& t) {
    for (int i = 0; i < 1000; ++i) {
        co_await jobs.put(i); // waits while ten are queued: the producer can't run ahead
        if (static_cast<int>(jobs.size()) > t.most_waiting) t.most_waiting = static_cast<int>(jobs.size());
    }
    jobs.close();
}

eddy::task<void> main_task() {
    eddy::queue<int> jobs(10);
    totals t;
    auto group = eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<void> {
        for (int i = 0; i < 50; ++i)
            g.spawn(consume(jobs, t));
        co_await produce(jobs, t);
    }); // leaves when every consumer is done
    co_await group;
    std::printf("%d jobs, never more than 10 queued: %s\n", t.jobs, t.most_waiting <= 10 ? "yes" : "no");
}

int main() { return eddy::run_main(main_task()); }

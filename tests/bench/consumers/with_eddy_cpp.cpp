// One producer, fifty consumers, a queue of ten, a time limit for each item: coroutines on eddy.
#include "measure.h"

#include <eddy/eddy.hpp>

using namespace std::chrono_literals;

struct totals {
    long done = 0, late = 0;
};

eddy::task<void> consume(eddy::queue<long>& items, totals& t) {
    while (auto item = co_await items.next()) {
        try {
            co_await eddy::timeout(200ms, eddy::sleep(0ms));
            ++t.done;
        } catch (const eddy::timeout_error&) {
            ++t.late;
        }
    }
}

eddy::task<void> run_all(measure& m, totals& t) {
    eddy::queue<long> items(10);
    auto group = eddy::with_task_group([&](eddy::task_group& g) -> eddy::task<void> {
        for (long i = 0; i < m.consumers; ++i)
            g.spawn(consume(items, t));
        co_await eddy::yield();
        measure_waiting(&m);
        for (long i = 0; i < m.items; ++i)
            co_await items.put(i);
        items.close();
    });
    co_await group;
}

int main(int argc, char** argv) {
    measure m = measure_begin(argc, argv);
    totals t;
    eddy::run(run_all(m, t));
    return measure_end(&m, t.done);
}

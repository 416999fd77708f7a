// Five tasks, one after the other and then together. (asyncio: await in a loop; asyncio.gather)
#include <eddy/eddy.hpp>

#include <cstdio>
#include <vector>

using namespace std::chrono_literals;

eddy::task<int> square(int n) {
    co_await eddy::sleep(10ms);
    co_return n* n;
}

eddy::task<void> main_task() {
    auto began = eddy::clock::now();
    for (int i = 1; i <= 5; ++i) {
        const int result = co_await square(i); // runs now, and only now
        std::printf("%d ", result);
    }
    std::printf("one after the other: %s\n", eddy::clock::now() - began >= 50ms ? "five naps" : "too fast");

    began = eddy::clock::now();
    std::vector<eddy::task<int>> tasks;
    for (int i = 1; i <= 5; ++i)
        tasks.push_back(square(i)); // nothing has started yet
    const std::vector<int> results = co_await eddy::gather(std::move(tasks));
    for (const int result : results)
        std::printf("%d ", result);
    std::printf("together: %s\n", eddy::clock::now() - began >= 10ms ? "one nap" : "too fast");
}

int main() { return eddy::run_main(main_task()); }

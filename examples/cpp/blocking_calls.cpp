// Twenty blocking calls on libuv's four threads: results in order, and stop at the first failure.
// (asyncio: loop.run_in_executor, asyncio.to_thread)
#include <eddy/eddy.hpp>

#include <cstdio>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

// Some library that knows nothing of event loops.
std::string look_up(int id, int bad_id) {
    std::this_thread::sleep_for(2ms);
    if (id == bad_id) throw std::runtime_error("no entry for " + std::to_string(id));
    return "entry " + std::to_string(id);
}

eddy::task<std::string> look_up_elsewhere(int id, int bad_id) { co_return co_await eddy::offload(look_up, id, bad_id); }

eddy::task<void> look_up_all(int bad_id) {
    std::vector<eddy::task<std::string>> calls;
    for (int id = 1; id <= 20; ++id)
        calls.push_back(look_up_elsewhere(id, bad_id));
    const std::vector<std::string> found = co_await eddy::gather(std::move(calls));
    std::printf("%zu results, from '%s' to '%s'\n", found.size(), found.front().c_str(), found.back().c_str());
}

eddy::task<void> main_task() {
    co_await look_up_all(0);
    try {
        co_await look_up_all(3); // calls that have not begun are not made any more
    } catch (const std::runtime_error& e) {
        std::printf("stopped: %s\n", e.what());
    }
}

int main() { return eddy::run_main(main_task()); }

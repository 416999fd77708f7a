// Work for the processor, spread over worker processes. One input makes the code crash: the program tells which, and
// all the others succeed.
#include <eddy/eddy.hpp>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>

// The longest Collatz sequence that begins below `limit`: start, steps.
std::pair<std::uint64_t, int> longest_below(std::uint64_t limit) {
    if (limit == 40'000) std::abort(); // the bug that nobody has found yet
    std::pair<std::uint64_t, int> longest(1, 0);
    for (std::uint64_t start = 1; start < limit; ++start) {
        int steps = 0;
        for (std::uint64_t n = start; n != 1; ++steps)
            n = n % 2 == 0 ? n / 2 : 3 * n + 1;
        if (steps > longest.second) longest = std::pair(start, steps);
    }
    return longest;
}
EDDY_PROCESS_FUNCTION(longest_below)

namespace {

eddy::task<std::pair<std::uint64_t, int>> search(eddy::process_pool& pool, std::uint64_t limit) {
    const auto longest = co_await pool.run(longest_below, limit);
    co_return longest;
}

eddy::task<int> main_task() {
    eddy::process_pool pool(std::max(2u, std::thread::hardware_concurrency()));
    std::vector<eddy::task<std::pair<std::uint64_t, int>>> searches;
    for (std::uint64_t limit = 10'000; limit <= 80'000; limit += 10'000)
        searches.push_back(search(pool, limit));
    auto all = eddy::gather_settled(std::move(searches));
    const auto outcomes = co_await all;

    int failed = 0;
    for (std::size_t i = 0; i < outcomes.size(); ++i) {
        std::printf("below %zu: ", 10'000 * (i + 1));
        try {
            const auto& [start, steps] = outcomes[i].value();
            std::printf("%d steps from %llu\n", steps, static_cast<unsigned long long>(start));
        } catch (const eddy::worker_died& e) {
            ++failed;
            std::printf("the worker died of %s\n", eddy::signal_name(e.term_signal()).c_str());
        }
    }
    std::printf("%zu succeeded, %d failed\n", outcomes.size() - static_cast<std::size_t>(failed), failed);
    co_return failed == 1 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
    eddy::process_worker_main(argc, argv); // the first line: the workers are this program, too
    return eddy::run_main(main_task());
}

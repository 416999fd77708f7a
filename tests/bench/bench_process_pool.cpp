// Calls and bytes a second through process_pool; tests/bench/compare_process_pool runs it beside Python's.
//
//     bench_process_pool CASE WORKERS JOBS
//
// Prints seconds. The cases: "calls" (an int to an int, up to 64 at a time), "turns" (the same, one after the other),
// "bytes" (1 MiB there and back, up to 8 at a time).
#include <eddy/eddy.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>

int increment(int x) { return x + 1; }
EDDY_PROCESS_FUNCTION(increment)

std::vector<std::byte> same(const std::vector<std::byte>& b) { return b; }
EDDY_PROCESS_FUNCTION(same)

namespace {

struct plan {
    std::string_view name;
    int workers = 0;
    int jobs = 0;
};

eddy::task<void> caller(eddy::process_pool& pool, const plan& p, int& left, const std::vector<std::byte>& block) {
    while (left > 0) {
        const int mine = --left;
        if (p.name == "bytes") {
            const std::vector<std::byte> back = co_await pool.run(same, block);
            if (back.size() != block.size()) std::abort();
        } else {
            const int next = co_await pool.run(increment, mine);
            if (next != mine + 1) std::abort();
        }
    }
}

eddy::task<void> measure(const plan& p) {
    eddy::process_pool pool(p.workers);
    const std::vector<std::byte> block(std::size_t{1} << 20, std::byte{7});
    const int callers = p.name == "turns" ? 1 : p.name == "bytes" ? 8 : 64;
    int warm = p.workers * 4;
    std::vector<eddy::task<void>> all;
    for (int i = 0; i < p.workers; ++i)
        all.push_back(caller(pool, p, warm, block));
    auto warming = eddy::gather(std::move(all));
    co_await warming;

    int left = p.jobs;
    const auto begin = std::chrono::steady_clock::now();
    std::vector<eddy::task<void>> callers_running;
    for (int i = 0; i < callers; ++i)
        callers_running.push_back(caller(pool, p, left, block));
    auto running = eddy::gather(std::move(callers_running));
    co_await running;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
    co_await pool.close();
    std::printf("%.6f\n", took.count());
}

} // namespace

int main(int argc, char** argv) {
    eddy::process_worker_main(argc, argv);
    if (argc != 4) {
        std::fputs("bench_process_pool CASE WORKERS JOBS\n", stderr);
        return 2;
    }
    plan p;
    p.name = argv[1];
    p.workers = std::atoi(argv[2]);
    p.jobs = std::atoi(argv[3]);
    return eddy::run_main(measure(p));
}

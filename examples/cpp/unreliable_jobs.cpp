// Jobs that hang, fail as expected, and fail strangely, and cost no consumer its life.
#include <eddy/eddy.hpp>

#include <cstdio>
#include <stdexcept>

using namespace std::chrono_literals;

struct tally {
    int done = 0, timed_out = 0, failed = 0, strange = 0;
};

eddy::task<void> job(int n) {
    if (n % 10 == 1) co_await eddy::sleep(24h);                      // hangs
    if (n % 10 == 2) throw std::runtime_error("the server said no"); // expected
    if (n % 10 == 3) throw 42;                                       // nobody expects this
    co_await eddy::sleep(1ms);
}

eddy::task<void> consume(eddy::queue<int>& jobs, tally& t) {
    while (auto n = co_await jobs.next()) {
        try {
            co_await eddy::timeout(20ms, job(*n));
            ++t.done;
        } catch (const eddy::timeout_error&) {
            ++t.timed_out;
        } catch (const std::exception&) {
            ++t.failed;
        } catch (const eddy::cancelled&) {
            throw; // not the job's fault: this consumer was asked to stop
        } catch (...) {
            ++t.strange;
        }
    }
}

eddy::task<void> main_task() {
    eddy::queue<int> jobs;
    for (int n = 0; n < 100; ++n)
        co_await jobs.put(n);
    jobs.close();
    tally t;
    co_await eddy::gather(consume(jobs, t), consume(jobs, t), consume(jobs, t), consume(jobs, t));
    std::printf("%d done, %d timed out, %d failed, %d failed strangely\n", t.done, t.timed_out, t.failed, t.strange);
}

int main() { return eddy::run_main(main_task()); }

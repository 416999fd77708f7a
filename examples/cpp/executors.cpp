// The default executor (libuv's threads) and one of your own: any thread can complete a thread_promise.
#include <eddy/eddy.hpp>

#include <cstdio>
#include <thread>
#include <vector>

// An executor of your own: here, a thread a job. It knows eddy only through the promise that it fulfils.
class own_threads {
public:
    ~own_threads() {
        for (std::thread& t : threads_)
            t.join();
    }
    eddy::task<int> run(int (*job)(int), int argument) {
        eddy::thread_promise<int> promise;
        auto result = promise.get();
        // The promise moves into the thread: should this task be cancelled, the value has a place to go all the same.
        threads_.emplace_back([p = std::move(promise), job, argument]() mutable { p.set_value(job(argument)); });
        co_return co_await result; // the loop goes on meanwhile
    }

private:
    std::vector<std::thread> threads_;
};

int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

eddy::task<void> main_task() {
    const int by_default = co_await eddy::offload(fibonacci, 20);
    own_threads executor;
    const int by_own = co_await executor.run(fibonacci, 20);
    std::printf("default executor: %d, own executor: %d\n", by_default, by_own);
}

int main() { return eddy::run_main(main_task()); }

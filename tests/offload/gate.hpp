// What the tests of offload share: functions that wait for the test, and a real loop that is empty at the end.
#pragma once

#include <eddy/offload/offload.hpp>

#include <eddy/core/remote.hpp>
#include <eddy/core/sleep.hpp>
#include <eddy/flow/settle.hpp>

#include "support/run.hpp"

#include <chrono>
#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

namespace eddy_test {

// Opened by the test; functions on other threads wait for it.
class gate {
public:
    void open() {
        const std::lock_guard lock(guard_);
        open_ = true;
        changed_.notify_all();
    }
    void wait() {
        std::unique_lock lock(guard_);
        ++arrived_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
    }
    void await_arrivals(int n) {
        std::unique_lock lock(guard_);
        changed_.wait(lock, [this, n] { return arrived_ >= n; });
    }

private:
    std::mutex guard_;
    std::condition_variable changed_;
    bool open_ = false;
    int arrived_ = 0;
};

// Holds every thread of libuv's pool until the gate opens.
inline eddy::task<void> hold_pool(gate& g) {
    const auto hold = [](gate& mine) -> eddy::task<void> {
        auto call = eddy::offload([&mine] { mine.wait(); });
        co_await call;
    };
    std::vector<eddy::task_handle<void>> held;
    for (int i = 0; i < 4; ++i)
        held.push_back(eddy::spawn(hold, std::ref(g)));
    for (auto& h : held)
        co_await h;
}

// Gives the loop's thread to the pool until `n` functions have come to the gate: the loop has to turn for that.
inline eddy::task<void> until_arrived(gate& g, int n) {
    std::promise<void> there;
    std::thread t([&g, &there, n, ref = eddy::loop::current().ref()] {
        g.await_arrivals(n);
        there.set_value();
        ref.post([] {});
    });
    auto came = there.get_future();
    while (came.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
        co_await eddy::sleep(std::chrono::milliseconds(1));
    t.join();
}

template <class F>
auto run_real(F f) {
    eddy::loop l;
    using T = eddy::detail::task_result_t<F>;
    struct check_at_end {
        eddy::loop& l;
        ~check_at_end() { check_empty(l); }
    } at_end{l};
    if constexpr (std::is_void_v<T>)
        l.run(f());
    else
        return l.run(f());
}

// Waits for the end of a task, however it ends.
inline eddy::task<void> joined(eddy::any_task_handle h) {
    const auto ended = co_await eddy::settle(h);
    static_cast<void>(ended);
}

inline int twice(int x) { return 2 * x; }

inline eddy::task<void> for_ever() { co_await eddy::sleep(eddy::duration::max()); }

} // namespace eddy_test

// Runs a test's coroutine on a loop with simulated time, and checks that nothing of it is left behind.
#pragma once

#include <eddy/core/run.hpp>
#include <eddy/testing/virtual_loop.hpp>

#include <doctest/doctest.h>

#include <utility>

namespace eddy_test {

// Every test's last word: no live task, waiter, timer, ready node or frame.
inline void check_empty(eddy::loop& l) {
    const eddy::loop_statistics s = l.statistics();
    CHECK(s.tasks == 0);
    CHECK(s.waiters == 0);
    CHECK(s.timers == 0);
    CHECK(s.ready == 0);
    CHECK(s.frames == 0);
    CHECK(s.bytes == 0);
}

// f() -> task<T>, called on the loop; gives T. The loop's leftovers must have ended by themselves.
template <class F>
auto run(F f) {
    eddy::testing::virtual_loop l;
    using T = eddy::detail::task_result_t<F>;
    auto body = [&f]() -> eddy::task<T> { co_return co_await f(); };
    if constexpr (std::is_void_v<T>) {
        l.run(body());
        l.settle();
        check_empty(l);
    } else {
        T result = l.run(body());
        l.settle();
        check_empty(l);
        return result;
    }
}

// Counts its living instances: no copy, leak or double destruction goes unseen.
class counted {
public:
    explicit counted(int v = 0) noexcept : value(v) { ++alive(); }
    counted(const counted&) = delete;
    counted(counted&& o) noexcept : value(std::exchange(o.value, -1)) { ++alive(); }
    counted& operator=(counted&& o) noexcept {
        value = std::exchange(o.value, -1);
        return *this;
    }
    ~counted() { --alive(); }
    static int& alive() noexcept {
        static int n = 0;
        return n;
    }
    int value;
};

} // namespace eddy_test

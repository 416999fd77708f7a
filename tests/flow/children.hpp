// The children that tests of groups, races and time limits run.
#pragma once

#include <eddy/core/sleep.hpp>
#include <eddy/flow/generator.hpp>
#include <eddy/flow/settle.hpp>
#include <eddy/flow/shield.hpp>

#include <support/check.hpp>
#include <support/run.hpp>

#include <initializer_list>
#include <stdexcept>
#include <string>
#include <vector>

namespace eddy_test {

inline eddy::task<int> give(int v, int ms) {
    const counted c(v);
    co_await eddy::sleep(1ms * ms);
    co_return c.value;
}
inline eddy::task<int> fail_after(int ms, const char* text) {
    co_await eddy::sleep(1ms * ms);
    throw std::runtime_error(text);
}

// Swallows the cancellation, cleans up for 5 ms, says so, and then gives a value or fails.
inline eddy::task<int> slow_cleanup(int* ended, const char* error = nullptr) {
    try {
        co_await eddy::sleep_forever();
    } catch (const eddy::cancelled&) {
    }
    co_await eddy::shield(eddy::sleep(5ms));
    ++*ended;
    if (error != nullptr) throw std::runtime_error(error);
    co_await eddy::checkpoint();
    co_return 0;
}

// A task for each, which gives its delay.
inline std::vector<eddy::task_handle<int>> spawn_giving(std::initializer_list<int> delays) {
    std::vector<eddy::task_handle<int>> all;
    for (int ms : delays)
        all.push_back(eddy::spawn(give(ms, ms)));
    return all;
}

inline eddy::generator<int> count_to(int n) {
    for (int i = 1; i <= n; ++i)
        co_yield i;
}
inline eddy::generator<int> slow_count(int n, bool* ended = nullptr) {
    const at_end says([ended] {
        if (ended != nullptr) *ended = true;
    });
    for (int i = 1; i <= n; ++i) {
        co_await eddy::sleep(1ms);
        co_yield i;
    }
}

// How an operation failed: what(), or "cancelled".
template <class Op>
eddy::task<std::string> error_of(Op op) {
    auto settled = eddy::settle(std::move(op));
    auto o = co_await settled;
    co_return o.is_cancelled() ? "cancelled" : text_of(o.error());
}

} // namespace eddy_test

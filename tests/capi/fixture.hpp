// C objects on a loop with simulated time, and the check that nothing of them is left.
#pragma once

#include "steps.h"

#include "../../capi/internal.hpp"
#include "../../capi/sync.hpp"
#include "support/run.hpp"

#include <eddy/testing/virtual_loop.hpp>

#include <atomic>
#include <vector>

namespace eddy_test {

class c_loop {
public:
    c_loop() : c(eddy::capi::borrow(cpp)) {}
    c_loop(const c_loop&) = delete;
    ~c_loop() { finish(); }
    // Closes; nothing is left of the C objects but, where the test says so, what it has references to.
    void finish(int expected = EDDY_OK, bool has_references = false) {
        if (c == nullptr) return;
        CHECK(eddy_loop_close(c, 0) == expected);
        eddy_unref(c);
        c = nullptr;
        cpp.settle();
        if (!has_references) check_empty(cpp);
    }
    operator eddy_loop*() const noexcept { return c; }
    int until(eddy_op* op, std::uint64_t limit = EDDY_FOREVER) { return eddy_loop_run_until(c, op, limit); }
    void settle() { cpp.settle(); }

    eddy::testing::virtual_loop cpp;
    eddy_loop* c;
};

// Drops its reference at the end.
template <class T>
class held {
public:
    explicit held(T* p) noexcept : p_(p) {}
    held(const held&) = delete;
    ~held() { eddy_unref(p_); }
    operator T*() const noexcept { return p_; }
    void drop() noexcept { eddy_unref(std::exchange(p_, nullptr)); }
    T* give() noexcept { return std::exchange(p_, nullptr); }

private:
    T* p_;
};

inline eddy_loop* new_loop() {
    eddy_loop* l = nullptr;
    REQUIRE(eddy_loop_new(nullptr, &l) == EDDY_OK);
    return l;
}
inline eddy_queue* new_queue(eddy_loop* l, std::size_t capacity = 0, eddy_free_fn f = nullptr) {
    eddy_queue* q = nullptr;
    REQUIRE(eddy_queue_new(l, capacity, f, &q) == EDDY_OK);
    return q;
}
inline eddy_mutex* new_mutex(eddy_loop* l) {
    eddy_mutex* m = nullptr;
    REQUIRE(eddy_mutex_new(l, &m) == EDDY_OK);
    return m;
}
inline eddy_sync_stats sync_stats_of(const void* object) {
    eddy_sync_stats s;
    EDDY_INIT(&s);
    CHECK(eddy_sync_get_stats(object, &s) == EDDY_OK);
    return s;
}
inline std::vector<int> seen(const trace& t) { return {t.what, t.what + t.n}; }

// A drop or free function that counts; values that a worker replaces are freed there.
inline std::atomic<int>& dropped() {
    static std::atomic<int> n{0};
    return n;
}
extern "C" inline void count_drop(void*) { ++dropped(); }

} // namespace eddy_test

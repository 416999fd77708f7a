// eddy_test.h: the virtual_loop of the C++ face, owned by an eddy_loop.
#include "eddy_test.h"

#include "sync.hpp"

#include "core/state.hpp"

#include <eddy/testing/virtual_loop.hpp>

namespace engine = eddy::engine;

namespace eddy::capi {
namespace {

struct test_loop final : eddy::testing::virtual_loop {
    ~test_loop() override { detail_state().memory().set_fault(nullptr, nullptr); }
    // Called for each allocation of the loop: true when it is to fail.
    static bool strike(void* user, std::size_t) noexcept {
        auto& self = *static_cast<test_loop*>(user);
        if (self.left == EDDY_FOREVER) return false;
        if (self.left != 0) {
            --self.left;
            return false;
        }
        if (!self.for_good) self.left = EDDY_FOREVER;
        ++self.failed;
        return true;
    }

    std::uint64_t left = EDDY_FOREVER; // that succeed; EDDY_FOREVER: all
    std::uint64_t failed = 0;
    bool for_good = false;
};

// `status`: what is wrong when it gives null.
test_loop* simulated(const eddy_loop* l, int& status) noexcept {
    status = l == nullptr ? EDDY_EINVAL : l->over();
    if (status != EDDY_OK) return nullptr;
    auto* const t = dynamic_cast<test_loop*>(l->cpp);
    if (t == nullptr) status = EDDY_EINVAL;
    return t;
}

template <class F>
int on_simulated(eddy_loop* l, F f) noexcept {
    int status = EDDY_OK;
    test_loop* const t = simulated(l, status);
    if (t == nullptr) return status;
    if (l->is_busy()) return EDDY_ESTATE;
    l->pin(); // what runs may drop the last reference
    l->running = true;
    l->sync();
    try {
        f(*t);
    } catch (...) {
        status = current_status(EDDY_ESTATE);
    }
    l->running = false;
    l->unpin();
    return status;
}

} // namespace
} // namespace eddy::capi

using eddy::capi::on_simulated;
using eddy::capi::test_loop;

int eddy_test_loop_new(std::uint64_t seed, eddy_loop** out) noexcept {
    if (out == nullptr) return EDDY_EINVAL;
    *out = nullptr;
    try {
        eddy::testing::seed(seed);
        auto own = std::make_unique<test_loop>();
        eddy::testing::seed(0);
        test_loop& l = *own;
        *out = new eddy_loop(l, std::move(own));
        return EDDY_OK;
    } catch (...) {
        eddy::testing::seed(0);
        return eddy::capi::current_status(EDDY_EINVAL);
    }
}

int eddy_test_settle(eddy_loop* loop) noexcept {
    return on_simulated(loop, [](test_loop& l) { l.settle(); });
}

int eddy_test_advance(eddy_loop* loop, std::uint64_t duration) noexcept {
    const auto d = static_cast<std::int64_t>(std::min<std::uint64_t>(duration, INT64_MAX));
    return on_simulated(loop, [d](test_loop& l) { l.advance(eddy::duration(d)); });
}

int eddy_test_fail_alloc(eddy_loop* loop, std::uint64_t after, std::uint32_t flags) noexcept {
    int status = EDDY_OK;
    test_loop* const l = eddy::capi::simulated(loop, status);
    if (l == nullptr) return status;
    if ((flags & ~std::uint32_t{EDDY_TEST_FOR_GOOD}) != 0) return EDDY_ETOOBIG;
    l->left = after;
    l->for_good = (flags & EDDY_TEST_FOR_GOOD) != 0;
    l->failed = 0;
    engine::pool& memory = loop->core->memory();
    if (after == EDDY_FOREVER)
        memory.set_fault(nullptr, nullptr);
    else
        memory.set_fault(&test_loop::strike, l);
    return EDDY_OK;
}

std::uint64_t eddy_test_failed(const eddy_loop* loop) noexcept {
    int status = EDDY_OK;
    const test_loop* const l = eddy::capi::simulated(loop, status);
    return l == nullptr ? 0 : l->failed;
}

// eddy_test.h: everything here through the C interface alone.
#include "fixture.hpp"

#include <eddy_test.h>

#include <set>
#include <string>

using namespace eddy_test;

namespace {

eddy_loop* new_test_loop(std::uint64_t seed = 0) {
    eddy_loop* l = nullptr;
    REQUIRE(eddy_test_loop_new(seed, &l) == EDDY_OK);
    return l;
}
void close_test_loop(eddy_loop* l) {
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    eddy_unref(l);
}
void append(eddy_op* op, void* user) {
    *static_cast<std::string*>(user) += static_cast<char>('a' + eddy_op_number(op));
}

} // namespace

TEST_CASE("test loop: time moves only when told, and then past everything that falls due, in order") {
    eddy_loop* l = new_test_loop();
    const std::uint64_t start = eddy_loop_now(l);
    std::string order;
    eddy_done_fn done = [](eddy_op* op, void* user) {
        *static_cast<std::string*>(user) += std::to_string(eddy_loop_now(eddy_op_loop(op)) / EDDY_SEC(1)) + " ";
    };
    for (const std::uint64_t s : {3u, 1u, 2u, 90000u})
        CHECK(eddy_op_then(eddy_sleep_until(l, start + EDDY_SEC(s)), done, &order, nullptr) == EDDY_OK);
    CHECK(eddy_test_settle(l) == EDDY_OK);
    CHECK(eddy_loop_now(l) == start);
    CHECK(order.empty());
    CHECK(eddy_test_advance(l, EDDY_MS(2500)) == EDDY_OK);
    CHECK(eddy_loop_now(l) == start + EDDY_MS(2500));
    const auto at = [&](std::uint64_t s) { return std::to_string((start + EDDY_SEC(s)) / EDDY_SEC(1)) + " "; };
    CHECK(order == at(1) + at(2));
    CHECK(eddy_loop_run(l, EDDY_RUN_DEFAULT) == 0); // runs on to the last timer by itself
    CHECK(order == at(1) + at(2) + at(3) + at(90000));
    CHECK(eddy_loop_now(l) == start + EDDY_SEC(90000));
    held fd(eddy_fd_wait(l, 0, EDDY_READABLE));
    CHECK(eddy_op_status(fd) == EDDY_ENOTSUP);
    CHECK(eddy_loop_fd(l) == EDDY_ENOTSUP);
    CHECK(eddy_test_advance(l, EDDY_FOREVER) == EDDY_OK);
    fd.drop();
    close_test_loop(l);
}

TEST_CASE("test loop: a seed is an order, the same each time, and others are others") {
    const auto order_of = [](std::uint64_t seed) {
        eddy_loop* l = new_test_loop(seed);
        std::string order;
        for (int i = 0; i < 6; ++i) {
            eddy_op* p = eddy_promise(l, nullptr, nullptr, nullptr);
            eddy_promise_resolve(p, nullptr, nullptr, i);
            CHECK(eddy_op_then(p, &append, &order, nullptr) == EDDY_OK);
        }
        CHECK(eddy_test_settle(l) == EDDY_OK);
        close_test_loop(l);
        return order;
    };
    CHECK(order_of(0) == "abcdef");
    std::set<std::string> orders;
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CHECK(order_of(seed) == order_of(seed));
        orders.insert(order_of(seed));
    }
    CHECK(orders.size() > 10);
    CHECK(order_of(0) == "abcdef");
}

TEST_CASE("test loop: each allocation fails in its turn, once or for good") {
    eddy_loop* l = new_test_loop();
    // Warm: pages are there.
    eddy_unref(eddy_sleep(l, 1));
    CHECK(eddy_test_fail_alloc(l, 1, 0) == EDDY_OK);
    held a(eddy_sleep(l, 1));
    held b(eddy_sleep(l, 1));
    held c(eddy_sleep(l, 1));
    CHECK((a == nullptr ? 1 : 0) + (b == nullptr ? 1 : 0) + (c == nullptr ? 1 : 0) == 1);
    CHECK(eddy_test_failed(l) == 1);
    CHECK(eddy_test_fail_alloc(l, 0, EDDY_TEST_FOR_GOOD) == EDDY_OK);
    CHECK(eddy_test_failed(l) == 0);
    CHECK(eddy_sleep(l, 1) == nullptr);
    CHECK(eddy_sleep(l, 1) == nullptr);
    CHECK(eddy_test_failed(l) == 2);
    CHECK(eddy_test_fail_alloc(l, EDDY_FOREVER, 0) == EDDY_OK);
    held d(eddy_sleep(l, 1));
    CHECK(d != nullptr);
    CHECK(eddy_test_fail_alloc(l, 0, 2) == EDDY_ETOOBIG);
    CHECK(eddy_test_fail_alloc(l, 0, EDDY_TEST_FOR_GOOD) == EDDY_OK); // closing takes no memory
    for (held<eddy_op>* op : {&a, &b, &c, &d})
        op->drop();
    close_test_loop(l);
}

TEST_CASE("test loop: what is wrong") {
    CHECK(eddy_test_loop_new(0, nullptr) == EDDY_EINVAL);
    CHECK(eddy_test_settle(nullptr) == EDDY_EINVAL);
    CHECK(eddy_test_advance(nullptr, 1) == EDDY_EINVAL);
    CHECK(eddy_test_fail_alloc(nullptr, 1, 0) == EDDY_EINVAL);
    CHECK(eddy_test_failed(nullptr) == 0);
    eddy_loop* usual = nullptr;
    REQUIRE(eddy_loop_new(nullptr, &usual) == EDDY_OK);
    CHECK(eddy_test_settle(usual) == EDDY_EINVAL);
    CHECK(eddy_test_advance(usual, 1) == EDDY_EINVAL);
    CHECK(eddy_test_fail_alloc(usual, 1, 0) == EDDY_EINVAL);
    CHECK(eddy_test_failed(usual) == 0);
    close_test_loop(usual);
    eddy_loop* l = new_test_loop();
    CHECK(eddy_call_soon(
              l,
              [](void* user) {
                  auto* const loop = static_cast<eddy_loop*>(user);
                  CHECK(eddy_test_settle(loop) == EDDY_ESTATE);
                  CHECK(eddy_test_advance(loop, 1) == EDDY_ESTATE);
              },
              l, nullptr) == EDDY_OK);
    CHECK(eddy_test_settle(l) == EDDY_OK);
    eddy_ref(l);
    close_test_loop(l);
    CHECK(eddy_test_settle(l) == EDDY_ECLOSED);
    CHECK(eddy_test_failed(l) == 0);
    eddy_unref(l);
}

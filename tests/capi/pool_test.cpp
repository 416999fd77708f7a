// eddy_pool, and eddy_offload on it.
#include "fixture.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace eddy_test;

namespace {

struct hooks {
    std::atomic<int> started{0};
    std::atomic<int> stopped{0};
    std::atomic<int> dropped{0};
    static void start(void* user) { ++static_cast<hooks*>(user)->started; }
    static void stop(void* user) { ++static_cast<hooks*>(user)->stopped; }
    static void drop(void* user) { ++static_cast<hooks*>(user)->dropped; }
    eddy_pool* make(std::uint32_t threads) {
        eddy_pool_opts o;
        EDDY_INIT(&o);
        o.threads = threads;
        o.name = "test";
        o.thread_start = &start;
        o.thread_stop = &stop;
        o.user = this;
        o.drop = &drop;
        eddy_pool* p = nullptr;
        REQUIRE(eddy_pool_new(&o, &p) == EDDY_OK);
        return p;
    }
};

struct pool_job {
    std::atomic<bool> go{false};
    std::atomic<bool> started{false};
    std::atomic<bool> saw_cancel{false};
    std::thread::id on;
    static int run(eddy_work* work, void* user) {
        auto* j = static_cast<pool_job*>(user);
        j->started = true;
        while (!j->go)
            std::this_thread::yield();
        j->on = std::this_thread::get_id();
        j->saw_cancel = eddy_work_cancelled(work) != 0;
        eddy_work_set(work, nullptr, nullptr, 42);
        return EDDY_OK;
    }
};

eddy_pool_stats stats_of(const eddy_pool* p) {
    eddy_pool_stats s;
    EDDY_INIT(&s);
    CHECK(eddy_pool_get_stats(p, &s) == EDDY_OK);
    return s;
}
void turn_until(eddy_loop* l, const std::atomic<bool>& flag) {
    while (!flag)
        static_cast<void>(eddy_loop_run(l, EDDY_RUN_NOWAIT));
}

} // namespace

TEST_CASE("pool: calls run on its threads, in order; one that is cancelled in the queue never runs") {
    hooks h;
    held p(h.make(1));
    eddy_loop* l = new_loop();
    pool_job first;
    pool_job second;
    pool_job third;
    second.go = third.go = true;
    dropped() = 0;
    held a(eddy_offload(l, p, &pool_job::run, &first, &count_drop, 0));
    turn_until(l, first.started);
    held b(eddy_offload(l, p, &pool_job::run, &second, &count_drop, 0));
    held c(eddy_offload(l, p, &pool_job::run, &third, &count_drop, 0));
    held d(eddy_offload(l, p, &pool_job::run, &third, &count_drop, EDDY_WORK_ABANDON));
    CHECK(stats_of(p).busy == 1);
    CHECK(stats_of(p).queued == 3);
    eddy_op_cancel(b);
    CHECK(eddy_loop_run_until(l, b, EDDY_FOREVER) == EDDY_ECANCELED);
    CHECK_FALSE(second.started);
    CHECK_FALSE(third.started);
    first.go = true;
    CHECK(eddy_loop_run_until(l, c, EDDY_FOREVER) == EDDY_OK);
    CHECK(eddy_loop_run_until(l, a, EDDY_FOREVER) == EDDY_OK);
    CHECK(eddy_loop_run_until(l, d, EDDY_FOREVER) == EDDY_OK);
    CHECK(eddy_op_number(d) == 42);
    CHECK(first.on == third.on);
    CHECK(first.on != std::this_thread::get_id());
    CHECK(h.started == 1);
    CHECK(dropped() == 4);
    d.drop();
    p.drop(); // a, b and c have finished, but keep it
    CHECK(h.dropped == 0);
    a.drop();
    b.drop();
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    c.drop();
    CHECK(h.stopped == 1);
    CHECK(h.dropped == 1);
    eddy_unref(l);
}

TEST_CASE("TH-5 pool: cancelled while it runs, told and waited for, or given up") {
    hooks h;
    held p(h.make(2));
    eddy_loop* l = new_loop();
    pool_job told;
    held a(eddy_offload(l, p, &pool_job::run, &told, nullptr, 0));
    turn_until(l, told.started);
    eddy_op_cancel(a);
    CHECK(eddy_loop_run_until(l, a, EDDY_MS(2)) == EDDY_PENDING);
    told.go = true;
    CHECK(eddy_loop_run_until(l, a, EDDY_FOREVER) == EDDY_OK);
    CHECK(told.saw_cancel);
    pool_job left;
    held b(eddy_offload(l, p, &pool_job::run, &left, nullptr, EDDY_WORK_ABANDON));
    turn_until(l, left.started);
    eddy_op_cancel(b);
    CHECK(eddy_loop_run_until(l, b, EDDY_FOREVER) == EDDY_ECANCELED);
    CHECK(stats_of(p).abandoned == 1);
    // It outlives its loop: who comes back last, a thread of the pool, lets another wait for itself.
    a.drop();
    b.drop();
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    eddy_unref(l);
    p.drop();
    CHECK(h.dropped == 0);
    left.go = true;
    while (h.dropped == 0)
        std::this_thread::yield();
    CHECK(h.stopped == h.started);
}

TEST_CASE("pool: several loops and a simulated one use it; a hook that throws fails the call") {
    hooks h;
    held p(h.make(0));
    pool_job j;
    j.go = true;
    eddy_loop* loops[] = {new_loop(), new_loop()};
    for (eddy_loop* l : loops) {
        held op(eddy_offload(l, p, &pool_job::run, &j, nullptr, 0));
        CHECK(eddy_loop_run_until(l, op, EDDY_FOREVER) == EDDY_OK);
        op.drop();
        CHECK(eddy_loop_close(l, 0) == EDDY_OK);
        eddy_unref(l);
    }
    c_loop simulated;
    for (const std::uint32_t flags : {0u, std::uint32_t{EDDY_WORK_ABANDON}}) {
        held op(eddy_offload(simulated, p, &pool_job::run, &j, nullptr, flags));
        CHECK(simulated.until(op) == EDDY_OK);
        CHECK(j.on == std::this_thread::get_id());
    }
    eddy_pool_opts o;
    EDDY_INIT(&o);
    o.thread_start = [](void*) { throw std::runtime_error("no VM"); };
    o.idle_timeout = 1;
    eddy_pool* made = nullptr;
    REQUIRE(eddy_pool_new(&o, &made) == EDDY_OK);
    held broken(made);
    eddy_loop* l = new_loop();
    for (const std::uint32_t flags : {0u, std::uint32_t{EDDY_WORK_ABANDON}}) {
        held op(eddy_offload(l, broken, &pool_job::run, &j, nullptr, flags));
        CHECK(eddy_loop_run_until(l, op, EDDY_FOREVER) == EDDY_EEXCEPTION);
        CHECK(std::string(eddy_op_message(op)) == "no VM");
    }
    CHECK(eddy_loop_close(l, 0) == EDDY_OK);
    eddy_unref(l);
}

TEST_CASE("pool: what is wrong with the options; the defaults") {
    hooks h;
    eddy_pool_opts o;
    EDDY_INIT(&o);
    o.user = &h;
    o.drop = &hooks::drop;
    eddy_pool* p = nullptr;
    o.flags = 1;
    CHECK(eddy_pool_new(&o, &p) == EDDY_ETOOBIG);
    o.flags = 0;
    o.stack_size = 1;
    CHECK(eddy_pool_new(&o, &p) == EDDY_EINVAL);
    o.stack_size = 0;
    CHECK(eddy_pool_new(&o, nullptr) == EDDY_EINVAL);
    CHECK(h.dropped == 3);
    o.size = 2;
    CHECK(eddy_pool_new(&o, &p) == EDDY_EINVAL);
    CHECK(h.dropped == 3);
    CHECK(p == nullptr);
    CHECK(eddy_pool_new(nullptr, &p) == EDDY_OK);
    CHECK(stats_of(p).threads == 0); // until there is work
    eddy_pool_stats s{};
    CHECK(eddy_pool_get_stats(p, &s) == EDDY_EINVAL);
    eddy_unref(p);
}

// R10: the n-th allocation fails, for every n that a scenario makes: the answer is EDDY_ENOMEM or NULL, nothing
// crashes, nothing is lost.
#include "fixture.hpp"

#include "core/state.hpp"

#include <eddy/eddy.hpp>

using namespace eddy_test;

namespace {

struct fault {
    int left = -1; // allocations before the one that fails; -1: none does
    bool sticky = false;
    int injected = 0;
    static bool strike(void* user, std::size_t) noexcept {
        auto& f = *static_cast<fault*>(user);
        if (f.left < 0) return false;
        if (f.left > 0) {
            --f.left;
            return false;
        }
        if (!f.sticky) f.left = -1;
        ++f.injected;
        return true;
    }
};

bool expected(int status) {
    return status == EDDY_OK || status == EDDY_ENOMEM || status == EDDY_ECANCELED || status == EDDY_ECLOSED ||
           status == EDDY_PENDING || status == EDDY_EDEADLK || status == EDDY_ETIMEDOUT;
}

// Everything that allocates. Statuses are looked at, so that no error is reported.
void scenario(c_loop& l) {
    static int items[3];
    eddy_queue* q = nullptr;
    eddy_group* g = nullptr;
    eddy_sem* s = nullptr;
    eddy_event* e = nullptr;
    eddy_mutex* m = nullptr;
    CHECK(expected(eddy_queue_new(l, 1, &count_drop, &q)));
    CHECK(expected(eddy_group_new(l, 0, &g)));
    CHECK(expected(eddy_sem_new(l, 1, &s)));
    CHECK(expected(eddy_event_new(l, &e)));
    CHECK(expected(eddy_mutex_new(l, &m)));
    eddy_cond* c = nullptr;
    eddy_barrier* b = nullptr;
    eddy_latch* latch = nullptr;
    eddy_shared_mutex* sm = nullptr;
    eddy_queue* stack = nullptr;
    CHECK(expected(m == nullptr ? EDDY_OK : eddy_cond_new(m, &c)));
    CHECK(expected(eddy_barrier_new(l, 1, &b)));
    CHECK(expected(eddy_latch_new(l, 1, &latch)));
    CHECK(expected(eddy_shared_mutex_new(l, &sm)));
    eddy_queue_opts last_first;
    EDDY_INIT(&last_first);
    last_first.order = EDDY_QUEUE_LIFO;
    last_first.drop = &count_drop;
    CHECK(expected(eddy_queue_new_opts(l, &last_first, &stack)));
    if (m != nullptr) CHECK(eddy_mutex_try_lock(m) == EDDY_OK);
    {
        held notified(c == nullptr ? nullptr : eddy_op_timeout(eddy_cond_wait(c), EDDY_MS(1)));
        held arrived(b == nullptr ? nullptr : eddy_barrier_wait(b));
        held counted(latch == nullptr ? nullptr : eddy_latch_wait(latch));
        held reads(sm == nullptr ? nullptr : eddy_shared_mutex_lock_shared(sm));
        held writes(sm == nullptr ? nullptr : eddy_shared_mutex_lock(sm));
        if (sm != nullptr) CHECK(expected(eddy_shared_mutex_try_lock_shared(sm) == EDDY_EAGAIN ? 0 : EDDY_ENOMEM));
        if (latch != nullptr) CHECK(eddy_latch_count_down(latch, 1) == EDDY_OK);
        for (eddy_op* op : {static_cast<eddy_op*>(notified), static_cast<eddy_op*>(arrived),
                            static_cast<eddy_op*>(counted), static_cast<eddy_op*>(reads)})
            CHECK(expected(l.until(op)));
        // Without memory for the wait, the lock was kept; however it ended, it is held.
        if (m != nullptr) CHECK(eddy_mutex_unlock(m) == EDDY_OK);
    }
    trace t{};
    getter get{q, &t, 1, 3, 0, 0};
    held task(q == nullptr ? nullptr : eddy_spawn(l, &getter_step, &get, &count_drop));
    held timed(eddy_op_timeout(eddy_sleep(l, EDDY_SEC(1)), EDDY_MS(5)));
    held copy(eddy_spawn_copy(l, &yielder_step, nullptr, sizeof(yielder)));
    if (q != nullptr) {
        for (int& i : items)
            CHECK(expected([&] {
                held put(eddy_queue_put(q, &i));
                return l.until(put, EDDY_MS(1));
            }()));
        static int posted;
        if (eddy_queue_put_threadsafe(q, &posted) != EDDY_OK) count_drop(nullptr);
        eddy_queue_close(q);
    }
    eddy_op* parts[] = {eddy_sleep(l, EDDY_MS(1)), s == nullptr ? nullptr : eddy_sem_acquire(s, 1)};
    held gathered(eddy_gather(l, parts, 2, 0));
    eddy_op* runners[] = {eddy_sleep(l, EDDY_MS(1)), e == nullptr ? nullptr : eddy_event_wait(e)};
    held raced(eddy_race(l, runners, 2));
    held shielded(eddy_op_shield(eddy_sleep(l, EDDY_MS(1))));
    held joined(eddy_op_join(task));
    if (g != nullptr) {
        CHECK(expected(eddy_group_add(g, eddy_sleep(l, EDDY_MS(1)))));
        held wait(eddy_group_wait(g));
        CHECK(expected(l.until(wait)));
    }
    held promise(eddy_promise(l, nullptr, nullptr, &count_drop));
    static int value;
    eddy_promise_resolve(promise, &value, &count_drop, 0);
    held work(eddy_offload(l, nullptr, [](eddy_work*, void*) -> int { return EDDY_OK; }, nullptr, &count_drop, 0));
    held abandoned(eddy_offload(
        l, nullptr, [](eddy_work*, void*) -> int { return EDDY_OK; }, nullptr, &count_drop, EDDY_WORK_ABANDON));
    CHECK(expected(eddy_call_soon(l, [](void*) {}, nullptr, &count_drop)));
    CHECK(expected(eddy_call_soon_threadsafe(l, [](void*) {}, nullptr, &count_drop)));
    held down(eddy_loop_shutdown(l));
    for (eddy_op* op : {static_cast<eddy_op*>(task), static_cast<eddy_op*>(timed), static_cast<eddy_op*>(copy),
                        static_cast<eddy_op*>(gathered), static_cast<eddy_op*>(raced), static_cast<eddy_op*>(shielded),
                        static_cast<eddy_op*>(joined), static_cast<eddy_op*>(promise), static_cast<eddy_op*>(work),
                        static_cast<eddy_op*>(abandoned), static_cast<eddy_op*>(down)})
        CHECK(expected(l.until(op)));
    static_cast<void>(eddy_loop_run(l, EDDY_RUN_DEFAULT));
    for (void* o : {static_cast<void*>(q), static_cast<void*>(g), static_cast<void*>(s), static_cast<void*>(e),
                    static_cast<void*>(m), static_cast<void*>(c), static_cast<void*>(b), static_cast<void*>(latch),
                    static_cast<void*>(sm), static_cast<void*>(stack)})
        eddy_unref(o);
}

// How often the allocator was struck.
int run(int n, bool sticky) {
    dropped() = 0;
    fault f;
    eddy::engine::pool* const outside = eddy::engine::current_pool(); // what other threads' functions use here
    {
        c_loop l;
        eddy::engine::pool& inside = l.cpp.detail_state().memory();
        outside->set_fault(&fault::strike, &f);
        inside.set_fault(&fault::strike, &f);
        f.sticky = sticky;
        f.left = n;
        scenario(l);
        outside->set_fault(nullptr, nullptr);
        inside.set_fault(nullptr, nullptr);
    } // nothing is left of it: c_loop checks
    return f.injected;
}

} // namespace

TEST_CASE("every allocation of a scenario fails in turn, once and for good: no crash, no leak, no other status") {
    // Three items or their refusal, the posted one, two states, the promise's value and drop, two works, two calls.
    REQUIRE(run(-1, false) == 0);
    const int all = dropped();
    int sites = 0;
    for (const bool sticky : {false, true})
        for (int n = 0;; ++n) {
            CAPTURE(n);
            CAPTURE(sticky);
            if (run(n, sticky) == 0) break;
            ++sites;
            CHECK(dropped() <= all + 3); // items that nobody took are freed too
        }
    CHECK(sites > 50);
}

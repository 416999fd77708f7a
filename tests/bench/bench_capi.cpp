// The C interface: an op made, finished, consumed and freed, by a step function and by callbacks. No libuv call, and
// (tests/capi/embed_test.cpp) no malloc. The goal is 15 ns an op.
#include "bench.hpp"

#include <eddy.h>

namespace {

struct steps {
    eddy_mutex* mutex = nullptr;
    eddy_sem* sem = nullptr;
    eddy_queue* queue = nullptr;
    eddy_event* event = nullptr;
    std::int64_t left = 0;
};

eddy_loop* new_loop() {
    eddy_loop* l = nullptr;
    bench::require(eddy_loop_new(nullptr, &l) == EDDY_OK, "no loop");
    return l;
}

bench::result run_steps(eddy_loop* l, eddy_step_fn step, steps& s) {
    const std::int64_t n = s.left;
    eddy_op* op = eddy_spawn(l, step, &s, nullptr);
    const bench::stopwatch watch;
    bench::require(eddy_loop_run_until(l, op, EDDY_FOREVER) == EDDY_OK && s.left == 0, "the task did not end well");
    const std::int64_t ns = watch.elapsed();
    eddy_unref(op);
    for (void* o : {static_cast<void*>(s.mutex), static_cast<void*>(s.sem), static_cast<void*>(s.queue),
                    static_cast<void*>(s.event)})
        eddy_unref(o);
    eddy_loop_close(l, 0);
    eddy_unref(l);
    return {ns, n, 0};
}

// The least there is: an event that is set.
int await_event(eddy_task* task, void* state) {
    auto* s = static_cast<steps*>(state);
    EDDY_BEGIN(task);
    while (s->left != 0) {
        EDDY_TRY(task, eddy_event_wait(s->event));
        --s->left;
    }
    EDDY_END(task);
}

int lock_and_unlock(eddy_task* task, void* state) {
    auto* s = static_cast<steps*>(state);
    EDDY_BEGIN(task);
    while (s->left != 0) {
        EDDY_TRY(task, eddy_mutex_lock(s->mutex));
        eddy_mutex_unlock(s->mutex);
        --s->left;
    }
    EDDY_END(task);
}

int put_and_get(eddy_task* task, void* state) {
    auto* s = static_cast<steps*>(state);
    EDDY_BEGIN(task);
    while (s->left != 0) {
        eddy_queue_try_put(s->queue, s);
        EDDY_TRY(task, eddy_queue_get(s->queue));
        bench::require(eddy_task_take(task) == s, "another item");
        --s->left;
    }
    EDDY_END(task);
}

// One that waits: each op goes through the ready queue.
int yield_by_sleeping(eddy_task* task, void* state) {
    auto* s = static_cast<steps*>(state);
    EDDY_BEGIN(task);
    while (s->left != 0) {
        EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), 0));
        --s->left;
    }
    EDDY_END(task);
}

bench::result event(double scale) {
    eddy_loop* l = new_loop();
    steps s;
    s.left = bench::scaled(20'000'000, scale);
    eddy_event_new(l, &s.event);
    eddy_event_set(s.event);
    return run_steps(l, &await_event, s);
}
bench::result mutex(double scale) {
    eddy_loop* l = new_loop();
    steps s;
    s.left = bench::scaled(20'000'000, scale);
    eddy_mutex_new(l, &s.mutex);
    return run_steps(l, &lock_and_unlock, s);
}
bench::result queue(double scale) {
    eddy_loop* l = new_loop();
    steps s;
    s.left = bench::scaled(10'000'000, scale);
    eddy_queue_new(l, 0, nullptr, &s.queue);
    return run_steps(l, &put_and_get, s);
}
bench::result sleep(double scale) {
    eddy_loop* l = new_loop();
    steps s;
    s.left = bench::scaled(10'000'000, scale);
    return run_steps(l, &yield_by_sleeping, s);
}

// A chain of callbacks, each of which makes the next op.
struct chain {
    eddy_event* event;
    std::int64_t left;
    static void next(eddy_op*, void* user) {
        auto* c = static_cast<chain*>(user);
        if (--c->left == 0) return;
        eddy_op_then(eddy_event_wait(c->event), &chain::next, c, nullptr);
    }
};

bench::result callback(double scale) {
    eddy_loop* l = new_loop();
    chain c{nullptr, bench::scaled(10'000'000, scale)};
    const std::int64_t n = c.left;
    eddy_event_new(l, &c.event);
    eddy_event_set(c.event);
    eddy_op_then(eddy_event_wait(c.event), &chain::next, &c, nullptr);
    const bench::stopwatch watch;
    eddy_loop_run(l, EDDY_RUN_DEFAULT);
    const std::int64_t ns = watch.elapsed();
    bench::require(c.left == 0, "the chain broke");
    eddy_unref(c.event);
    eddy_loop_close(l, 0);
    eddy_unref(l);
    return {ns, n, 0};
}

int nothing(eddy_task*, void*) { return EDDY_STEP_DONE; }

int spawn_and_join(eddy_task* task, void* state) {
    auto* s = static_cast<steps*>(state);
    EDDY_BEGIN(task);
    while (s->left != 0) {
        EDDY_TRY(task, eddy_spawn(eddy_task_loop(task), &nothing, nullptr, nullptr));
        --s->left;
    }
    EDDY_END(task);
}

bench::result spawn(double scale) {
    eddy_loop* l = new_loop();
    steps s;
    s.left = bench::scaled(5'000'000, scale);
    return run_steps(l, &spawn_and_join, s);
}

} // namespace

int main(int argc, char** argv) {
    return bench::main(argc, argv,
                       {{"C-event", &event},
                        {"C-mutex", &mutex},
                        {"C-queue", &queue},
                        {"C-sleep0", &sleep},
                        {"C-callback", &callback},
                        {"C-spawn", &spawn}});
}

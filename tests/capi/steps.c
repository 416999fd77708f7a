#include "steps.h"

static void note(struct trace* t, int what) {
    if (t != NULL && t->n < 4096) t->what[t->n++] = what;
}

int locker_step(eddy_task* task, void* state) {
    struct locker* s = state;
    EDDY_BEGIN(task);
    EDDY_AWAIT(task, eddy_mutex_lock(s->mutex));
    s->status = eddy_task_status(task);
    if (s->status != EDDY_OK) return eddy_propagate(task);
    note(s->trace, s->name);
    if (s->hold != 0) EDDY_AWAIT(task, eddy_sleep(eddy_task_loop(task), s->hold));
    eddy_mutex_unlock(s->mutex);
    EDDY_END(task);
}

int getter_step(eddy_task* task, void* state) {
    struct getter* s = state;
    EDDY_BEGIN(task);
    for (;;) {
        EDDY_AWAIT(task, eddy_queue_get(s->queue));
        s->status = eddy_task_status(task);
        if (s->status == EDDY_ECLOSED) break;
        if (s->status != EDDY_OK) return eddy_propagate(task);
        note(s->trace, s->name * 1000 + *(int*)eddy_task_take(task));
        eddy_queue_done(s->queue);
        if (++s->got == s->limit) break;
    }
    EDDY_END(task);
}

int putter_step(eddy_task* task, void* state) {
    struct putter* s = state;
    EDDY_BEGIN(task);
    while (s->done < s->n) {
        EDDY_AWAIT(task, eddy_queue_put(s->queue, &s->items[s->done]));
        s->status = eddy_task_status(task);
        if (s->status != EDDY_OK) return eddy_propagate(task);
        ++s->done;
    }
    EDDY_END(task);
}

int cleaner_step(eddy_task* task, void* state) {
    struct cleaner* s = state;
    EDDY_BEGIN(task);
    EDDY_AWAIT(task, eddy_sleep(eddy_task_loop(task), EDDY_SEC(3600)));
    note(s->trace, eddy_task_status(task));
    note(s->trace, eddy_task_cancelled(task));
    for (; s->i < s->n; ++s->i) {
        EDDY_AWAIT(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(10)));
        note(s->trace, eddy_task_status(task));
    }
    note(s->trace, eddy_task_cancelled(task));
    return eddy_return_number(task, s->i);
    EDDY_END(task);
}

int runner_step(eddy_task* task, void* state) {
    struct runner* s = state;
    EDDY_BEGIN(task);
    for (;;) {
        EDDY_AWAIT(task, s->mutex == NULL ? eddy_sleep(eddy_task_loop(task), 0) : eddy_mutex_lock(s->mutex));
        if (eddy_task_status(task) != EDDY_OK) return eddy_return_number(task, s->n);
        ++s->n;
        if (s->mutex != NULL) eddy_mutex_unlock(s->mutex);
    }
    EDDY_END(task);
}

int yielder_step(eddy_task* task, void* state) {
    struct yielder* s = state;
    EDDY_BEGIN(task);
    for (; s->i < s->n; ++s->i) {
        note(s->trace, s->name);
        EDDY_YIELD(task);
    }
    EDDY_END(task);
}

int waiter_step(eddy_task* task, void* state) {
    struct waiter* s = state;
    EDDY_BEGIN(task);
    EDDY_TRY(task, s->op);
    return eddy_propagate(task);
    EDDY_END(task);
}

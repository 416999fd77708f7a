/* One producer, fifty consumers, a queue of ten, a time limit for each item: step functions on eddy. */
#include "measure.h"

#include <eddy.h>

struct shared {
    eddy_queue* queue;
    long done, late, produced, items;
};

static int consume(eddy_task* task, void* state) {
    struct shared* const s = *(struct shared**)state;
    EDDY_BEGIN(task);
    for (;;) {
        EDDY_AWAIT(task, eddy_queue_get(s->queue));
        if (eddy_task_status(task) == EDDY_ECLOSED) break;
        if (eddy_task_status(task) != EDDY_OK) return eddy_propagate(task);
        eddy_task_take(task);
        EDDY_AWAIT(task, eddy_op_timeout(eddy_sleep(eddy_task_loop(task), 0), EDDY_MS(200)));
        if (eddy_task_status(task) == EDDY_ETIMEDOUT)
            s->late++;
        else if (eddy_task_status(task) != EDDY_OK)
            return eddy_propagate(task);
        else
            s->done++;
    }
    EDDY_END(task);
}

static int produce(eddy_task* task, void* state) {
    struct shared* const s = *(struct shared**)state;
    EDDY_BEGIN(task);
    for (; s->produced < s->items; s->produced++)
        EDDY_TRY(task, eddy_queue_put(s->queue, s));
    eddy_queue_close(s->queue);
    EDDY_END(task);
}

int main(int argc, char** argv) {
    struct measure m = measure_begin(argc, argv);
    struct shared shared = {NULL, 0, 0, 0, m.items}, *s = &shared;
    eddy_loop* loop;
    eddy_group* group;
    eddy_op* all;
    long i;
    if (eddy_loop_new(NULL, &loop) != EDDY_OK || eddy_group_new(loop, 0, &group) != EDDY_OK ||
        eddy_queue_new(loop, 10, NULL, &s->queue) != EDDY_OK)
        return 1;
    for (i = 0; i < m.consumers; i++)
        eddy_group_add(group, eddy_spawn_copy(loop, consume, &s, sizeof s));
    eddy_loop_run(loop, EDDY_RUN_NOWAIT);
    measure_waiting(&m);
    eddy_group_add(group, eddy_spawn_copy(loop, produce, &s, sizeof s));
    all = eddy_group_wait(group);
    if (eddy_loop_run_until(loop, all, EDDY_FOREVER) != EDDY_OK) return 1;
    eddy_unref(all);
    eddy_unref(group);
    eddy_unref(s->queue);
    eddy_loop_close(loop, 0);
    eddy_unref(loop);
    return measure_end(&m, shared.done);
}

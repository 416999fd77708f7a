/* One producer, fifty consumers, a thousand jobs; each job has a time limit, and some exceed it. */
#include <eddy.h>

#include <stdio.h>
#include <stdlib.h>

enum { CONSUMERS = 50, JOBS = 1000 };

struct shared {
    eddy_queue* queue;
    int done, late;
};

/* A job that sleeps for as many microseconds as its number says; every hundredth would take an hour. */
static int job(eddy_task* task, void* state) {
    const int number = *(int*)state;
    EDDY_BEGIN(task);
    EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), number % 100 == 99 ? EDDY_SEC(3600) : EDDY_US(number)));
    EDDY_END(task);
}

struct consumer {
    struct shared* shared;
    int* number;
};

static int consume(eddy_task* task, void* state) {
    struct consumer* s = state;
    EDDY_BEGIN(task);
    for (;;) {
        EDDY_AWAIT(task, eddy_queue_get(s->shared->queue));
        if (eddy_task_status(task) == EDDY_ECLOSED) break; /* closed, and nothing left */
        if (eddy_task_status(task) != EDDY_OK) return eddy_propagate(task);
        s->number = eddy_task_take(task);

        /* The job's state is a copy: it may outlive this step. */
        EDDY_AWAIT(task, eddy_op_timeout(eddy_spawn_copy(eddy_task_loop(task), job, s->number, sizeof *s->number),
                                         EDDY_MS(200)));
        if (eddy_task_status(task) == EDDY_ETIMEDOUT) s->shared->late++;
        if (eddy_task_status(task) == EDDY_OK) s->shared->done++;
        free(s->number);
        s->number = NULL;
    }
    EDDY_END(task);
}

static void drop_consumer(void* state) {
    struct consumer* s = state;
    free(s->number); /* cancelled in the middle of a job */
    free(s);
}

struct producer {
    eddy_queue* queue;
    int i;
};

static int produce(eddy_task* task, void* state) {
    struct producer* s = state;
    int* number;
    EDDY_BEGIN(task);
    for (s->i = 0; s->i < JOBS; s->i++) {
        number = malloc(sizeof *number);
        if (number == NULL) return eddy_fail(task, EDDY_ENOMEM, NULL);
        *number = s->i;
        EDDY_TRY(task, eddy_queue_put(s->queue, number)); /* waits while ten are queued */
    }
    eddy_queue_close(s->queue);
    EDDY_END(task);
}

int main(void) {
    struct shared shared = {NULL, 0, 0};
    struct producer producer = {NULL, 0};
    eddy_loop* loop = NULL;
    eddy_group* group = NULL;
    eddy_op* all;
    int i, status;

    if (eddy_loop_new(NULL, &loop) != EDDY_OK || eddy_group_new(loop, 0, &group) != EDDY_OK ||
        eddy_queue_new(loop, 10, free, &shared.queue) != EDDY_OK)
        return 1;
    producer.queue = shared.queue;

    /* What is in the group ends before the program goes on; an error in one cancels the others. */
    eddy_group_add(group, eddy_spawn(loop, produce, &producer, NULL));
    for (i = 0; i < CONSUMERS; i++) {
        struct consumer* c = calloc(1, sizeof *c);
        if (c == NULL) return 1;
        c->shared = &shared;
        eddy_group_add(group, eddy_spawn(loop, consume, c, drop_consumer));
    }
    all = eddy_group_wait(group);
    status = eddy_loop_run_until(loop, all, EDDY_FOREVER);
    printf("%s: %d done, %d too late\n", eddy_errname(status), shared.done, shared.late);

    eddy_unref(all);
    eddy_unref(group);
    eddy_unref(shared.queue);
    eddy_loop_close(loop, EDDY_SEC(5));
    eddy_unref(loop);
    return status == EDDY_OK ? 0 : 1;
}

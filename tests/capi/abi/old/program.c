/* A program of an older release: compiled with the header beside it, linked with the library of today.
 * Exits with 0, or says what does not hold any more. */
#include "eddy.h"

#include <stdio.h>
#include <string.h>

#define MUST(x)                                                                                                        \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            printf("an old program: line %d: %s\n", __LINE__, #x);                                                     \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

static int drops;

static void drop(void* user) {
    (void)user;
    ++drops;
}

static int work(eddy_work* w, void* user) {
    eddy_work_set(w, user, drop, 7);
    eddy_work_set_message(w, "done");
    return EDDY_OK;
}

struct consumer {
    eddy_queue* queue;
    int sum;
};

static int consume(eddy_task* task, void* state) {
    struct consumer* s = state;
    EDDY_BEGIN(task);
    for (;;) {
        EDDY_AWAIT(task, eddy_queue_get(s->queue));
        if (eddy_task_status(task) == EDDY_ECLOSED) return eddy_return_number(task, s->sum);
        s->sum += *(int*)eddy_task_take(task);
        eddy_queue_done(s->queue);
    }
    EDDY_END(task);
}

static int compare(const void* a, const void* b, void* user) {
    (void)user;
    return *(const int*)a - *(const int*)b;
}

int main(void) {
    static int items[] = {3, 1, 2};
    struct consumer start;
    eddy_loop_opts opts;
    eddy_queue_opts by_size;
    eddy_pool_opts threads;
    eddy_op_info info;
    eddy_loop_stats stats;
    eddy_sync_stats sync;
    eddy_pool_stats pool_stats;
    eddy_loop* loop;
    eddy_queue* queue;
    eddy_mutex* mutex;
    eddy_cond* cond;
    eddy_pool* pool;
    eddy_op *task, *op, *both[2];
    void* item;
    int i;

    MUST(eddy_abi() == EDDY_ABI);
    MUST(eddy_version() >= EDDY_VERSION_HEX);
    EDDY_INIT(&opts);
    opts.name = "old";
    MUST(eddy_loop_new(&opts, &loop) == EDDY_OK);

    EDDY_INIT(&by_size);
    by_size.order = EDDY_QUEUE_PRIORITY;
    by_size.compare = compare;
    by_size.drop = drop;
    MUST(eddy_queue_new_opts(loop, &by_size, &queue) == EDDY_OK);
    for (i = 0; i < 3; ++i)
        MUST(eddy_queue_try_put(queue, &items[i]) == EDDY_OK);
    MUST(eddy_queue_try_get(queue, &item) == EDDY_OK && item == &items[1]);
    eddy_queue_done(queue);
    EDDY_INIT(&sync);
    MUST(eddy_sync_get_stats(queue, &sync) == EDDY_OK && sync.count == 2 && sync.unfinished == 2);
    start.queue = queue;
    start.sum = 0;
    task = eddy_spawn_copy(loop, consume, &start, sizeof start);
    eddy_op_set_name(task, "consumer");
    both[0] = eddy_queue_join(queue);
    both[1] = eddy_sleep(loop, EDDY_MS(1));
    op = eddy_gather(loop, (eddy_op* const*)both, 2, 0);
    MUST(eddy_loop_run_until(loop, op, EDDY_FOREVER) == EDDY_OK);
    eddy_unref(op);
    EDDY_INIT(&info);
    MUST(eddy_op_get_info(task, &info) == EDDY_OK);
    MUST(info.kind == EDDY_KIND_TASK && info.status == EDDY_PENDING && strcmp(info.name, "consumer") == 0);
    EDDY_INIT(&stats);
    MUST(eddy_loop_get_stats(loop, &stats) == EDDY_OK && stats.tasks == 1);
    eddy_queue_close(queue);
    MUST(eddy_loop_run_until(loop, task, EDDY_FOREVER) == EDDY_OK && eddy_op_number(task) == 5);
    eddy_unref(task);

    op = eddy_op_timeout(eddy_sleep(loop, EDDY_SEC(60)), EDDY_MS(1));
    MUST(eddy_loop_run_until(loop, op, EDDY_FOREVER) == EDDY_ETIMEDOUT);
    eddy_unref(op);

    MUST(eddy_mutex_new(loop, &mutex) == EDDY_OK && eddy_cond_new(mutex, &cond) == EDDY_OK);
    MUST(eddy_mutex_try_lock(mutex) == EDDY_OK);
    op = eddy_cond_wait(cond);
    MUST(eddy_mutex_try_lock(mutex) == EDDY_OK && eddy_cond_notify(cond, 1) == EDDY_OK);
    MUST(eddy_mutex_unlock(mutex) == EDDY_OK);
    MUST(eddy_loop_run_until(loop, op, EDDY_FOREVER) == EDDY_OK && eddy_mutex_unlock(mutex) == EDDY_OK);
    eddy_unref(op);

    EDDY_INIT(&threads);
    threads.threads = 1;
    threads.drop = drop;
    MUST(eddy_pool_new(&threads, &pool) == EDDY_OK);
    op = eddy_offload(loop, pool, work, items, NULL, 0);
    MUST(eddy_loop_run_until(loop, op, EDDY_FOREVER) == EDDY_OK && eddy_op_number(op) == 7);
    MUST(eddy_op_value(op) == items && strcmp(eddy_op_message(op), "done") == 0);
    EDDY_INIT(&pool_stats);
    MUST(eddy_pool_get_stats(pool, &pool_stats) == EDDY_OK && pool_stats.threads == 1);
    eddy_unref(op);
    eddy_unref(pool);

    MUST(eddy_loop_close(loop, EDDY_SEC(5)) == EDDY_OK);
    eddy_unref(cond);
    eddy_unref(mutex);
    eddy_unref(queue);
    eddy_unref(loop);
    MUST(drops == 3);
    return 0;
}

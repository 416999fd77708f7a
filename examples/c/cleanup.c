/* Cancelled in the middle of its work, a task cleans up, and may wait while it does. */
#include <eddy.h>

#include <stdio.h>

struct writer {
    eddy_mutex* lock;
    int locked;
};

static int write_file(eddy_task* task, void* state) {
    struct writer* s = state;
    EDDY_BEGIN(task);
    EDDY_TRY(task, eddy_mutex_lock(s->lock));
    s->locked = 1;
    printf("writing\n");
    EDDY_AWAIT(task, eddy_sleep(eddy_task_loop(task), EDDY_SEC(3600)));
    if (eddy_task_status(task) != EDDY_OK) {
        /* Told once: what is awaited from here on works as ever. */
        printf("interrupted: %s\n", eddy_strerror(eddy_task_status(task)));
        EDDY_AWAIT(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(5)));
        printf("flushed\n");
        return eddy_fail(task, EDDY_ECANCELED, "the file is incomplete");
    }
    EDDY_END(task);
}

/* Called when the task has ended, however it did. */
static void drop_writer(void* state) {
    struct writer* s = state;
    if (s->locked) eddy_mutex_unlock(s->lock);
    printf("unlocked\n");
}

int main(void) {
    struct writer s = {NULL, 0};
    eddy_loop* loop = NULL;
    eddy_op* op;
    int status;

    if (eddy_loop_new(NULL, &loop) != EDDY_OK || eddy_mutex_new(loop, &s.lock) != EDDY_OK) return 1;
    op = eddy_op_timeout(eddy_spawn(loop, write_file, &s, drop_writer), EDDY_MS(10));
    status = eddy_loop_run_until(loop, op, EDDY_FOREVER);
    printf("%s (%s)\n", eddy_errname(status), eddy_op_message(op));
    printf("the lock is %s\n", eddy_mutex_try_lock(s.lock) == EDDY_OK ? "free" : "taken");

    eddy_unref(op);
    eddy_unref(s.lock);
    eddy_loop_close(loop, EDDY_SEC(5));
    eddy_unref(loop);
    return 0;
}

/* A function that computes for a while runs on another thread; the loop goes on meanwhile. */
#include <eddy.h>

#include <stdio.h>

/* On a worker thread.  Asks now and then whether anybody still wants it. */
static int count_primes(eddy_work* work, void* user) {
    const int limit = *(const int*)user;
    int n, d, primes = 0;
    for (n = 2; n < limit; n++) {
        if (n % 1000 == 0 && eddy_work_cancelled(work)) return EDDY_ECANCELED;
        for (d = 2; d * d <= n && n % d != 0; d++) {
        }
        if (d * d > n) primes++;
    }
    eddy_work_set(work, NULL, NULL, primes);
    return EDDY_OK;
}

static int program(eddy_task* task, void* state) {
    static int few = 100000, many = 2147483647;
    (void)state;
    EDDY_BEGIN(task);
    EDDY_TRY(task, eddy_offload(eddy_task_loop(task), NULL, count_primes, &few, NULL, 0));
    printf("%d primes below %d\n", (int)eddy_task_number(task), few);

    EDDY_AWAIT(task,
               eddy_op_timeout(eddy_offload(eddy_task_loop(task), NULL, count_primes, &many, NULL, 0), EDDY_MS(20)));
    printf("below %d: %s\n", many, eddy_strerror(eddy_task_status(task)));
    EDDY_END(task);
}

int main(void) {
    eddy_loop* loop = NULL;
    eddy_op* op;
    int status;

    if (eddy_loop_new(NULL, &loop) != EDDY_OK) return 1;
    op = eddy_spawn(loop, program, NULL, NULL);
    status = eddy_loop_run_until(loop, op, EDDY_FOREVER);
    eddy_unref(op);
    eddy_loop_close(loop, EDDY_SEC(5));
    eddy_unref(loop);
    return status == EDDY_OK ? 0 : 1;
}

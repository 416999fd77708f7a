/* A user's C program, outside the tree. */
#include <eddy.h>
#include <stdio.h>

static int greet(eddy_task* task, void* state) {
    (void)state;
    EDDY_BEGIN(task);
    EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(1)));
    return eddy_return_number(task, 42);
    EDDY_END(task);
}

int main(void) {
    eddy_loop* loop = NULL;
    eddy_op* op;
    int status = eddy_loop_new(NULL, &loop);
    if (status != EDDY_OK) {
        fprintf(stderr, "%s\n", eddy_strerror(status));
        return 1;
    }
    op = eddy_spawn(loop, greet, NULL, NULL);
    status = eddy_loop_run_until(loop, op, EDDY_SEC(60));
    if (status != EDDY_OK || eddy_op_number(op) != 42 || eddy_abi() != EDDY_ABI) return 1;
    eddy_unref(op);
    status = eddy_loop_close(loop, EDDY_SEC(1));
    eddy_unref(loop);
    return status == EDDY_OK ? 0 : 1;
}

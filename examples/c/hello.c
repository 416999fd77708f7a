/* A task that waits, and the value that it gives. */
#include <eddy.h>

#include <stdio.h>

/* A step function runs up to its next await, and is called again when that is over.
 * Nothing that must survive an await may be a local variable: here there is none. */
static int hello(eddy_task* task, void* state) {
    (void)state;
    EDDY_BEGIN(task);
    printf("hello ...\n");
    EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(10)));
    printf("... world\n");
    return eddy_return_number(task, 42);
    EDDY_END(task);
}

int main(void) {
    eddy_loop* loop;
    eddy_op* op;
    int status = eddy_loop_new(NULL, &loop);
    if (status != EDDY_OK) {
        fprintf(stderr, "no loop: %s\n", eddy_strerror(status));
        return 1;
    }
    op = eddy_spawn(loop, hello, NULL, NULL);
    status = eddy_loop_run_until(loop, op, EDDY_FOREVER);
    printf("%s, %d\n", eddy_errname(status), (int)eddy_op_number(op));
    eddy_unref(op);
    eddy_loop_close(loop, EDDY_SEC(5));
    eddy_unref(loop);
    return status == EDDY_OK ? 0 : 1;
}

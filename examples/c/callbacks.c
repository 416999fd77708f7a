/* No step functions: ops and callbacks only.  Two things at once, then a race against a time limit. */
#include <eddy.h>

#include <stdio.h>

struct program {
    eddy_loop* loop;
    eddy_event* never;
};

static void raced(eddy_op* op, void* user) {
    struct program* p = user;
    printf("race: number %d won, %s\n", (int)eddy_op_number(op), eddy_errname(eddy_op_status(op)));
    eddy_loop_stop(p->loop);
}

static void gathered(eddy_op* op, void* user) {
    struct program* p = user;
    eddy_op* parts[2];
    int status;

    printf("gather: %s\n", eddy_errname(eddy_op_status(op)));

    /* A deadline is a property of an op; this one is never reached by the event. */
    parts[0] = eddy_event_wait(p->never);
    parts[1] = eddy_sleep(p->loop, EDDY_MS(5));
    status = eddy_op_then(eddy_race(p->loop, parts, 2), raced, p, NULL);
    if (status != EDDY_OK) { /* then it is not called */
        printf("no race: %s\n", eddy_strerror(status));
        eddy_loop_stop(p->loop);
    }
}

static void soon(void* user) {
    (void)user;
    printf("soon\n");
}

int main(void) {
    struct program p = {NULL, NULL};
    eddy_op* parts[2];

    if (eddy_loop_new(NULL, &p.loop) != EDDY_OK || eddy_event_new(p.loop, &p.never) != EDDY_OK) return 1;

    eddy_call_soon(p.loop, soon, NULL, NULL);
    parts[0] = eddy_sleep(p.loop, EDDY_MS(1));
    parts[1] = eddy_sleep(p.loop, EDDY_MS(2));
    if (eddy_op_then(eddy_gather(p.loop, parts, 2, 0), gathered, &p, NULL) != EDDY_OK) return 1;
    printf("nothing has been called yet\n");
    eddy_loop_run(p.loop, EDDY_RUN_DEFAULT);

    eddy_unref(p.never);
    eddy_loop_close(p.loop, 0);
    eddy_unref(p.loop);
    return 0;
}

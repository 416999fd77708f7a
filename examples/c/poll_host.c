/* A program with an event loop of its own, poll(2), hosts eddy: it watches one descriptor and sleeps no longer than
 * eddy says. */
#include <eddy.h>

#include <poll.h>
#include <stdio.h>
#include <unistd.h>

struct reader {
    int fd;
};

static int read_lines(eddy_task* task, void* state) {
    struct reader* s = state;
    char line[80];
    ssize_t n;
    EDDY_BEGIN(task);
    for (;;) {
        EDDY_TRY(task, eddy_fd_wait(eddy_task_loop(task), s->fd, EDDY_READABLE));
        n = read(s->fd, line, sizeof line - 1);
        if (n <= 0) break; /* the other end is closed */
        line[n] = '\0';
        printf("eddy read: %s\n", line);
    }
    EDDY_END(task);
}

int main(void) {
    struct reader s;
    struct pollfd watched;
    eddy_loop* loop = NULL;
    eddy_op* task;
    int ends[2], turns = 0;

    if (pipe(ends) != 0 || eddy_loop_new(NULL, &loop) != EDDY_OK) return 1;
    s.fd = ends[0];
    task = eddy_op_timeout(eddy_spawn(loop, read_lines, &s, NULL), EDDY_SEC(60));

    if (write(ends[1], "one", 3) != 3) return 1;
    watched.fd = eddy_loop_fd(loop);
    watched.events = POLLIN;
    while (eddy_op_status(task) == EDDY_PENDING) {
        const uint64_t wait = eddy_loop_timeout(loop);
        /* Rounded up to poll's milliseconds. */
        const int ms = wait >= EDDY_SEC(1000) ? 1000000 : (int)((wait + EDDY_MS(1) - 1) / EDDY_MS(1));
        poll(&watched, 1, ms);
        eddy_loop_run(loop, EDDY_RUN_NOWAIT);

        /* The host's own work. */
        if (++turns == 1) close(ends[1]);
    }
    printf("the task: %s\n", eddy_errname(eddy_op_status(task)));

    close(ends[0]);
    eddy_unref(task);
    eddy_loop_close(loop, 0);
    eddy_unref(loop);
    return 0;
}

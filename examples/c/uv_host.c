/* A program that already runs a uv_loop_t: eddy lives on it, and its tasks run from the program's uv_run(). */
#include <eddy_uv.h>

#include <stdio.h>

static int count(eddy_task* task, void* state) {
    int* i = state;
    EDDY_BEGIN(task);
    for (*i = 1; *i <= 3; ++*i) {
        EDDY_TRY(task, eddy_sleep(eddy_task_loop(task), EDDY_MS(10)));
        printf("eddy: %d\n", *i);
    }
    EDDY_END(task);
}

static void on_timer(uv_timer_t* timer) {
    printf("libuv: its own timer\n");
    uv_close((uv_handle_t*)timer, NULL);
}

int main(void) {
    uv_loop_t uv;
    uv_timer_t timer;
    eddy_loop_opts opts;
    eddy_loop* loop = NULL;
    int status;

    if (uv_loop_init(&uv) != 0) return 1;
    uv_timer_init(&uv, &timer);
    uv_timer_start(&timer, on_timer, 15, 0);

    EDDY_INIT(&opts);
    eddy_loop_opts_adopt(&opts, &uv);
    status = eddy_loop_new(&opts, &loop);
    if (status != EDDY_OK) {
        fprintf(stderr, "%s\n", eddy_strerror(status)); /* EDDY_EABI: two copies of libuv */
        return 1;
    }
    eddy_unref(eddy_spawn_copy(loop, count, NULL, sizeof(int))); /* runs on, the loop's own */

    uv_run(&uv, UV_RUN_DEFAULT); /* ends when neither has anything left */

    status = eddy_loop_close(loop, 0);
    eddy_unref(loop);
    uv_run(&uv, UV_RUN_DEFAULT); /* eddy's handles are closed in this turn */
    printf("%s, uv_loop_close: %d\n", eddy_errname(status), uv_loop_close(&uv));
    return 0;
}

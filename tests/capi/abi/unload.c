/* libeddy.so as a plug-in has it: loaded in the middle of a run and on another thread, "unloaded" while a loop lives,
 * and loaded again.  usage: unload libeddy.so */
#include "eddy.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define MUST(x)                                                                                                        \
    do {                                                                                                               \
        if (!(x)) {                                                                                                    \
            printf("line %d: %s\n", __LINE__, #x);                                                                     \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

struct library {
    void* handle;
    int (*loop_new)(const eddy_loop_opts*, eddy_loop**);
    int (*loop_run_until)(eddy_loop*, eddy_op*, uint64_t);
    int (*loop_close)(eddy_loop*, uint64_t);
    eddy_op* (*sleep)(eddy_loop*, uint64_t);
    eddy_op* (*offload)(eddy_loop*, eddy_pool*, eddy_work_fn, void*, eddy_free_fn, uint32_t);
    void (*unref)(void*);
};

static const char* path;
static struct library from_thread;
static eddy_loop* threads_loop;

/* A function's address by way of an object's, which ISO C has no cast for. */
static int find(void* handle, const char* name, void* function) {
    void* const found = dlsym(handle, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static int load(struct library* l) {
    l->handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (l->handle == NULL) printf("%s\n", dlerror());
    return l->handle != NULL && find(l->handle, "eddy_loop_new", &l->loop_new) &&
           find(l->handle, "eddy_loop_run_until", &l->loop_run_until) &&
           find(l->handle, "eddy_loop_close", &l->loop_close) && find(l->handle, "eddy_sleep", &l->sleep) &&
           find(l->handle, "eddy_offload", &l->offload) && find(l->handle, "eddy_unref", &l->unref);
}

static int work(eddy_work* w, void* user) {
    (void)w;
    *(int*)user = 1;
    return EDDY_OK;
}

static int use(struct library* l, eddy_loop* loop) {
    int done = 0;
    eddy_op* op = l->sleep(loop, EDDY_MS(1));
    MUST(l->loop_run_until(loop, op, EDDY_FOREVER) == EDDY_OK);
    l->unref(op);
    op = l->offload(loop, NULL, work, &done, NULL, 0);
    MUST(l->loop_run_until(loop, op, EDDY_FOREVER) == EDDY_OK && done);
    l->unref(op);
    return 0;
}

static void* in_thread(void* failed) {
    *(int*)failed = !load(&from_thread) || from_thread.loop_new(NULL, &threads_loop) != EDDY_OK ||
                    use(&from_thread, threads_loop) != 0;
    return NULL;
}

int main(int argc, char** argv) {
    struct library first, again;
    eddy_loop* loop;
    pthread_t thread;
    int failed = 1;

    MUST(argc == 2);
    path = argv[1];
    /* First of all by a thread that ends before what it made. */
    MUST(pthread_create(&thread, NULL, in_thread, &failed) == 0 && pthread_join(thread, NULL) == 0 && !failed);
    MUST(load(&first) && first.loop_new(NULL, &loop) == EDDY_OK && use(&first, loop) == 0);
    MUST(use(&from_thread, threads_loop) == 0);
    MUST(from_thread.loop_close(threads_loop, 0) == EDDY_OK);
    from_thread.unref(threads_loop);
    dlclose(from_thread.handle);
    /* The last handle goes, a loop and libuv's threads live on: the code has to stay. */
    dlclose(first.handle);
    MUST(use(&first, loop) == 0);
    MUST(load(&again) && use(&again, loop) == 0);
    MUST(again.loop_new == first.loop_new);
    MUST(again.loop_close(loop, 0) == EDDY_OK);
    again.unref(loop);
    dlclose(again.handle);
    return 0;
}

/* Step functions of the tests, compiled as C. */
#ifndef EDDY_TESTS_STEPS_H
#define EDDY_TESTS_STEPS_H

#include "eddy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What happened, in order. */
struct trace {
    int n;
    int what[4096];
};

/* Locks, writes its name, holds the lock for a while, unlocks.  `status` is what the lock answered. */
struct locker {
    eddy_mutex* mutex;
    struct trace* trace;
    int name;
    uint64_t hold;
    int status;
};
int locker_step(eddy_task* task, void* state);

/* Gets `limit` items (0: until the queue is closed) and writes the ints that they point at, as name * 1000 + item. */
struct getter {
    eddy_queue* queue;
    struct trace* trace;
    int name;
    int limit;
    int got;
    int status;
};
int getter_step(eddy_task* task, void* state);

/* Puts &items[0 .. n-1]. */
struct putter {
    eddy_queue* queue;
    int* items;
    int n;
    int done;
    int status;
};
int putter_step(eddy_task* task, void* state);

/* Sleeps for an hour; then cleans up in `n` sleeps of 10 ms and notes what each await answered. */
struct cleaner {
    struct trace* trace;
    int n;
    int i;
};
int cleaner_step(eddy_task* task, void* state);

/* Awaits finished ops (sleep 0, or unlocked mutexes) until one is cancelled; returns how many it awaited. */
struct runner {
    eddy_mutex* mutex; /* NULL: sleeps of no length */
    int n;
};
int runner_step(eddy_task* task, void* state);

/* Yields `n` times and writes its name each time. */
struct yielder {
    struct trace* trace;
    int name;
    int n;
    int i;
};
int yielder_step(eddy_task* task, void* state);

/* Awaits `op` and ends as it does. */
struct waiter {
    eddy_op* op;
};
int waiter_step(eddy_task* task, void* state);

#ifdef __cplusplus
}
#endif

#endif

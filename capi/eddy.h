/*
 * eddy.h - the C interface of the eddy coroutine runtime.
 *
 * A first slice of it: loops, ops, promises, sleeping, tasks, queues and mutexes.
 * What is here has its final name and meaning.  Not installed yet.
 *
 * Every rule below holds for the whole header unless a function says otherwise.
 *
 *  ONE AWAITABLE   Everything that can finish later is an eddy_op: a sleep, a
 *                  queue get, a task, a combination of ops, a foreign promise.
 *                  An op finishes exactly once, with a status, an optional
 *                  value (a pointer with its destructor), an integer and an
 *                  optional message.  Cancellation and deadlines are properties
 *                  of an op, never extra parameters of the call that made it.
 *
 *  FAILURE         A function that returns eddy_op* never fails on the spot: bad
 *                  arguments, closed objects and so on are the status of the op
 *                  it returns.  Only when no op could be allocated does it
 *                  return NULL, and NULL *is* a valid op: finished, with status
 *                  EDDY_ENOMEM.  Every function here accepts it.
 *                  A function that returns int returns EDDY_OK or a negative
 *                  code.  No state is kept per thread, so there is no "last
 *                  error" to fetch from the right thread.
 *
 *  REFERENCES      Objects are counted.  A pointer returned as EDDY_GIVE, or
 *                  written to an `out` parameter, carries one reference that the
 *                  caller drops with eddy_unref().  A parameter marked EDDY_TAKE
 *                  consumes one reference, whether the call succeeds or not.
 *                  Every other pointer is borrowed for the call.
 *                  eddy_ref() and eddy_unref() may be called from any thread, in
 *                  any order, also after the loop has been closed, so they can
 *                  be used directly as a garbage collector's finalizer.
 *
 *  ABANDONING      Dropping the last reference to an unfinished op that nobody
 *                  awaits abandons it.  An abandoned leaf op is cancelled.  An
 *                  abandoned task keeps running detached; the loop owns it.
 *                  An outcome that was never looked at is undone: a lock is
 *                  unlocked, a permit is given back, a queue item returns to the
 *                  front of its queue, any other value is destroyed, an error
 *                  goes to the loop's unhandled-error hook (so far: one line on
 *                  standard error).  Looking means: a consumer got it, or
 *                  eddy_op_status() told it.
 *
 *  USER DATA       Callbacks come as (fn, user, drop).  `drop(user)` is called
 *                  exactly once, when eddy will never use `user` again: on the
 *                  loop, where the callback would have run; if the registering
 *                  call itself fails, before that call returns; never on a
 *                  worker thread.  `drop` may be NULL.
 *
 *  NO SURPRISES    No callback or step function is ever called from inside the
 *                  call that started, finished or cancelled something.  They run
 *                  from eddy_loop_run() (or from the adopted uv loop), one at a
 *                  time, never nested in each other.
 *
 *  MEMORY LENT     Memory handed to an op (a buffer, a string) is the op's until
 *                  the op has *finished*; cancelling or abandoning is not
 *                  finishing.  Where that matters the call takes a `drop`.
 *
 *  THREADS         An object belongs to one loop.  Calls on a loop and on its
 *                  objects must not overlap in time; which thread makes them is
 *                  irrelevant.  Functions marked EDDY_ANY_THREAD may be called
 *                  at any time from any thread.
 *
 *  C++ AND LONGJMP Callbacks must return normally: no exception, no longjmp, no
 *                  stack switch may leave them.  An escaping C++ exception is
 *                  turned into EDDY_EEXCEPTION with its what() as the message.
 *
 *  MACROS          Every macro is shorthand for exported functions, so a caller
 *                  without a C preprocessor loses nothing.
 */
#ifndef EDDY_H
#define EDDY_H
/* Laid out by hand: */
/* clang-format off */

#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------ linkage */

#if defined(_WIN32) || defined(__CYGWIN__)
#  if defined(EDDY_BUILDING)
#    define EDDY_EXPORT_ __declspec(dllexport)
#  elif defined(EDDY_STATIC)
#    define EDDY_EXPORT_
#  else
#    define EDDY_EXPORT_ __declspec(dllimport)
#  endif
#elif defined(__GNUC__)
#  define EDDY_EXPORT_ __attribute__((visibility("default")))
#else
#  define EDDY_EXPORT_
#endif

#if defined(__cplusplus)
#  define EDDY_BEGIN_DECLS extern "C" {
#  define EDDY_END_DECLS }
#  if __cplusplus >= 201103L
#    define EDDY_NOEXCEPT noexcept
#  else
#    define EDDY_NOEXCEPT throw()
#  endif
#else
#  define EDDY_BEGIN_DECLS
#  define EDDY_END_DECLS
#  define EDDY_NOEXCEPT
#endif

/* On every exported declaration. */
#define EDDY_API extern EDDY_EXPORT_

/* Notes to readers and binding generators; they expand to nothing. */
#define EDDY_GIVE           /* the returned reference belongs to the caller  */
#define EDDY_TAKE           /* this parameter consumes one reference         */
#define EDDY_NULLABLE       /* NULL is meaningful here                       */
#define EDDY_ANY_THREAD     /* callable at any time from any thread          */

/* A number as uint64_t, in C and in C++, without an old-style cast in C++. */
#if defined(__cplusplus)
#  define EDDY_U64_(n) (uint64_t(n))
#  define EDDY_U32_(n) (uint32_t(n))
#else
#  define EDDY_U64_(n) ((uint64_t)(n))
#  define EDDY_U32_(n) ((uint32_t)(n))
#endif

#if defined(__GNUC__) && (!defined(__clang__) ? __GNUC__ >= 7 : __clang_major__ >= 12)
#  define EDDY_FALLTHROUGH_ __attribute__((fallthrough))
#else
#  define EDDY_FALLTHROUGH_ ((void)0)
#endif

EDDY_BEGIN_DECLS

/* ------------------------------------------------------------------ version */

#define EDDY_VERSION_MAJOR 0
#define EDDY_VERSION_MINOR 1
#define EDDY_VERSION_PATCH 0
#define EDDY_VERSION_HEX \
    ((EDDY_VERSION_MAJOR << 16) | (EDDY_VERSION_MINOR << 8) | EDDY_VERSION_PATCH)

/* The number in the soname.  It changes only when compiled programs break. */
#define EDDY_ABI 0

EDDY_API uint32_t    eddy_version(void) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API uint32_t    eddy_abi(void) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API const char *eddy_version_string(void) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* ------------------------------------------------------------------- status */

/* 0 is success, EDDY_PENDING is "not finished", anything negative is an error:
 *      -1 ..  -9999   an operating system error with libuv's number for it
 *  -10001 .. -10999   eddy's own (below)
 *  -20000 .. -29999   never produced by eddy; for applications and bindings    */
enum {
    EDDY_OK         =  0,
    EDDY_PENDING    =  1,
    EDDY_ENOMEM     = -10001,
    EDDY_EINVAL     = -10002, /* an argument the function cannot work with      */
    EDDY_ECANCELED  = -10003,
    EDDY_ETIMEDOUT  = -10004, /* a deadline set with eddy_op_timeout() passed   */
    EDDY_ECLOSED    = -10005, /* the queue, pool, group or loop is closed       */
    EDDY_EAGAIN     = -10006, /* a try_ function would have had to wait         */
    EDDY_EBUSY      = -10007, /* already awaited, or still in use               */
    EDDY_ESTATE     = -10008, /* not allowed now: unlock of an unlocked mutex,
                                 run inside a callback, overlapping calls       */
    EDDY_ENOTSUP    = -10009,
    EDDY_ETOOBIG    = -10010, /* a struct sets a field this library has not got */
    EDDY_EABI       = -10011, /* the adopted uv loop belongs to another libuv   */
    EDDY_EFORKED    = -10012, /* the loop was created before a fork()           */
    EDDY_EBROKEN    = -10013, /* the barrier was reset or aborted                */
    EDDY_EEXCEPTION = -10014, /* an exception escaped from C++ code             */
    EDDY_EDEADLK    = -10015, /* run_until: nothing can ever finish the op      */
    EDDY_EUSER      = -20000
};

/* Both always return a static string. */
EDDY_API const char *eddy_strerror(int status) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API const char *eddy_errname(int status) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* --------------------------------------------------------------- time values */

/* Durations are nanoseconds.  Points in time are nanoseconds of eddy_loop_now().
 * The loop rounds a wait up to the resolution it has (libuv: one millisecond). */
#define EDDY_US(n)   (EDDY_U64_(n) * 1000u)
#define EDDY_MS(n)   (EDDY_U64_(n) * 1000000u)
#define EDDY_SEC(n)  (EDDY_U64_(n) * 1000000000u)
#define EDDY_FOREVER EDDY_U64_(-1)

/* -------------------------------------------------------------------- objects */

typedef struct eddy_loop  eddy_loop;
typedef struct eddy_op    eddy_op;      /* anything that finishes later         */
typedef struct eddy_task  eddy_task;    /* what a step function runs inside;
                                           never owned, valid during the step   */
typedef struct eddy_queue eddy_queue;
typedef struct eddy_mutex eddy_mutex;

/* One pair for every counted type: loop, op, queue, mutex.  NULL is ignored.
 * eddy_ref() returns its argument. */
EDDY_API void *eddy_ref(EDDY_NULLABLE void *object) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API void  eddy_unref(EDDY_TAKE EDDY_NULLABLE void *object) EDDY_NOEXCEPT EDDY_ANY_THREAD;

typedef void (*eddy_free_fn)(void *ptr);
typedef void (*eddy_call_fn)(void *user);
typedef void (*eddy_done_fn)(eddy_op *op, void *user);

/* ----------------------------------------------------------------------- loop */

/* Has no fields yet: NULL is the only value, anything else is EDDY_ENOTSUP. */
typedef struct eddy_loop_opts eddy_loop_opts;

/* *out is NULL when it fails: EDDY_ENOMEM, EDDY_EINVAL (no `out`), or what the
 * system said (descriptors, watches). */
EDDY_API int eddy_loop_new(EDDY_NULLABLE const eddy_loop_opts *opts, eddy_loop **out) EDDY_NOEXCEPT;

enum {
    EDDY_RUN_DEFAULT = 0,  /* until nothing is left to wait for, or stopped     */
    EDDY_RUN_ONCE    = 1,  /* wait for one round of events                      */
    EDDY_RUN_NOWAIT  = 2   /* handle everything that is ready, without waiting  */
};

/* Returns 1 when work is left, 0 when none is, or an error: EDDY_ESTATE inside a
 * callback or step, EDDY_ECLOSED. */
EDDY_API int eddy_loop_run(eddy_loop *loop, int mode) EDDY_NOEXCEPT;

/* Runs until `op` has finished and returns its status; EDDY_PENDING when the
 * time is over first, EDDY_EDEADLK when nothing can ever finish it (the op goes on
 * in both cases); EDDY_ECANCELED when stopped. */
EDDY_API int eddy_loop_run_until(eddy_loop *loop, EDDY_NULLABLE eddy_op *op, uint64_t timeout) EDDY_NOEXCEPT;

/* Makes eddy_loop_run return soon.  Also remembered for a loop that is about to
 * run.  May even be called from a signal handler. */
EDDY_API void eddy_loop_stop(eddy_loop *loop) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* Cancels every task, refuses new ones, and runs the loop until the last has
 * ended, for at most `grace`; then drops what is left: every open op finishes with
 * EDDY_ECLOSED, no callback is called, drops are.  EDDY_OK when all tasks ended in
 * time, else EDDY_ETIMEDOUT; EDDY_ESTATE inside a callback or step.  Afterwards only
 * eddy_unref() and reading finished ops are meaningful; everything else answers
 * EDDY_ECLOSED.  Drop the loop reference separately.  A loop that was never closed is
 * closed, with grace 0, by the last eddy_unref() of the loop and its objects (tasks
 * and awaited ops apart, which are the loop's own). */
EDDY_API int eddy_loop_close(eddy_loop *loop, uint64_t grace) EDDY_NOEXCEPT;

/* Reads the clock. */
EDDY_API uint64_t eddy_loop_now(const eddy_loop *loop) EDDY_NOEXCEPT;
/* 1 while there is something to run or to wait for. */
EDDY_API int      eddy_loop_alive(const eddy_loop *loop) EDDY_NOEXCEPT;

/* Calls `fn` once, after everything that is ready. */
EDDY_API int eddy_call_soon(eddy_loop *loop, eddy_call_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;

/* ------------------------------------------------------------------------- op */

EDDY_API int         eddy_op_status(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
/* What went wrong, for people; "" when there is nothing to say.  Lives as long
 * as the op. */
EDDY_API const char *eddy_op_message(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
/* The value is the result on success, or whatever object the failing code
 * attached to its error.  value() borrows it, take() hands it over (once). */
EDDY_API void       *eddy_op_value(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
EDDY_API void       *eddy_op_take(EDDY_NULLABLE eddy_op *op) EDDY_NOEXCEPT;
/* The integer result: a byte count, the winner of a race, ... else 0. */
EDDY_API int64_t     eddy_op_number(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
EDDY_API eddy_loop  *eddy_op_loop(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;

/* Asks the op to finish early.  The op still finishes in its own time and with
 * its own outcome; one that succeeds in the meantime has succeeded.  Finished or
 * already cancelled: no effect; only a task is asked again. */
EDDY_API void eddy_op_cancel(EDDY_NULLABLE eddy_op *op) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* Cancels the op `after` nanoseconds from now; an op that finishes as cancelled
 * for that reason reports EDDY_ETIMEDOUT.  Returns its argument, so it can wrap a
 * call.  The earliest of several deadlines counts; EDDY_FOREVER is none. */
EDDY_API EDDY_GIVE eddy_op *eddy_op_timeout(EDDY_TAKE EDDY_NULLABLE eddy_op *op, uint64_t after) EDDY_NOEXCEPT;

/* An op has at most one consumer: a callback, or an awaiting task.  A second one
 * gets EDDY_EBUSY.  `fn` is called from the loop with the finished op.  EDDY_OK,
 * EDDY_EBUSY, EDDY_EINVAL (no `fn`), EDDY_ECLOSED, and for NULL EDDY_ENOMEM: on an
 * error `fn` is not called. */
EDDY_API int eddy_op_then(EDDY_TAKE EDDY_NULLABLE eddy_op *op, eddy_done_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;

/* Promises: ops finished by the caller.  `on_cancel` (optional) is told once that
 * cancellation was asked for; it should lead to a reject.  Only the first
 * resolve or reject counts; a later one returns EDDY_ESTATE and frees its value.
 * A promise whose last reference goes while unfinished finishes EDDY_ECANCELED.
 * Without `on_cancel` a cancelled promise finishes at once. */
EDDY_API EDDY_GIVE eddy_op *eddy_promise(eddy_loop *loop, EDDY_NULLABLE eddy_done_fn on_cancel, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API int eddy_promise_resolve(eddy_op *op, void *value, EDDY_NULLABLE eddy_free_fn value_free, int64_t number) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API int eddy_promise_reject(eddy_op *op, int status, EDDY_NULLABLE const char *message, void *value, EDDY_NULLABLE eddy_free_fn value_free) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* ---------------------------------------------------------------------- timers */

/* Never early.  A zero duration and a time in the past let everything else that is
 * ready go first; EDDY_FOREVER waits until cancelled. */
EDDY_API EDDY_GIVE eddy_op *eddy_sleep(eddy_loop *loop, uint64_t duration) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_sleep_until(eddy_loop *loop, uint64_t when) EDDY_NOEXCEPT;

/* ----------------------------------------------------------------------- tasks */

/* A step function runs a task up to its next wait.  It is called again when the
 * awaited op has finished, until it returns EDDY_STEP_DONE.  State that must
 * survive a wait lives in *state. */
typedef int (*eddy_step_fn)(eddy_task *task, void *state);

enum {
    EDDY_STEP_DONE  = 0,  /* finished; see eddy_return() and eddy_fail()        */
    EDDY_STEP_WAIT  = 1,  /* eddy_await() said so                               */
    EDDY_STEP_YIELD = 2,  /* call again after everything else that is ready     */
    EDDY_STEP_READY = 4   /* from eddy_await(): finished already, carry on      */
};

/* Returns the op that stands for the task.  `drop(state)` runs when the task has
 * ended.  eddy_spawn_copy() copies `size` bytes of initial state into the task
 * itself (zeroes when `init` is NULL), aligned for any C object. */
EDDY_API EDDY_GIVE eddy_op *eddy_spawn(eddy_loop *loop, eddy_step_fn step, void *state, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_spawn_copy(eddy_loop *loop, eddy_step_fn step, EDDY_NULLABLE const void *init, size_t size) EDDY_NOEXCEPT;

/* Only inside a step.  Awaits `op`: EDDY_STEP_WAIT means "return EDDY_STEP_WAIT
 * now", EDDY_STEP_READY means "carry on".  Either way the op is the task's
 * until the next await, and eddy_task_awaited() is where its outcome is.
 * `point` is any number; it is what eddy_task_point() returns at the next step.
 * Awaiting an op that has finished does not wait, but for every 128th in a row.
 * EDDY_ESTATE outside of a step, and when an await is under way already. */
EDDY_API int      eddy_await(eddy_task *task, EDDY_TAKE EDDY_NULLABLE eddy_op *op, uint32_t point) EDDY_NOEXCEPT;
EDDY_API uint32_t eddy_task_point(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API void     eddy_task_set_point(eddy_task *task, uint32_t point) EDDY_NOEXCEPT;
EDDY_API eddy_op *eddy_task_awaited(const eddy_task *task) EDDY_NOEXCEPT;

/* Shorthand for eddy_op_status/take/number(eddy_task_awaited(task)). */
EDDY_API int      eddy_task_status(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API void    *eddy_task_take(eddy_task *task) EDDY_NOEXCEPT;
EDDY_API int64_t  eddy_task_number(const eddy_task *task) EDDY_NOEXCEPT;

/* Set the outcome; all return EDDY_STEP_DONE, for `return eddy_return(...)`.
 * A task that sets none ends with EDDY_OK and no value.  eddy_propagate() ends
 * with the outcome of the op awaited last, value included. */
EDDY_API int eddy_return(eddy_task *task, void *value, EDDY_NULLABLE eddy_free_fn value_free) EDDY_NOEXCEPT;
EDDY_API int eddy_return_number(eddy_task *task, int64_t number) EDDY_NOEXCEPT;
EDDY_API int eddy_fail(eddy_task *task, int status, EDDY_NULLABLE const char *message) EDDY_NOEXCEPT;
EDDY_API int eddy_fail_with(eddy_task *task, int status, EDDY_NULLABLE const char *message, void *value, EDDY_NULLABLE eddy_free_fn value_free) EDDY_NOEXCEPT;
EDDY_API int eddy_propagate(eddy_task *task) EDDY_NOEXCEPT;

/* Cancelling a task's op cancels what the task awaits, or its next await that has
 * not finished (at the latest the 128th in a row that has; its outcome is undone).
 * The task sees EDDY_ECANCELED once; what it awaits after that works normally, so
 * it can clean up.  Asking again interrupts again; two requests before the first is
 * seen count as one.  When the awaited op succeeds all the same, the request moves
 * on to the next await.  cancelled() stays 1 until uncancel().  A task not yet started
 * ends as cancelled without being called. */
EDDY_API int        eddy_task_cancelled(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API void       eddy_task_uncancel(eddy_task *task) EDDY_NOEXCEPT;

EDDY_API eddy_op   *eddy_task_op(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API eddy_loop *eddy_task_loop(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API EDDY_NULLABLE eddy_task *eddy_task_current(const eddy_loop *loop) EDDY_NOEXCEPT;

/* Straight-line notation for step functions.  Between EDDY_BEGIN and EDDY_END no
 * `switch` may enclose an await, two awaits must not share a source line, and
 * automatic variables do not survive one. */
#define EDDY_BEGIN(task) switch (eddy_task_point(task)) { case 0:
#define EDDY_AWAIT(task, op)                                                   \
    do {                                                                       \
        if (eddy_await((task), (op), __LINE__) == EDDY_STEP_WAIT)              \
            return EDDY_STEP_WAIT;                                             \
        EDDY_FALLTHROUGH_;                                                     \
    case __LINE__:;                                                            \
    } while (0)
/* EDDY_AWAIT, and end with the same error when it did not succeed. */
#define EDDY_TRY(task, op)                                                     \
    do {                                                                       \
        if (eddy_await((task), (op), __LINE__) == EDDY_STEP_WAIT)              \
            return EDDY_STEP_WAIT;                                             \
        EDDY_FALLTHROUGH_;                                                     \
    case __LINE__:                                                             \
        if (eddy_task_status(task) != EDDY_OK) return eddy_propagate(task);    \
    } while (0)
/* Lets everything else that is ready go first. */
#define EDDY_YIELD(task)                                                       \
    do {                                                                       \
        eddy_task_set_point((task), __LINE__);                                 \
        return EDDY_STEP_YIELD;                                                \
    case __LINE__:;                                                            \
    } while (0)
#define EDDY_END(task)   } return EDDY_STEP_DONE

/* ------------------------------------------------------------ synchronisation */

/* Waiters are served in order.  Nothing here blocks a thread.  Dropping the last
 * reference to a queue or mutex finishes who waits there with EDDY_ECLOSED. */

/* A queue of pointers; capacity 0 is unlimited.  `item_free` destroys items that
 * nobody took.  A failed put keeps the item as its value, so eddy_op_take() gets
 * it back; only when the op itself could not be allocated is it destroyed.  After
 * close, puts fail with EDDY_ECLOSED, and so do gets once the queue is empty. */
EDDY_API int eddy_queue_new(eddy_loop *loop, size_t capacity, EDDY_NULLABLE eddy_free_fn item_free, eddy_queue **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_queue_put(eddy_queue *queue, void *item) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_queue_get(eddy_queue *queue) EDDY_NOEXCEPT;
EDDY_API int    eddy_queue_try_put(eddy_queue *queue, void *item) EDDY_NOEXCEPT;   /* on error the item stays the caller's */
EDDY_API int    eddy_queue_try_get(eddy_queue *queue, void **item) EDDY_NOEXCEPT;
EDDY_API void   eddy_queue_close(eddy_queue *queue) EDDY_NOEXCEPT;
EDDY_API size_t eddy_queue_size(const eddy_queue *queue) EDDY_NOEXCEPT;
/* done() once per item handled; join() finishes when all items ever put are done.
 * EDDY_ESTATE: more done than were taken. */
EDDY_API int    eddy_queue_done(eddy_queue *queue) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_queue_join(eddy_queue *queue) EDDY_NOEXCEPT;

/* Not tied to a task: whoever has the lock may unlock it.  EDDY_EAGAIN: it
 * is locked, or has been handed to who waits; EDDY_ESTATE: nobody has it, or an op
 * that nobody has looked at (dropping that op unlocks). */
EDDY_API int eddy_mutex_new(eddy_loop *loop, eddy_mutex **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_mutex_lock(eddy_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_mutex_try_lock(eddy_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_mutex_unlock(eddy_mutex *mutex) EDDY_NOEXCEPT;

EDDY_END_DECLS

#endif /* EDDY_H */

/*
 * eddy.h - the C interface of the eddy coroutine runtime, and its manual.
 *
 * A program that uses it is compiled with `pkg-config --cflags --libs eddy`, by any
 * C compiler from C89 (with <stdint.h>) on, or any C++ compiler.  docs/c-api.md has
 * the ten-minute tour, examples/c/ whole programs.
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
 *  BAD ARGUMENTS   The same everywhere, so the functions do not repeat it:
 *                  - NULL for a loop or an object that is not EDDY_NULLABLE: int
 *                    functions answer EDDY_EINVAL; those that return an op return
 *                    NULL (there is nowhere to allocate an op that could say so);
 *                    those that tell something tell 0, NULL or ""; void ones do
 *                    nothing.
 *                  - A loop that is closed, or an object of one: EDDY_ECLOSED, or
 *                    an op with that status.  After fork(): EDDY_EFORKED.
 *                  - An op of another loop: EDDY_EINVAL.  One that has a consumer:
 *                    EDDY_EBUSY.  Flag bits that this library does not know:
 *                    EDDY_ETOOBIG.  A NULL `out`: EDDY_EINVAL, and when there is
 *                    an error *out is NULL.
 *                  - No memory: EDDY_ENOMEM, or NULL.  Cancelling, closing,
 *                    waking, setting and dropping never allocate.
 *
 *  REFERENCES      Objects are counted.  A pointer returned as EDDY_GIVE, or
 *                  written to an `out` parameter, carries one reference that the
 *                  caller drops with eddy_unref().  A parameter marked EDDY_TAKE
 *                  consumes one reference, whether the call succeeds or not:
 *                  what stores an op takes it, what only looks at it borrows it.
 *                  Every other pointer is borrowed for the call.
 *                  eddy_ref() and eddy_unref() may be called from any thread, in
 *                  any order, also after the loop has been closed, so they can
 *                  be used directly as a garbage collector's finalizer.
 *
 *  ABANDONING      Dropping the last reference to an unfinished op that nobody
 *                  awaits abandons it.  An abandoned leaf op is cancelled.  An
 *                  abandoned task keeps running detached; the loop owns it.  A
 *                  combination abandons its parts.
 *                  An outcome that was never looked at is undone: a lock is
 *                  unlocked, a permit is given back, a queue item returns to its
 *                  place in its queue, any other value is destroyed, an error
 *                  goes to the loop's unhandled-error hook.  Looking means: a
 *                  consumer got it, or eddy_op_status() (message, value, take,
 *                  number) told it.
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
 *  ORDER           Who waits for an object is served first come, first served.
 *                  Who succeeds before a cancellation or deadline takes effect has
 *                  succeeded: nothing that was granted is lost.
 *
 *  MEMORY LENT     Memory handed to an op (a buffer, a string) is the op's until
 *                  the op has *finished*; cancelling or abandoning is not
 *                  finishing.  Where that matters the call takes a `drop`.
 *
 *  THREADS         An object belongs to one loop.  Calls on a loop and on its
 *                  objects must not overlap in time; which thread makes them is
 *                  irrelevant.  Functions marked EDDY_ANY_THREAD may be called
 *                  at any time from any thread; a thread sees its own calls in
 *                  their order.
 *
 *  C++ AND LONGJMP Callbacks must return normally: no exception, no longjmp, no
 *                  stack switch may leave them.  An escaping C++ exception is
 *                  turned into EDDY_EEXCEPTION with its what() as the message
 *                  where there is an op to carry it, else reported to the log.
 *
 *  EXTENSIBLE      Structs that cross the interface start with their own size.
 *  STRUCTS         Fill them with EDDY_INIT() and set fields.  Zero means "the
 *                  default" in every field, fields are only ever appended, and a
 *                  library that meets a field it does not know ignores it when
 *                  zero and refuses it with EDDY_ETOOBIG when not.  A size below
 *                  four is EDDY_EINVAL.
 *
 *  MACROS          Every macro is shorthand for exported functions, so a caller
 *                  without a C preprocessor loses nothing.
 *
 *  SINCE           Everything here is there since 0.1.  While the version is 0.x
 *                  the header may be mended (the soname is libeddy.so.0); numbers
 *                  of constants never change.  From 1.0 on it only grows.
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

/* Of the library that runs: EDDY_VERSION_HEX, EDDY_ABI and "0.1.0" at its build.
 * The string is static. */
EDDY_API uint32_t    eddy_version(void) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API uint32_t    eddy_abi(void) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API const char *eddy_version_string(void) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* 1 when this build has the named feature, else 0 (unknown names and NULL too):
 * "fd-only" (EDDY_LOOP_FD_ONLY), "offload", "pools". */
EDDY_API int eddy_has(EDDY_NULLABLE const char *feature) EDDY_NOEXCEPT EDDY_ANY_THREAD;

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

/* "the deadline passed" and "EDDY_ETIMEDOUT".  Both always return a static string,
 * also for numbers that nobody knows. */
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
typedef struct eddy_waker eddy_waker;
typedef struct eddy_group eddy_group;
typedef struct eddy_queue eddy_queue;
typedef struct eddy_mutex eddy_mutex;
typedef struct eddy_sem   eddy_sem;
typedef struct eddy_event eddy_event;
typedef struct eddy_cond  eddy_cond;
typedef struct eddy_barrier eddy_barrier;
typedef struct eddy_latch eddy_latch;
typedef struct eddy_shared_mutex eddy_shared_mutex;
typedef struct eddy_pool  eddy_pool;    /* threads; belongs to no loop          */
typedef struct eddy_work  eddy_work;    /* what offloaded code runs inside      */

/* One pair for every counted type: loop, op, waker, group, queue, mutex, sem, event,
 * cond, barrier, latch, shared mutex, pool.  NULL is ignored.  eddy_ref() returns its
 * argument.  Whatever the last unref of an object destroys (items, values) is destroyed
 * on the loop, soon; after the loop was closed, in this thread. */
EDDY_API void *eddy_ref(EDDY_NULLABLE void *object) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API void  eddy_unref(EDDY_TAKE EDDY_NULLABLE void *object) EDDY_NOEXCEPT EDDY_ANY_THREAD;

typedef void (*eddy_free_fn)(void *ptr);
typedef void (*eddy_call_fn)(void *user);
typedef void (*eddy_done_fn)(eddy_op *op, void *user);

/* Zeroes a struct and stores its size in the leading uint32_t.  Does nothing for a
 * NULL struct and a size below four. */
EDDY_API void eddy_init_struct(EDDY_NULLABLE void *s, size_t size) EDDY_NOEXCEPT EDDY_ANY_THREAD;
#define EDDY_INIT(s) eddy_init_struct((s), sizeof *(s))

/* ----------------------------------------------------------------------- loop */

/* Where the memory of ops, tasks and other objects comes from, in pieces of 64 KiB
 * (larger ones on their own).  What other threads make (promises, posts) and what
 * libuv needs comes from malloc. */
typedef struct eddy_allocator {
    uint32_t size;
    uint32_t flags;                    /* 0                                     */
    void    *user;
    /* Both are called from any thread.  `free` gets the size and alignment that
     * `alloc` was asked for.  `alloc` returns NULL when out of memory. */
    void  *(*alloc)(void *user, size_t size, size_t align);
    void   (*free)(void *user, void *ptr, size_t size, size_t align);
} eddy_allocator;

enum {
    /* The backend descriptor alone tells when to run: it becomes readable for
     * timers and ready work too, so a host needs no timeout.  Costs a system call
     * for each change of the earliest deadline.  Linux; EDDY_ENOTSUP elsewhere. */
    EDDY_LOOP_FD_ONLY         = 1u << 0,
    /* For tests and while developing: a call on this loop or on an object of it that
     * answers EDDY_EINVAL, EDDY_ESTATE or EDDY_EBUSY (or gives an op with that status),
     * and a step function that returns what it may not, ends the process (abort), after
     * it has been logged at EDDY_LOG_MISUSE.  The other way round than a status, it
     * leaves a stack that shows who called.  What a program may well try is no misuse:
     * EDDY_EAGAIN, EDDY_ECLOSED, eddy_loop_close() while code runs, and a promise that
     * is resolved twice. */
    EDDY_LOOP_ABORT_MISUSE    = 1u << 2,
    /* An unhandled error ends the process (abort) after it has been logged. */
    EDDY_LOOP_ABORT_UNHANDLED = 1u << 3
};

typedef struct eddy_loop_opts {
    uint32_t size;
    uint32_t flags;                    /* EDDY_LOOP_...                         */
    const eddy_allocator *allocator;   /* NULL: malloc and free; copied         */
    const char *name;                  /* NULL: none; copied                    */
    /* To run on a loop the application already has.  Set by
     * eddy_loop_opts_adopt() in eddy_uv.h, which also proves that both sides
     * use the same libuv.  The uv loop must outlive the eddy_loop, and has to be run
     * once more after eddy_loop_close() and before uv_loop_close(). */
    void    *uv_loop;
    void   (*uv_probe)(void);
    uint32_t uv_version;
    uint32_t uv_loop_size;
} eddy_loop_opts;

/* Makes a loop; it runs nothing before eddy_loop_run().  EDDY_EINVAL, EDDY_ETOOBIG
 * (opts), EDDY_EABI (the adopted loop is another libuv's), EDDY_ENOTSUP (FD_ONLY
 * here), EDDY_ENOMEM, or what the system said (descriptors, watches). */
EDDY_API int eddy_loop_new(EDDY_NULLABLE const eddy_loop_opts *opts, eddy_loop **out) EDDY_NOEXCEPT;

enum {
    EDDY_RUN_DEFAULT = 0,  /* until nothing is left to wait for, or stopped     */
    EDDY_RUN_ONCE    = 1,  /* wait for one round of events                      */
    EDDY_RUN_NOWAIT  = 2   /* handle everything that is ready, without waiting  */
};

/* Runs callbacks and steps.  Returns 1 when work is left, 0 when none is, or an error:
 * EDDY_ESTATE inside a callback or step (of any loop on this thread; adopted: also
 * while the host polls), EDDY_EINVAL (mode).  A promise, an offloaded function and a
 * descriptor that is waited for are something to wait for; ops that only other ops of
 * this loop could finish are not (see eddy_loop_hold). */
EDDY_API int eddy_loop_run(eddy_loop *loop, int mode) EDDY_NOEXCEPT;

/* Runs until `op` (borrowed) has finished and returns its status, looking at it;
 * EDDY_PENDING when the time is over first, EDDY_EDEADLK when nothing can ever finish
 * it (the op goes on in both cases); EDDY_ECANCELED when stopped; errors as run. */
EDDY_API int eddy_loop_run_until(eddy_loop *loop, EDDY_NULLABLE eddy_op *op, uint64_t timeout) EDDY_NOEXCEPT;

/* Makes eddy_loop_run return soon.  Also remembered for a loop that is about to
 * run.  May even be called from a signal handler. */
EDDY_API void eddy_loop_stop(eddy_loop *loop) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* Cancels every task and refuses new ones and eddy_call_soon from now on (what cleans
 * up may still sleep, lock, and so on); finishes when the last task has ended, at once
 * when there is none.  Cancelling the op stops waiting, not the shutdown. */
EDDY_API EDDY_GIVE eddy_op *eddy_loop_shutdown(eddy_loop *loop) EDDY_NOEXCEPT;

/* Cancels every task, refuses new ones, and runs the loop until the last has
 * ended, for at most `grace`; then drops what is left: every open op finishes with
 * EDDY_ECLOSED, no callback is called, drops are.  EDDY_OK when all tasks ended in
 * time, else EDDY_ETIMEDOUT; EDDY_ESTATE inside a callback or step.  EDDY_EBUSY, with
 * nothing dropped, while offloaded code still runs (without EDDY_WORK_ABANDON): call
 * again.  On an adopted loop it does not run anything: EDDY_EBUSY until the tasks it
 * cancelled have ended (eddy_loop_shutdown tells when).
 * Afterwards only eddy_unref() and reading finished ops are meaningful; everything
 * else answers EDDY_ECLOSED.  Drop the loop reference separately.  A loop that was
 * never closed is closed, with grace 0 and waiting for offloaded code, by the last
 * eddy_unref() of the loop and its objects (tasks and awaited ops apart, which are the
 * loop's own), in that thread: close adopted loops yourself. */
EDDY_API int eddy_loop_close(eddy_loop *loop, uint64_t grace) EDDY_NOEXCEPT;

/* In a forked child, for a loop made before fork(): releases what it holds without
 * touching anything that the parent still uses; drops run, callbacks do not.  What
 * offloaded code was using is not released.  The only permitted call there besides
 * eddy_unref(), which is allowed afterwards.  Elsewhere: closes with grace 0.  */
EDDY_API void eddy_loop_abandon(EDDY_TAKE eddy_loop *loop) EDDY_NOEXCEPT;

/* Somebody outside, another thread or a host, means to wake what waits here (with
 * eddy_event_set, eddy_queue_put_threadsafe, eddy_call_soon_threadsafe): until as many
 * releases as holds, the loop has something to wait for, and nothing is a deadlock.
 * Promises, offloaded functions, parked tasks and descriptors need no hold. */
EDDY_API void eddy_loop_hold(eddy_loop *loop) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API void eddy_loop_release(eddy_loop *loop) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* The clock, read now: nanoseconds from an arbitrary point, never going back. */
EDDY_API uint64_t eddy_loop_now(const eddy_loop *loop) EDDY_NOEXCEPT;
/* 1 while there is something to run or to wait for. */
EDDY_API int      eddy_loop_alive(const eddy_loop *loop) EDDY_NOEXCEPT;

/* Embedding in another event loop: wait until the descriptor is readable or the
 * timeout passed, then eddy_loop_run(loop, EDDY_RUN_NOWAIT).  The timeout is in
 * nanoseconds, and to be asked for again after any call that starts something: 0 = run
 * now, EDDY_FOREVER = wait for the descriptor only.  The descriptor stays the loop's;
 * fd() may answer EDDY_ENOTSUP. */
EDDY_API int      eddy_loop_fd(eddy_loop *loop) EDDY_NOEXCEPT;
EDDY_API uint64_t eddy_loop_timeout(eddy_loop *loop) EDDY_NOEXCEPT;

/* For hosts that sleep with a timeout read earlier: `fn` is called (from any
 * thread, also inside other eddy calls and signal handlers that stop the loop; it must
 * only wake the host, and not call eddy) whenever the loop wants to run sooner than
 * eddy_loop_timeout() last said.  Not needed with FD_ONLY.  NULL: none. */
EDDY_API int eddy_loop_on_wake(eddy_loop *loop, EDDY_NULLABLE eddy_call_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;

/* Calls `fn` once, after everything that is ready.  EDDY_EINVAL (no fn). */
EDDY_API int eddy_call_soon(eddy_loop *loop, eddy_call_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;
/* The same from any thread: wakes the loop.  Calls of one thread keep their order.
 * Accepted, and the loop closed before its turn: dropped without being called. */
EDDY_API int eddy_call_soon_threadsafe(eddy_loop *loop, eddy_call_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* ------------------------------------------------------------------------- op */

/* How it ended; EDDY_PENDING before.  Looks at the outcome. */
EDDY_API int         eddy_op_status(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
/* What went wrong, for people; "" when there is nothing to say.  Lives as long
 * as the op. */
EDDY_API const char *eddy_op_message(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
/* The value is the result on success, or whatever object the failing code
 * attached to its error.  value() borrows it, take() hands it over (once): from then on
 * the caller frees it.  NULL before the op has finished. */
EDDY_API void       *eddy_op_value(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
EDDY_API void       *eddy_op_take(EDDY_NULLABLE eddy_op *op) EDDY_NOEXCEPT;
/* The integer result: a byte count, the winner of a race, ... else 0. */
EDDY_API int64_t     eddy_op_number(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
/* Borrowed. */
EDDY_API eddy_loop  *eddy_op_loop(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;

/* Asks the op to finish early.  The op still finishes in its own time and with
 * its own outcome; one that succeeds in the meantime has succeeded.  Finished or
 * already cancelled: no effect; only a task is asked again. */
EDDY_API void eddy_op_cancel(EDDY_NULLABLE eddy_op *op) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* Cancels the op `after` nanoseconds from now; an op that finishes as cancelled
 * for that reason reports EDDY_ETIMEDOUT.  Returns its argument, so it can wrap a
 * call.  The earliest of several deadlines counts; EDDY_FOREVER is none.  What
 * finishes at the very deadline has come in time.  Without memory for the timer the op
 * is cancelled with EDDY_ENOMEM. */
EDDY_API EDDY_GIVE eddy_op *eddy_op_timeout(EDDY_TAKE EDDY_NULLABLE eddy_op *op, uint64_t after) EDDY_NOEXCEPT;

/* An op has at most one consumer: a callback, an awaiting task, a combinator or a
 * group.  A second one gets EDDY_EBUSY; use eddy_op_join() for more.  `fn` is called
 * from the loop with the finished op (borrowed).  EDDY_OK, EDDY_EBUSY, EDDY_EINVAL (no
 * `fn`), EDDY_ECLOSED, and for NULL EDDY_ENOMEM: on an error `fn` is not called. */
EDDY_API int eddy_op_then(EDDY_TAKE EDDY_NULLABLE eddy_op *op, eddy_done_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;

/* A new op that finishes when `op` does, with the same status, number and message
 * and with the value borrowed.  Cancelling it leaves `op` alone. */
EDDY_API EDDY_GIVE eddy_op *eddy_op_join(EDDY_NULLABLE eddy_op *op) EDDY_NOEXCEPT;

/* A new op with the outcome of `op`, which runs to its end whatever happens to the new
 * one: cancelled or timed out, the new op finishes at once and `op` goes on; an error
 * of `op` that nobody looks at then goes to the unhandled-error hook. */
EDDY_API EDDY_GIVE eddy_op *eddy_op_shield(EDDY_TAKE EDDY_NULLABLE eddy_op *op) EDDY_NOEXCEPT;

/* Promises: ops finished by the caller.  `on_cancel` (optional) is told once that
 * cancellation was asked for; it should lead to a reject.  Only the first
 * resolve or reject counts; a later one returns EDDY_ESTATE and frees its value.
 * A promise whose last reference goes while unfinished finishes EDDY_ECANCELED.
 * Without `on_cancel` a cancelled promise finishes at once.  Resolving an op that is no
 * promise, and rejecting with a status that is no error: EDDY_EINVAL, value freed.  NULL
 * to resolve: EDDY_ESTATE. */
EDDY_API EDDY_GIVE eddy_op *eddy_promise(eddy_loop *loop, EDDY_NULLABLE eddy_done_fn on_cancel, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API int eddy_promise_resolve(EDDY_NULLABLE eddy_op *op, void *value, EDDY_NULLABLE eddy_free_fn value_free, int64_t number) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API int eddy_promise_reject(EDDY_NULLABLE eddy_op *op, int status, EDDY_NULLABLE const char *message, void *value, EDDY_NULLABLE eddy_free_fn value_free) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* ---------------------------------------------------------------------- timers */

/* Never early.  A zero duration and a time in the past let everything else that is
 * ready go first; EDDY_FOREVER waits until cancelled. */
EDDY_API EDDY_GIVE eddy_op *eddy_sleep(eddy_loop *loop, uint64_t duration) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_sleep_until(eddy_loop *loop, uint64_t when) EDDY_NOEXCEPT;

/* ----------------------------------------------------------------- descriptors */

enum { EDDY_READABLE = 1, EDDY_WRITABLE = 2, EDDY_HANGUP = 4, EDDY_PRIORITY = 8 };

/* Waits until the descriptor (a socket on Windows) is ready; number() tells for
 * what.  This is how other event driven libraries, and a language's own signal
 * wake-up descriptor, live on an eddy loop.  Any number of waits for one descriptor,
 * which must stay open until they have finished.  EDDY_EINVAL (no descriptor, no
 * events), or what the system said: UV_EPERM for a plain file, UV_EBADF.  EDDY_ENOTSUP
 * on a loop with simulated time. */
EDDY_API EDDY_GIVE eddy_op *eddy_fd_wait(eddy_loop *loop, intptr_t fd, uint32_t events) EDDY_NOEXCEPT;

/* ----------------------------------------------------------------------- tasks */

/* A step function runs a task up to its next wait.  It is called again when the
 * awaited op has finished, until it returns EDDY_STEP_DONE.  State that must
 * survive a wait lives in *state. */
typedef int (*eddy_step_fn)(eddy_task *task, void *state);

enum {
    EDDY_STEP_DONE  = 0,  /* finished; see eddy_return() and eddy_fail()        */
    EDDY_STEP_WAIT  = 1,  /* eddy_await() said so                               */
    EDDY_STEP_YIELD = 2,  /* call again after everything else that is ready     */
    EDDY_STEP_PARK  = 3,  /* call again after eddy_waker_wake() or a cancel     */
    EDDY_STEP_READY = 4   /* from eddy_await(): finished already, carry on      */
};

/* Returns the op that stands for the task.  `drop(state)` runs when the task has
 * ended.  eddy_spawn_copy() copies `size` bytes of initial state into the task
 * itself (zeroes when `init` is NULL), aligned for any C object.  The first step is
 * taken from the loop, later.  EDDY_EINVAL (no step), EDDY_ECLOSED also once the loop
 * shuts down: `state` is dropped. */
EDDY_API EDDY_GIVE eddy_op *eddy_spawn(eddy_loop *loop, eddy_step_fn step, void *state, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_spawn_copy(eddy_loop *loop, eddy_step_fn step, EDDY_NULLABLE const void *init, size_t size) EDDY_NOEXCEPT;

/* Only inside a step.  Awaits `op`: EDDY_STEP_WAIT means "return EDDY_STEP_WAIT
 * now", EDDY_STEP_READY means "carry on".  Either way the op is the task's
 * until the next await, and eddy_task_awaited() is where its outcome is.
 * `point` is any number; it is what eddy_task_point() returns at the next step.
 * Awaiting an op that has finished does not wait, but for every 128th in a row.
 * What is wrong with the op (another loop's, awaited elsewhere, the task's own) is the
 * status of the await.  EDDY_ESTATE outside of a step, and when an await is under way
 * already; the op is taken all the same. */
EDDY_API int      eddy_await(eddy_task *task, EDDY_TAKE EDDY_NULLABLE eddy_op *op, uint32_t point) EDDY_NOEXCEPT;
EDDY_API uint32_t eddy_task_point(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API void     eddy_task_set_point(eddy_task *task, uint32_t point) EDDY_NOEXCEPT;
EDDY_API eddy_op *eddy_task_awaited(const eddy_task *task) EDDY_NOEXCEPT;

/* awaited() borrows; NULL before the first await, and after awaiting NULL.
 * Shorthand for eddy_op_status/take/number(eddy_task_awaited(task)). */
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

/* Borrowed.  current() is the task whose step runs now, or NULL. */
EDDY_API eddy_op   *eddy_task_op(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API eddy_loop *eddy_task_loop(const eddy_task *task) EDDY_NOEXCEPT;
EDDY_API EDDY_NULLABLE eddy_task *eddy_task_current(const eddy_loop *loop) EDDY_NOEXCEPT;

/* Waking a parked task from anywhere; a wake before the park is remembered, several are
 * one.  After the task's end a wake does nothing.  NULL without memory. */
EDDY_API EDDY_GIVE eddy_waker *eddy_task_waker(eddy_task *task) EDDY_NOEXCEPT;
EDDY_API void eddy_waker_wake(EDDY_NULLABLE eddy_waker *waker) EDDY_NOEXCEPT EDDY_ANY_THREAD;

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
#define EDDY_PAUSE_(task, how)                                                 \
    do {                                                                       \
        eddy_task_set_point((task), __LINE__);                                 \
        return (how);                                                          \
    case __LINE__:;                                                            \
    } while (0)
/* Lets everything else that is ready go first. */
#define EDDY_YIELD(task) EDDY_PAUSE_(task, EDDY_STEP_YIELD)
/* Until woken or cancelled. */
#define EDDY_PARK(task)  EDDY_PAUSE_(task, EDDY_STEP_PARK)
#define EDDY_END(task)   } return EDDY_STEP_DONE

/* ---------------------------------------------------- combining, structuring */

enum {
    EDDY_GATHER_KEEP_GOING = 1u << 0  /* an error does not cancel the others    */
};

/* Both take all `n` references, also when they fail (then what has no other consumer is
 * cancelled).  The array may be gone when they return.
 * gather: finishes when all have; the first error is its status and message, number()
 * the index of the part that had it.  The first error cancels the rest.  Of none: OK.
 * race: the first to finish decides status, value and message; number() is its
 * index; the others are cancelled and awaited before the race finishes.  A leaf op that
 * loses gives back what it was granted; a task that loses may have done its work.  Of
 * none: EDDY_EINVAL.
 * Cancelling asks every part.  The parts can be looked at through eddy_op_child(),
 * borrowed (NULL: there is no such part, or it is the op NULL), until the whole goes; a
 * race has moved its winner's value to itself. */
EDDY_API EDDY_GIVE eddy_op *eddy_gather(eddy_loop *loop, EDDY_TAKE eddy_op *const *ops, size_t n, uint32_t flags) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_race(eddy_loop *loop, EDDY_TAKE eddy_op *const *ops, size_t n) EDDY_NOEXCEPT;
EDDY_API size_t   eddy_op_child_count(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;
EDDY_API EDDY_NULLABLE eddy_op *eddy_op_child(EDDY_NULLABLE const eddy_op *op, size_t i) EDDY_NOEXCEPT;

/* A group holds ops that must not outlive it.  The first failure cancels the
 * rest (not with EDDY_GATHER_KEEP_GOING); being cancelled is no failure; later failures
 * go to the unhandled-error hook.  wait() finishes when the group is empty, with the
 * first failure as its status and message (its value goes to the first who looks), else
 * EDDY_OK, also after cancel().  cancel() is for good, as is a failure: what is added
 * later is cancelled and awaited, and add() says EDDY_ECLOSED.  add() otherwise: EDDY_OK;
 * EDDY_EBUSY, EDDY_EINVAL: the op is not in the group (cancelled, if it has no consumer);
 * NULL is a member that failed, EDDY_ENOMEM.  size(): members that have not finished.
 * Dropping the last reference cancels the members; they are then the loop's. */
EDDY_API int  eddy_group_new(eddy_loop *loop, uint32_t flags, eddy_group **out) EDDY_NOEXCEPT;
EDDY_API int  eddy_group_add(eddy_group *group, EDDY_TAKE EDDY_NULLABLE eddy_op *op) EDDY_NOEXCEPT;
EDDY_API void eddy_group_cancel(eddy_group *group) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API EDDY_GIVE eddy_op *eddy_group_wait(eddy_group *group) EDDY_NOEXCEPT;
EDDY_API size_t eddy_group_size(const eddy_group *group) EDDY_NOEXCEPT;

/* ------------------------------------------------------------ synchronisation */

/* Waiters are served in order.  Nothing here blocks a thread.  Dropping the last
 * reference to one of these finishes who waits there with EDDY_ECLOSED.  try_ functions
 * never overtake who waits, and answer EDDY_EAGAIN where they would have to wait.
 * EDDY_ESTATE also when another loop runs on this thread while somebody waits. */

/* A queue of pointers; capacity 0 is unlimited.  `item_free` destroys items that
 * nobody took.  A failed put keeps the item as its value, so eddy_op_take() gets
 * it back; only when the op itself could not be allocated is it destroyed.  After
 * close, puts fail with EDDY_ECLOSED, and so do gets once the queue is empty. */
EDDY_API int eddy_queue_new(eddy_loop *loop, size_t capacity, EDDY_NULLABLE eddy_free_fn item_free, eddy_queue **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_queue_put(eddy_queue *queue, void *item) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_queue_get(eddy_queue *queue) EDDY_NOEXCEPT;
EDDY_API int    eddy_queue_try_put(eddy_queue *queue, void *item) EDDY_NOEXCEPT;   /* on error the item stays the caller's */
EDDY_API int    eddy_queue_try_get(eddy_queue *queue, void **item) EDDY_NOEXCEPT;
/* Ignores the capacity, so that a producer thread never has to wait.  On error the item
 * stays the caller's.  EDDY_OK means accepted: should the queue be closed, or without
 * memory, by the time the item arrives, it is freed. */
EDDY_API int    eddy_queue_put_threadsafe(eddy_queue *queue, void *item) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API void   eddy_queue_close(eddy_queue *queue) EDDY_NOEXCEPT;
EDDY_API size_t eddy_queue_size(const eddy_queue *queue) EDDY_NOEXCEPT;
/* done() once per item handled; join() finishes when all items ever put are done.
 * EDDY_ESTATE: more done than were taken. */
EDDY_API int    eddy_queue_done(eddy_queue *queue) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_queue_join(eddy_queue *queue) EDDY_NOEXCEPT;

enum {
    EDDY_QUEUE_FIFO     = 0,          /* first in, first out                    */
    EDDY_QUEUE_LIFO     = 1,          /* last in, first out                     */
    EDDY_QUEUE_PRIORITY = 2           /* the smallest first, equal ones in order */
};

/* Negative when `a` comes before `b`, positive when behind, 0 when they are equal.  It
 * must not call eddy. */
typedef int (*eddy_compare_fn)(const void *a, const void *b, void *user);

typedef struct eddy_queue_opts {
    uint32_t size;
    uint32_t order;                   /* EDDY_QUEUE_...                         */
    uint64_t capacity;                /* 0: unlimited                           */
    eddy_free_fn item_free;           /* NULL: items need no destroying         */
    eddy_compare_fn compare;          /* PRIORITY alone, and that needs one     */
    void *user;                       /* given to `compare`                     */
    eddy_free_fn drop;                /* when the queue has gone                */
} eddy_queue_opts;

/* A queue of another order; all functions above work on it.  NULL opts: as
 * eddy_queue_new(loop, 0, NULL, out).  An item that comes back (see ABANDONING) takes
 * its old place in the order.  PRIORITY: O(log n) a put or get.  EDDY_EINVAL also: an
 * unknown order, or `compare` and order do not fit. */
EDDY_API int eddy_queue_new_opts(eddy_loop *loop, EDDY_NULLABLE const eddy_queue_opts *opts, eddy_queue **out) EDDY_NOEXCEPT;

/* Not tied to a task: whoever has the lock may unlock it.  EDDY_EAGAIN: it
 * is locked, or has been handed to who waits; EDDY_ESTATE: nobody has it, or an op
 * that nobody has looked at (dropping that op unlocks). */
EDDY_API int eddy_mutex_new(eddy_loop *loop, eddy_mutex **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_mutex_lock(eddy_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_mutex_try_lock(eddy_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_mutex_unlock(eddy_mutex *mutex) EDDY_NOEXCEPT;

/* Permits, acquired and released in any numbers: a big request is not starved by small
 * ones behind it.  acquire(0) finishes at once.  More may be released than was acquired;
 * EDDY_EINVAL, and no change: the count, or the request, would exceed PTRDIFF_MAX.
 * resize() changes the size from what it was (at new, or the last resize) to `permits`;
 * a smaller one takes from what comes back. */
EDDY_API int eddy_sem_new(eddy_loop *loop, uint64_t permits, eddy_sem **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_sem_acquire(eddy_sem *sem, uint64_t n) EDDY_NOEXCEPT;
EDDY_API int eddy_sem_try_acquire(eddy_sem *sem, uint64_t n) EDDY_NOEXCEPT;
EDDY_API int eddy_sem_release(eddy_sem *sem, uint64_t n) EDDY_NOEXCEPT;
EDDY_API int eddy_sem_resize(eddy_sem *sem, uint64_t permits) EDDY_NOEXCEPT;

/* set() lets all who wait go, and whoever comes later, until clear().  Who waited at
 * set() goes even when clear() follows at once. */
EDDY_API int  eddy_event_new(eddy_loop *loop, eddy_event **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_event_wait(eddy_event *event) EDDY_NOEXCEPT;
EDDY_API void eddy_event_set(eddy_event *event) EDDY_NOEXCEPT EDDY_ANY_THREAD;
EDDY_API void eddy_event_clear(eddy_event *event) EDDY_NOEXCEPT;
EDDY_API int  eddy_event_is_set(const eddy_event *event) EDDY_NOEXCEPT;

/* Waiting, with the mutex put down meanwhile, until somebody says that what it guards
 * has changed.  wait() needs the mutex locked by the caller (else EDDY_ESTATE, and
 * nothing has changed), unlocks it, and holds it again when it is looked at, however
 * it ended: EDDY_OK, cancelled or timed out; so it may take as long as others hold the
 * mutex.  Nobody looks: it is unlocked.  What it was notified of may be over by then,
 * so wait in a loop.  NULL, out of memory: still locked.  A notification that meets a
 * cancellation goes to the next.
 * notify() wakes the `n` who have waited longest, SIZE_MAX: all; it is not remembered.
 * EDDY_ESTATE: the mutex is not locked, by whomever.
 * A cond keeps its mutex; several may share one. */
EDDY_API int eddy_cond_new(eddy_mutex *mutex, eddy_cond **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_cond_wait(eddy_cond *cond) EDDY_NOEXCEPT;
EDDY_API int eddy_cond_notify(eddy_cond *cond, size_t n) EDDY_NOEXCEPT;

/* `parties` tasks wait for each other, round after round (EDDY_EINVAL: 0, or more than
 * PTRDIFF_MAX).  number() of a passed wait is the party's place in the order of arrival:
 * each of 0 ... parties - 1 once a round.  A party that is cancelled or times out, and
 * an op that is dropped, takes its place back.  reset() lets the waiting parties go with
 * EDDY_EBROKEN and begins an empty round; abort() lets them go so, and who comes later
 * too, until reset(). */
EDDY_API int eddy_barrier_new(eddy_loop *loop, size_t parties, eddy_barrier **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_barrier_wait(eddy_barrier *barrier) EDDY_NOEXCEPT;
EDDY_API void eddy_barrier_reset(eddy_barrier *barrier) EDDY_NOEXCEPT;
EDDY_API void eddy_barrier_abort(eddy_barrier *barrier) EDDY_NOEXCEPT;

/* Opens once, when it has been counted down from `count` to 0, and stays open.  What has
 * been counted stays so, whoever is cancelled.  EDDY_EINVAL: a count above PTRDIFF_MAX;
 * counting down by more than is left, which changes nothing. */
EDDY_API int eddy_latch_new(eddy_loop *loop, uint64_t count, eddy_latch **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_latch_wait(eddy_latch *latch) EDDY_NOEXCEPT;
EDDY_API int eddy_latch_count_down(eddy_latch *latch, uint64_t n) EDDY_NOEXCEPT;
EDDY_API uint64_t eddy_latch_count(const eddy_latch *latch) EDDY_NOEXCEPT;

/* One writer (lock) or any number of readers (lock_shared), in the order of asking: a
 * reader that comes while a writer waits queues behind it, so neither starves.  Not tied
 * to a task, as eddy_mutex.  unlock() is the writer's, unlock_shared() one reader's;
 * EDDY_ESTATE: nobody has the lock so, or only ops that nobody has looked at.  A task
 * that reads, and asks to write or to read once more, may wait for itself. */
EDDY_API int eddy_shared_mutex_new(eddy_loop *loop, eddy_shared_mutex **out) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_shared_mutex_lock(eddy_shared_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_shared_mutex_try_lock(eddy_shared_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_shared_mutex_unlock(eddy_shared_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API EDDY_GIVE eddy_op *eddy_shared_mutex_lock_shared(eddy_shared_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_shared_mutex_try_lock_shared(eddy_shared_mutex *mutex) EDDY_NOEXCEPT;
EDDY_API int eddy_shared_mutex_unlock_shared(eddy_shared_mutex *mutex) EDDY_NOEXCEPT;

enum {
    EDDY_SYNC_LOCKED = 1u << 0,       /* mutex; cond: its mutex; shared: a writer */
    EDDY_SYNC_CLOSED = 1u << 1,       /* queue                                  */
    EDDY_SYNC_BROKEN = 1u << 2,       /* barrier, by abort()                    */
    EDDY_SYNC_SET    = 1u << 3        /* event; latch: open                     */
};

typedef struct eddy_sync_stats {
    uint32_t size;                    /* set by the caller (EDDY_INIT)          */
    uint32_t flags;                   /* EDDY_SYNC_...                          */
    uint64_t count;                   /* queue: items; sem: free permits; shared:
                                         readers inside; latch: left to count   */
    uint64_t limit;                   /* queue: capacity; sem: size; barrier:
                                         parties                                */
    uint64_t waiting;                 /* who wait: to get, to acquire, to lock, to
                                         read, for a notification, event, round */
    uint64_t waiting_writers;         /* queue: to put; shared: to write        */
    uint64_t waiting_joins;           /* queue: for all to be done              */
    uint64_t unfinished;              /* queue: put, and not done               */
} eddy_sync_stats;

/* Figures of a queue, mutex, sem, event, cond, barrier, latch or shared mutex; what does
 * not apply is 0.  O(who wait).  EDDY_EINVAL: NULL, a struct without its size, or
 * another kind of object. */
EDDY_API int eddy_sync_get_stats(const void *object, eddy_sync_stats *out) EDDY_NOEXCEPT;

/* --------------------------------------------------------------------- threads */

typedef struct eddy_pool_opts {
    uint32_t size;
    uint32_t flags;                   /* 0                                      */
    uint32_t threads;                 /* at most; 0: one per processor          */
    uint32_t queue_limit;             /* calls that wait count as queued up to
                                         here, above as waiting; 0: all queued  */
    uint64_t stack_size;              /* bytes a thread; 0: the platform's      */
    const char *name;                 /* of the threads; NULL: "eddy-pool"; copied */
    /* Around the life of each thread, on it: attach to a language VM and so on. */
    void  (*thread_start)(void *user);
    void  (*thread_stop)(void *user);
    void   *user;
    eddy_free_fn drop;                /* where the pool goes                    */
    uint64_t idle_timeout;            /* how long a thread idles before it ends;
                                         0: 5 s; EDDY_FOREVER                   */
} eddy_pool_opts;

/* Threads of your own for eddy_offload, made when there is work for them.  One pool may
 * serve any number of loops.  Calls run first come, first served.  NULL opts: the
 * defaults.  EDDY_EINVAL also: a stack that the system finds too small.
 * A call keeps its pool.  The last eddy_unref waits for the threads, which then have
 * nothing to do, to end; on a thread of the pool itself, somebody else waits. */
EDDY_API int eddy_pool_new(EDDY_NULLABLE const eddy_pool_opts *opts, eddy_pool **out) EDDY_NOEXCEPT EDDY_ANY_THREAD;

typedef struct eddy_pool_stats {
    uint32_t size;                    /* set by the caller (EDDY_INIT)          */
    uint32_t flags;
    uint64_t threads;                 /* that exist, idle ones too              */
    uint64_t busy;                    /* of these, those that run a function    */
    uint64_t abandoned;               /* of these, those nobody waits for       */
    uint64_t queued, waiting;         /* calls that no thread has taken up      */
} eddy_pool_stats;

/* Zeroes in a forked child, where the pool has no threads. */
EDDY_API int eddy_pool_get_stats(const eddy_pool *pool, eddy_pool_stats *out) EDDY_NOEXCEPT EDDY_ANY_THREAD;

enum {
    /* Cancelling does not wait for code that is already running: the op finishes
     * as cancelled and the result is destroyed, on the loop, when it arrives (where it
     * arrives, if the loop is closed by then).  Without a pool it runs on a thread of
     * eddy's own; a thread of a pool is busy until the code has returned. */
    EDDY_WORK_ABANDON = 1u << 0
};

/* Runs on a worker thread.  Returns EDDY_OK or an error, which becomes the op's status.
 * The only functions it may call are the EDDY_ANY_THREAD ones and the three below. */
typedef int (*eddy_work_fn)(eddy_work *work, void *user);

/* Runs `fn` on another thread: of `pool`, as soon as one is free, or (NULL) one of
 * libuv's own worker threads (uv_queue_work), shared with the file operations of every
 * loop in the process.  Cancelled before it began: it never runs.  While it runs: it is
 * told (eddy_work_cancelled), and the op finishes when it has returned, with what it
 * returned.  `drop` is called on the loop, before the op finishes.  UV_EAGAIN when there
 * are no threads and none can be made; EDDY_EEXCEPTION: thread_start threw.  EDDY_EINVAL:
 * no fn; in a forked child, a pool of the parent's.  On a loop with simulated time it
 * runs on the loop's thread. */
EDDY_API EDDY_GIVE eddy_op *eddy_offload(eddy_loop *loop, EDDY_NULLABLE eddy_pool *pool, eddy_work_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop, uint32_t flags) EDDY_NOEXCEPT;

/* Inside offloaded code.  The value and number of the op (the last ones count, those
 * before are freed at once, on this thread), and its message (copied). */
EDDY_API int  eddy_work_cancelled(const eddy_work *work) EDDY_NOEXCEPT;
EDDY_API void eddy_work_set(eddy_work *work, void *value, EDDY_NULLABLE eddy_free_fn value_free, int64_t number) EDDY_NOEXCEPT;
EDDY_API void eddy_work_set_message(eddy_work *work, EDDY_NULLABLE const char *message) EDDY_NOEXCEPT;

/* --------------------------------------------------- watching what goes on */

enum {
    EDDY_LOG_OFF = 0, EDDY_LOG_MISUSE = 1, EDDY_LOG_ERROR = 2,
    EDDY_LOG_WARN = 3, EDDY_LOG_INFO = 4, EDDY_LOG_DEBUG = 5
};

typedef struct eddy_log_record {
    uint32_t    size;                 /* set by the library                     */
    int32_t     level;
    const char *message;              /* valid during the call                  */
    const char *loop_name;            /* may be NULL                            */
    uint64_t    op_id;                /* 0: none                                */
} eddy_log_record;

/* For the whole process.  Called from any thread, also inside other eddy calls;
 * it must not call eddy.  fn NULL: records up to `max_level` go to standard error, as
 * they do by default up to EDDY_LOG_ERROR.  EDDY_EINVAL (level). */
typedef void (*eddy_log_fn)(const eddy_log_record *record, void *user);
EDDY_API int eddy_set_log(int max_level, EDDY_NULLABLE eddy_log_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT EDDY_ANY_THREAD;

/* Called on the loop with an op that failed (other than by cancellation) and
 * whose outcome nobody looked at before it went away.  NULL: it is logged. */
EDDY_API int eddy_loop_on_unhandled(eddy_loop *loop, EDDY_NULLABLE eddy_done_fn fn, void *user, EDDY_NULLABLE eddy_free_fn drop) EDDY_NOEXCEPT;

/* Copied; NULL and "": none.  Shown in dumps and the log.  name() is "" when none. */
EDDY_API int         eddy_op_set_name(EDDY_NULLABLE eddy_op *op, EDDY_NULLABLE const char *name) EDDY_NOEXCEPT;
EDDY_API const char *eddy_op_name(EDDY_NULLABLE const eddy_op *op) EDDY_NOEXCEPT;

enum {
    EDDY_KIND_TASK = 1, EDDY_KIND_TIMER = 2, EDDY_KIND_SYNC = 3, EDDY_KIND_WORK = 4,
    EDDY_KIND_COMBINED = 5, EDDY_KIND_PROMISE = 6, EDDY_KIND_IO = 7
};

typedef struct eddy_op_info {
    uint32_t    size;                 /* set by the caller (EDDY_INIT)          */
    uint32_t    kind;
    int32_t     status;
    uint32_t    flags;                /* reserved, 0                            */
    uint64_t    id;                   /* unique in the process                  */
    uint64_t    created;              /* the loop's time then                   */
    uint64_t    deadline;             /* EDDY_FOREVER: none                     */
    uint64_t    steps;                /* tasks: times resumed                   */
    const char *name;                 /* borrowed from the op                   */
    const char *waiting_for;          /* static text: "queue.get", "sleep", ... */
    uint64_t    waiting_id;           /* tasks: id of the awaited op, or 0      */
} eddy_op_info;

/* Tells without looking at the outcome. */
EDDY_API int eddy_op_get_info(EDDY_NULLABLE const eddy_op *op, eddy_op_info *out) EDDY_NOEXCEPT;

/* Writes up to `cap` unfinished tasks to `out`, the oldest first, each with a reference
 * for the caller, and returns how many there are. */
EDDY_API size_t eddy_loop_tasks(eddy_loop *loop, EDDY_NULLABLE eddy_op **out, size_t cap) EDDY_NOEXCEPT;

typedef struct eddy_loop_stats {
    uint32_t size;                                   /* set by the caller       */
    uint32_t flags;
    uint64_t tasks, ops, ready, timers, offloaded;   /* now                     */
    uint64_t steps, callbacks, iterations;           /* since the beginning     */
    uint64_t bytes;                                  /* allocated now           */
} eddy_loop_stats;

/* Of a closed loop only what is counted since the beginning is left. */
EDDY_API int eddy_loop_get_stats(const eddy_loop *loop, eddy_loop_stats *out) EDDY_NOEXCEPT;

/* Calls `fn` with each line of a tree of all tasks: number, name, state, what each waits
 * for.  `line` is valid during the call; `fn` must not call eddy. */
typedef void (*eddy_line_fn)(const char *line, void *user);
EDDY_API int eddy_loop_dump(eddy_loop *loop, eddy_line_fn fn, void *user) EDDY_NOEXCEPT;

EDDY_END_DECLS

#endif /* EDDY_H */

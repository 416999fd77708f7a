/*
 * eddy_test.h - loops with simulated time, for tests of programs that use eddy.h.
 *
 * Time stands still while anything can run, and jumps to the next timer when nothing
 * can: nothing sleeps, a day of timers takes microseconds, and each run is like the one
 * before.  Everything of eddy.h works on such a loop but descriptors (eddy_fd_wait and
 * eddy_loop_fd answer EDDY_ENOTSUP); offloaded code runs on the loop's thread, later.
 *
 * There is no promise that these functions stay as they are.
 */
#ifndef EDDY_TEST_H
#define EDDY_TEST_H
/* Laid out by hand: */
/* clang-format off */

#include "eddy.h"

EDDY_BEGIN_DECLS

/* `seed` 0: what is ready runs first in, first out.  Else in an order drawn from it, the
 * same for the same seed: run a test with many, to find what relies on the order.  Use,
 * close and unref the loop as any other.  EDDY_EINVAL, EDDY_ENOMEM. */
EDDY_API int eddy_test_loop_new(uint64_t seed, eddy_loop **out) EDDY_NOEXCEPT;

/* Runs until everything waits for something that only time or the test can bring; time
 * does not move.  EDDY_ESTATE inside a callback or step; EDDY_EINVAL: NULL, or a loop
 * that eddy_test_loop_new() did not make. */
EDDY_API int eddy_test_settle(eddy_loop *loop) EDDY_NOEXCEPT;

/* Moves the clock by `duration`, running on the way what falls due, in order.  Errors as
 * settle. */
EDDY_API int eddy_test_advance(eddy_loop *loop, uint64_t duration) EDDY_NOEXCEPT;

enum {
    EDDY_TEST_FOR_GOOD = 1u << 0      /* those after it fail too                */
};

/* Of what is allocated on this loop from now on, the first `after` succeed and the next
 * one fails.  Go through 0, 1, 2 ... until eddy_test_failed() says that none was left to
 * fail, and every place that can run out of memory has been tested.  EDDY_FOREVER: none
 * fails any more.  Errors as settle; EDDY_ETOOBIG (flags). */
EDDY_API int eddy_test_fail_alloc(eddy_loop *loop, uint64_t after, uint32_t flags) EDDY_NOEXCEPT;
/* How many allocations have failed so since the last fail_alloc.  0 for other loops. */
EDDY_API uint64_t eddy_test_failed(const eddy_loop *loop) EDDY_NOEXCEPT;

EDDY_END_DECLS

#endif /* EDDY_TEST_H */

"""A program: one coroutine, and the loop it runs on."""

from ._declarations import EDDY_ECANCELED, EDDY_FOREVER
from ._interrupts import Interrupts
from ._library import waits
from ._loop import Loop, nanoseconds
from ._task import spawn


def run(coroutine, *, on_unhandled=None, grace=5):
    """Runs the coroutine to its end on a loop of its own, cancels what it left behind, and gives what it returns.

    on_unhandled(error, name) is called for each task that failed and that nobody awaited; by default the error is printed.
    What was left behind has `grace` seconds to clean up."""
    try:
        loop = Loop(on_unhandled=on_unhandled)
        loop.enter()
    except BaseException:
        coroutine.close()
        raise
    interrupts = None
    try:
        with loop.hooks():
            main = spawn(coroutine, getattr(coroutine, "__qualname__", None))
            interrupts = Interrupts(loop, main)
            status = waits.eddy_loop_run_until(loop.pointer, main._pointer, EDDY_FOREVER)
            finished, before = main.done(), interrupts.times
            if before > 1:
                grace = 0  # asked twice: in a hurry
            ending = spawn(loop.end(grace))
            waits.eddy_loop_run_until(loop.pointer, ending._pointer, nanoseconds(grace))
            if loop.fatal is not None:
                raise loop.fatal
            if interrupts.times > before or (before and status == EDDY_ECANCELED):
                raise KeyboardInterrupt
            if not finished:
                raise RuntimeError("nothing can finish the main task any more")
            return main.result()
    finally:
        if interrupts is not None:
            interrupts.stop()
        loop.close(grace)
        if interrupts is not None:
            interrupts.close()
        loop.leave()
        loop.release()
        # A traceback that refers to this frame keeps no values.
        main = ending = None

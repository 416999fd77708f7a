"""The loop that runs on this thread."""

import contextlib
import sys
import threading
import traceback
import weakref

from . import _objects
from ._declarations import EDDY_EBUSY, EDDY_FOREVER, EDDY_OK, eddy_done_fn, eddy_line_fn
from ._errors import Error
from ._library import NO_FREE, lib, made, waits

local = threading.local()


def nanoseconds(seconds):
    return EDDY_FOREVER if seconds is None else max(0, round(seconds * 1e9))


def loop_here():
    loop = getattr(local, "loop", None)
    if loop is None:
        raise RuntimeError("eddy: no loop runs on this thread; call this inside of eddy.run()")
    return loop


def here():
    return loop_here().pointer


class Loop:
    """An eddy_loop, current on the thread between enter() and leave()."""

    def __init__(self, options=None, on_unhandled=None):
        if getattr(local, "loop", None) is not None:
            raise RuntimeError("eddy: a loop runs on this thread already")
        self.pointer = made(lib.eddy_loop_new, options)
        self.running = None  # the task whose step runs
        self.fatal = None  # KeyboardInterrupt or SystemExit out of a task: ends the run
        self.on_unhandled = on_unhandled or print_unhandled
        self._callback = eddy_done_fn(self._unhandled)
        lib.eddy_loop_on_unhandled(self.pointer, self._callback, None, NO_FREE)
        self.tasks = {}  # that have not ended: what runs, by number
        self._few = None  # set when one task is left
        self._generators = weakref.WeakSet()

    def _unhandled(self, op, _):
        error = _objects.look(lib.eddy_op_value(op))
        if not isinstance(error, BaseException):
            error = Error(lib.eddy_op_status(op), lib.eddy_op_message(op).decode(errors="replace"))
        self.on_unhandled(error, lib.eddy_op_name(op).decode())

    def enter(self):
        local.loop = self

    def leave(self):
        local.loop = None

    def task_ended(self, number):
        del self.tasks[number]
        if self._few is not None and len(self.tasks) <= 1:
            self._few.set()

    @contextlib.contextmanager
    def hooks(self):
        """An asynchronous generator that is dropped in the middle of its work is closed by a task of its own."""
        before = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._generators.add, self._close_generator)
        try:
            yield
        finally:
            sys.set_asyncgen_hooks(*before)

    def _close_generator(self, generator):
        from ._task import spawn

        self._generators.discard(generator)
        if getattr(local, "loop", None) is self:
            spawn(generator.aclose(), "close an asynchronous generator")

    async def end(self, grace):
        """Cancels all tasks but this one, waits for their end, and closes the generators that nobody finished."""
        from ._combine import timeout
        from ._sync import Event
        from ._task import current_task, tasks

        # Counted, not awaited: who fails on its way out is reported, unless somebody awaits it.
        self._few = Event()
        for task in tasks():
            if task != current_task():
                task.cancel()
        try:
            if len(self.tasks) > 1:
                await timeout(grace, self._few.wait())
            for generator in list(self._generators):
                await timeout(grace, generator.aclose())
        except TimeoutError:
            pass  # dropped by close()
        finally:
            self._few = None

    def close(self, grace):
        """Runs until what was cancelled has ended. Code on other threads is waited for, beyond the grace."""
        while waits.eddy_loop_close(self.pointer, nanoseconds(grace)) == EDDY_EBUSY:
            pass

    def release(self):
        lib.eddy_unref(self.pointer)
        self.pointer = self._callback = None


def print_unhandled(error, name):
    print(f"eddy: nobody awaited {f'the task {name!r}' if name else 'a task'}, which failed:", file=sys.stderr)
    traceback.print_exception(type(error), error, error.__traceback__)


def now():
    """The loop's clock, in seconds from an arbitrary point."""
    return lib.eddy_loop_now(here()) / 1e9


def dump():
    """A tree of all tasks, as text: what each waits for."""
    lines = []
    status = lib.eddy_loop_dump(here(), eddy_line_fn(lambda line, _: lines.append(line.decode(errors="replace"))), None)
    if status != EDDY_OK:
        raise Error(status)
    return "\n".join(lines)

"""Tasks: coroutines as step functions of the C interface."""

import contextvars

from . import _errors, _objects
from ._declarations import EDDY_ECANCELED, EDDY_EUSER, EDDY_PENDING, EDDY_STEP_DONE, EDDY_STEP_WAIT, eddy_free_fn, eddy_step_fn
from ._library import NO_DONE, NO_FREE, lib
from ._loop import here, loop_here
from ._op import Op


class Task:
    """A coroutine that runs. Awaiting it, as often as you like, gives what it returns or raises what it raises; dropping
    it lets it run on."""

    __slots__ = ("_pointer", "_running", "_status", "__weakref__")

    def __init__(self, pointer, running):
        self._pointer = pointer  # None: settled
        self._running = running

    def __del__(self):
        if pointer := getattr(self, "_pointer", None):
            lib.eddy_unref(pointer)

    def __eq__(self, other):
        return isinstance(other, Task) and self._running is other._running

    def __hash__(self):
        return hash(self._running)

    def __await__(self):
        if self.done():
            return self.result()
        return (yield self.join())

    def join(self):
        """An op that finishes when the task does. Cancelling that op leaves the task alone."""
        if self.done():
            return _finished(self)
        return OfTask(lib.eddy_op_join(self._pointer), self)

    def cancel(self):
        """Asks: what the task awaits raises Cancelled, once."""
        if self._pointer:
            lib.eddy_op_cancel(self._pointer)

    def done(self):
        return not self._pointer or lib.eddy_op_status(self._pointer) != EDDY_PENDING

    def result(self):
        """What awaiting it gives, of a task that is done."""
        self._settle()
        return self._running.result(None, self._status)

    @property
    def name(self):
        return self._running.name

    def hand_over(self):
        """Our reference becomes the consumer's; this object is of no use any more."""
        pointer, self._pointer = self._pointer, None
        return pointer

    def _settle(self):
        """The outcome is the running's, and C's end of it goes. A traceback leads to a frame, which may hold this task: a
        ring that Python's collector sees as long as it does not lead through C."""
        pointer = self._pointer
        if not pointer:
            return
        self._status = lib.eddy_op_status(pointer)
        if self._status == EDDY_PENDING:
            raise RuntimeError("the task is not done")
        self._pointer = None
        lib.eddy_unref(pointer)


class OfTask(Op):
    """An op with the outcome of a task: its own, or a join."""

    __slots__ = ("_running", "_task")

    def __init__(self, pointer, task):
        super().__init__(pointer)
        self._running = task._running
        self._task = task

    def outcome(self, pointer):
        status = lib.eddy_op_status(pointer)
        if self._task._pointer and self._task.done():
            self._task._settle()
        return self._running.result(pointer, status)


def _finished(task):
    """An op that has finished as the task has, for what takes ops only."""
    task._settle()
    promise = lib.eddy_promise(here(), NO_DONE, None, NO_FREE)
    if task._status >= 0:
        lib.eddy_promise_resolve(promise, None, NO_FREE, 0)
    else:
        lib.eddy_promise_reject(promise, task._status, b"", None, NO_FREE)
    return OfTask(promise, task)


class _Running:
    """The state of a step function, and the outcome of the coroutine. (C carries the error too, for groups and for the hook
    for errors that nobody has seen.)"""

    __slots__ = (
        "awaits",
        "context",
        "coroutine",
        "error",
        "group",
        "interrupts",
        "loop",
        "name",
        "number",
        "pointer",
        "value",
        "waits",
    )

    def __init__(self, loop, coroutine, name):
        self.loop = loop
        self.coroutine = coroutine
        self.name = name
        self.context = contextvars.copy_context()
        self.awaits = self.error = self.group = self.value = None
        self.interrupts = frozenset()  # groups that want this task out of their block
        self.waits = None  # the op that it is suspended in
        self.number = _objects.give(self)

    def result(self, op, status):
        if status >= 0:
            return self.value
        # Other statuses are of what was made of the task: too late, cancelled, while it goes on.
        raise self.error if status == EDDY_EUSER and self.error is not None else _errors.of(op, status)

    def step(self, task):
        self.loop.running = self
        waited, self.waits = self.waits, None
        try:
            return self.resume(task, waited)
        finally:
            self.loop.running = None

    def resume(self, task, waited):
        coroutine = self.coroutine
        run = self.context.run
        go, argument = coroutine.send, None
        if waited is not None:
            go, argument = self.outcome(task, waited)
        while True:
            try:
                awaits = run(go, argument)
            except StopIteration as end:
                self.value = end.value
                return EDDY_STEP_DONE
            except _errors.Cancelled as e:
                return lib.eddy_fail_with(task, EDDY_ECANCELED, _errors.text(e, str), None, NO_FREE)
            except BaseException as e:  # an object like any other: raised again where the task is awaited
                if isinstance(e, (KeyboardInterrupt, SystemExit)):
                    self.loop.fatal = e
                    lib.eddy_loop_stop(self.loop.pointer)
                self.error = e
                if self.group is not None:
                    self.group.member_failed()
                return lib.eddy_fail_with(task, EDDY_EUSER, _errors.text(e), _objects.give(e), _objects.free)
            try:
                if not isinstance(awaits, Op):
                    raise TypeError(f"a task of eddy can't await {awaits!r}")
                if self.interrupts:
                    raise self.interruption(_errors.Cancelled())
                pointer = awaits.hand_over()
            except (RuntimeError, TypeError, _errors.Cancelled) as e:
                go, argument = coroutine.throw, e
                continue
            self.awaits = awaits
            if lib.eddy_await(task, pointer, 0) == EDDY_STEP_WAIT:
                self.waits = pointer  # which is the task's, until it awaits again
                return EDDY_STEP_WAIT
            go, argument = self.outcome(task, pointer)

    def outcome(self, task, op):
        try:
            return self.coroutine.send, self.awaits.outcome(op)
        except _errors.Cancelled as e:
            if lib.eddy_task_cancelled(task):
                lib.eddy_task_uncancel(task)
                e.requested = True
            return self.coroutine.throw, self.interruption(e)
        except BaseException as e:
            return self.coroutine.throw, e

    def interrupt(self, group):
        """Cancels what the task waits for, or its next await. Not the task: that is for others to ask."""
        self.interrupts |= {group}
        if self.waits:
            lib.eddy_op_cancel(self.waits)

    def interruption(self, cancelled):
        cancelled.groups, self.interrupts = self.interrupts, frozenset()
        return cancelled


@eddy_step_fn
def _step(task, state):
    return _objects.objects[state].step(task)


@eddy_free_fn
def _drop(state):
    running = _objects.take(state)
    try:
        running.coroutine.close()
    finally:
        running.loop.task_ended(state)


def spawn(coroutine, name=None):
    """A task that runs the coroutine, from the loop, later. It has a copy of the context (contextvars)."""
    if not hasattr(coroutine, "send"):
        raise TypeError(f"expected a coroutine, not {coroutine!r}")
    loop = loop_here()
    running = _Running(loop, coroutine, name or "")
    loop.tasks[running.number] = running
    running.pointer = lib.eddy_spawn(loop.pointer, _step, running.number, _drop)
    if not running.pointer:
        raise MemoryError
    if name is not None:
        lib.eddy_op_set_name(running.pointer, name.encode())
    return Task(running.pointer, running)


def tasks():
    """Those that have not ended, the oldest first."""
    return [_task_of(running) for running in loop_here().tasks.values()]


def current_task():
    """The task that runs now, or None."""
    running = loop_here().running
    return running and _task_of(running)


def _task_of(running):
    return Task(lib.eddy_ref(running.pointer), running)

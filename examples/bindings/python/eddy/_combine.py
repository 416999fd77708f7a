"""Several ops at once, and ops with a limit. What may be awaited may be given: a coroutine (it becomes a task that belongs
to the whole), a task (which stays yours, and goes on when the whole is cancelled), or an op."""

import ctypes

from . import _errors
from ._declarations import EDDY_EUSER
from ._library import lib
from ._loop import here, nanoseconds
from ._op import Op
from ._task import OfTask, Task, spawn


def op_of(awaitable):
    if isinstance(awaitable, Task):
        return awaitable.join()
    if isinstance(awaitable, Op):
        return awaitable
    task = spawn(awaitable)
    return OfTask(task.hand_over(), task)


def timeout(seconds, awaitable):
    """TimeoutError when it has not finished in time. A coroutine is cancelled then, and awaited. None: no limit."""
    op = op_of(awaitable)
    # The limited op is the same op: what it gives is worked out by the same object.
    op._pointer = lib.eddy_op_timeout(op.hand_over(), nanoseconds(seconds)) or 0
    return op


def shield(awaitable):
    """Cancelling what is returned leaves the awaitable alone."""
    if isinstance(awaitable, _Combined):
        awaitable = _alone(awaitable)  # which has its parts, as the shield would not
    op = op_of(awaitable)
    op._pointer = lib.eddy_op_shield(op.hand_over()) or 0
    return op


async def _alone(op):
    return await op


class _Combined(Op):
    __slots__ = ("_ops",)

    def __init__(self, combine, awaitables, *flags):
        ops = [op_of(a) for a in awaitables]
        pointers = (ctypes.c_void_p * len(ops))(*[op.hand_over() for op in ops])
        super().__init__(combine(here(), pointers, len(ops), *flags))
        self._ops = ops

    def part(self, pointer, i):
        return self._ops[i].outcome(lib.eddy_op_child(pointer, i))


class _Gathered(_Combined):
    __slots__ = ()

    def outcome(self, pointer):
        status = lib.eddy_op_status(pointer)
        if status < 0:
            failed = lib.eddy_op_number(pointer)
            if failed < len(self._ops) and lib.eddy_op_status(lib.eddy_op_child(pointer, failed)) == status:
                return self.part(pointer, failed)  # raises
            raise _errors.of(pointer, status)
        return [self.part(pointer, i) for i in range(len(self._ops))]


class _Raced(_Combined):
    __slots__ = ()

    def outcome(self, pointer):
        status = lib.eddy_op_status(pointer)
        winner = lib.eddy_op_number(pointer)
        if status < 0 and (winner >= len(self._ops) or status != EDDY_EUSER):
            raise _errors.of(pointer, status)
        # The race has its winner's value, but not the parts that the winner has.
        if isinstance(self._ops[winner], _Combined):
            return winner, self.part(pointer, winner)
        return winner, self._ops[winner].outcome(pointer)


def gather(*awaitables):
    """All at once; a list of the results. The first error cancels the rest, which are awaited, and is raised."""
    return _Gathered(lib.eddy_gather, awaitables, 0)


def race(*awaitables):
    """The first to finish: (its index, its result), or its error. The others are cancelled and awaited."""
    return _Raced(lib.eddy_race, awaitables)

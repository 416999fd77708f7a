"""Ops: everything that finishes later."""

from . import _errors, _objects
from ._library import lib
from ._loop import here, nanoseconds


class Op:
    """Something that finishes later; await it once. Dropped before it has finished, it is cancelled."""

    __slots__ = ("_keeps", "_pointer", "_result", "__weakref__")

    def __init__(self, pointer, result=None, keeps=None):
        self._pointer = pointer or 0  # NULL is an op that failed for want of memory
        self._result = result  # of the finished op: what the await gives; None: nothing
        self._keeps = keeps  # alive while it waits

    def __del__(self):
        pointer = getattr(self, "_pointer", None)
        if pointer:
            lib.eddy_unref(pointer)

    def __await__(self):
        return (yield self)

    def hand_over(self):
        """Our reference becomes the consumer's."""
        pointer, self._pointer = self._pointer, None
        if pointer is None:
            raise RuntimeError("this op has been awaited already")
        return pointer

    def outcome(self, pointer):
        """What the await gives, or raises."""
        status = lib.eddy_op_status(pointer)
        if status < 0:
            raise _errors.of(pointer, status)
        return None if self._result is None else self._result(pointer)


def taken(pointer):
    return _objects.take(lib.eddy_op_take(pointer))


def sleep(seconds):
    """None: until cancelled."""
    return Op(lib.eddy_sleep(here(), nanoseconds(seconds)))

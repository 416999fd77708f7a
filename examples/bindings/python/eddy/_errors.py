"""The statuses of ops as exceptions."""

from . import _objects
from ._declarations import EDDY_ECANCELED, EDDY_ECLOSED, EDDY_ENOMEM, EDDY_ETIMEDOUT
from ._library import lib


class Cancelled(BaseException):
    """The task was cancelled. Told once; what is awaited afterwards works as ever, so a task can clean up."""

    requested = False  # by Task.cancel(), a time limit, or the end of the program
    groups = frozenset()  # whose members failed while the task was in their block


class Closed(Exception):
    """The queue is closed (and empty), or the loop is."""


class Error(Exception):
    """Another status of the C interface."""

    def __init__(self, status, message=""):
        super().__init__(message or lib.eddy_strerror(status).decode())
        self.status = status


def text(error, of=repr):
    """For people, in dumps and logs: no zero inside, and no failure of its own."""
    try:
        string = of(error)
    except Exception:
        string = type(error).__name__
    return string.encode(errors="replace").replace(b"\0", b"?")


def of(op, status):
    """The exception of a failed op: the task's own where there is one."""
    carried = _objects.look(lib.eddy_op_value(op))
    if isinstance(carried, BaseException):
        return carried
    message = lib.eddy_op_message(op).decode(errors="replace")
    if status == EDDY_ECANCELED:
        return Cancelled(message)
    if status == EDDY_ETIMEDOUT:
        return TimeoutError(message or "the deadline passed")
    if status == EDDY_ECLOSED:
        return Closed(message or "closed")
    if status == EDDY_ENOMEM:
        return MemoryError()
    return Error(status, message)


def check(status):
    """Of a function that returns a status."""
    if status < 0:
        raise of(None, status)

"""The library itself: $EDDY_LIBRARY, or libeddy.so.0 where the system finds it."""

import ctypes
import os

from . import _declarations

_name = os.environ.get("EDDY_LIBRARY", "libeddy.so.0")

# Calls through `lib` keep Python's lock. Giving it up for some nanoseconds would cost five milliseconds whenever another
# thread is busy in Python, at each call. What can wait for other threads goes through `waits`, which gives it up.
lib = _declarations.declare(ctypes.PyDLL(_name))
waits = _declarations.declare(ctypes.CDLL(_name))
lib.eddy_loop_run = lib.eddy_loop_run_until = lib.eddy_loop_close = None

NO_FREE = _declarations.eddy_free_fn()
NO_DONE = _declarations.eddy_done_fn()


def made(constructor, *arguments):
    """The object that an `int eddy_…_new(…, out)` makes."""
    from ._errors import Error

    out = ctypes.c_void_p()
    status = constructor(*arguments, ctypes.byref(out))
    if status == _declarations.EDDY_ENOMEM:
        raise MemoryError
    if status != _declarations.EDDY_OK:
        raise Error(status)
    return out.value

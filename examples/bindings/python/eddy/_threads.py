"""Functions that block."""

import contextvars

from . import _objects
from ._declarations import EDDY_EUSER, EDDY_OK, eddy_work_fn
from ._library import lib
from ._loop import here
from ._op import Op, taken


@eddy_work_fn
def _work(work, state):
    """On a worker thread. Nothing may leave it but a status."""
    context, function, arguments = _objects.objects[state]
    try:
        result = context.run(function, *arguments)
    except BaseException as e:
        lib.eddy_work_set(work, _objects.give(e), _objects.free, 0)
        return EDDY_EUSER
    if result is not None:
        lib.eddy_work_set(work, _objects.give(result), _objects.free, 0)
    return EDDY_OK


def to_thread(function, *arguments):
    """A function that blocks, on a worker thread. Cancelled before it began, it never runs; once it runs, the await waits
    for it."""
    state = _objects.give((contextvars.copy_context(), function, arguments))
    return Op(lib.eddy_offload(here(), None, _work, state, _objects.free, 0), taken)

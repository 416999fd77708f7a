"""eddy inside of asyncio, through one descriptor.

    import asyncio, eddy, eddy.hosting

    async def main():
        async with eddy.hosting.Host() as host:
            print(await host.run(an_eddy_coroutine()))

    asyncio.run(main())

asyncio watches the loop's descriptor, which becomes readable for timers and ready work too (EDDY_LOOP_FD_ONLY: Linux), and
runs what is ready. Each side waits for the other: `host.run(...)` in asyncio's coroutines, `await of_asyncio(...)` in eddy's.
"""

import asyncio
import ctypes

from . import _objects
from ._declarations import (
    EDDY_ECANCELED,
    EDDY_EUSER,
    EDDY_LOOP_FD_ONLY,
    EDDY_RUN_NOWAIT,
    eddy_done_fn,
    eddy_loop_opts,
)
from ._errors import Cancelled, check
from ._library import lib, waits
from ._loop import Loop, here
from ._op import Op, taken
from ._task import Task, spawn

__all__ = ["Host", "of_asyncio"]


@eddy_done_fn
def _call(op, user):
    _objects.look(user)(op)


class Host:
    """async with Host() as host: eddy's loop runs on the asyncio loop of this thread. At the end of the block eddy's tasks
    are cancelled, and have `grace` seconds to clean up. In the block everything of eddy may be made, outside of eddy's
    tasks too."""

    def __init__(self, *, on_unhandled=None, grace=5):
        self._on_unhandled, self._grace = on_unhandled, grace

    async def __aenter__(self):
        options = eddy_loop_opts()
        lib.eddy_init_struct(ctypes.byref(options), ctypes.sizeof(options))
        options.flags = EDDY_LOOP_FD_ONLY
        self._loop = Loop(ctypes.byref(options), self._on_unhandled)
        self._asyncio = asyncio.get_running_loop()
        self._descriptor = lib.eddy_loop_fd(self._loop.pointer)
        check(self._descriptor)
        self._asyncio.add_reader(self._descriptor, self._pump)
        self._loop.enter()
        return self

    async def __aexit__(self, *_):
        try:
            await self.run(self._loop.end(self._grace))
        finally:
            self._asyncio.remove_reader(self._descriptor)
            self._loop.close(0)
            self._loop.leave()
            self._loop.release()

    def _pump(self):
        with self._loop.hooks():
            waits.eddy_loop_run(self._loop.pointer, EDDY_RUN_NOWAIT)
        fatal, self._loop.fatal = self._loop.fatal, None
        if fatal is not None:
            raise fatal  # ends asyncio's loop, as one out of its own tasks does

    def spawn(self, coroutine, name=None):
        """A task of eddy. For asyncio's coroutines to wait for it, wrap it: host.run(task)."""
        return spawn(coroutine, name)

    async def run(self, coroutine):
        """For asyncio's coroutines: what the coroutine or task of eddy gives, or raises. Cancelled, it cancels that one,
        and waits until it has cleaned up."""
        task = coroutine if isinstance(coroutine, Task) else spawn(coroutine)
        ended = self._asyncio.create_future()
        user = _objects.give(lambda _: ended.set_result(None))
        check(lib.eddy_op_then(task.join().hand_over(), _call, user, _objects.free))
        while not ended.done():
            try:
                await asyncio.wait([ended])
            except asyncio.CancelledError:
                task.cancel()
        try:
            return task.result()
        except Cancelled as e:
            raise asyncio.CancelledError(*e.args) from None


def of_asyncio(awaitable):
    """For eddy's coroutines: waits for a future, task or coroutine of asyncio, which is cancelled with the await."""
    future = asyncio.ensure_future(awaitable)
    cancel = _objects.give(lambda _: future.cancel())
    promise = lib.eddy_promise(here(), _call, cancel, _objects.free)
    lib.eddy_ref(promise)

    def settle(_):
        try:
            if future.cancelled():
                lib.eddy_promise_reject(promise, EDDY_ECANCELED, b"", None, _objects.free)
            elif future.exception() is not None:
                error = future.exception()
                text = repr(error).encode(errors="replace").replace(b"\0", b"?")
                lib.eddy_promise_reject(promise, EDDY_EUSER, text, _objects.give(error), _objects.free)
            else:
                lib.eddy_promise_resolve(promise, _objects.give((future.result(),)), _objects.free, 0)
        finally:
            lib.eddy_unref(promise)

    future.add_done_callback(settle)
    return Op(promise, lambda op: taken(op)[0])

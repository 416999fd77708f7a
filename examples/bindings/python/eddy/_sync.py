"""What tasks share. Who waits is served in order; cancelling or a time limit loses nothing."""

from . import _errors, _objects
from ._declarations import EDDY_EAGAIN
from ._library import lib, made
from ._loop import here
from ._op import Op


class Object:
    """Lives as long as somebody waits for it."""

    def __init__(self, pointer):
        self._pointer = pointer

    def __del__(self):
        pointer = getattr(self, "_pointer", None)
        if pointer:
            lib.eddy_unref(pointer)


def _item(op):
    return _objects.take(lib.eddy_op_take(op))[0]


class Queue(Object):
    """Of any objects; capacity 0 is unlimited."""

    def __init__(self, capacity=0):
        super().__init__(made(lib.eddy_queue_new, here(), capacity, _objects.free))

    def put(self, item):
        return Op(lib.eddy_queue_put(self._pointer, _objects.give((item,))), keeps=self)

    def get(self):
        """Closed once the queue is closed and empty."""
        return Op(lib.eddy_queue_get(self._pointer), _item, keeps=self)

    def try_put(self, item):
        """False: it is full, or others wait to put."""
        return self._put(lib.eddy_queue_try_put, item)

    def put_threadsafe(self, item):
        """From any thread; ignores the capacity."""
        self._put(lib.eddy_queue_put_threadsafe, item)

    def _put(self, function, item):
        number = _objects.give((item,))
        status = function(self._pointer, number)
        if status < 0:
            _objects.take(number)
            if status != EDDY_EAGAIN:
                _errors.check(status)
        return status >= 0

    def close(self):
        """Puts fail from now on; gets do when the queue is empty."""
        lib.eddy_queue_close(self._pointer)

    def done(self):
        """Once for each item that was got and handled."""
        _errors.check(lib.eddy_queue_done(self._pointer))

    def join(self):
        """Finishes when all items that were put are done."""
        return Op(lib.eddy_queue_join(self._pointer), keeps=self)

    def __len__(self):
        return lib.eddy_queue_size(self._pointer)

    def __bool__(self):
        return True  # also when it is empty

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.get()
        except _errors.Closed:
            raise StopAsyncIteration from None


class Lock(Object):
    """Not tied to a task: whoever has it may release it."""

    def __init__(self):
        super().__init__(made(lib.eddy_mutex_new, here()))

    def acquire(self):
        return Op(lib.eddy_mutex_lock(self._pointer), keeps=self)

    def try_acquire(self):
        return _tried(lib.eddy_mutex_try_lock(self._pointer))

    def release(self):
        _errors.check(lib.eddy_mutex_unlock(self._pointer))

    async def __aenter__(self):
        await self.acquire()

    async def __aexit__(self, *_):
        self.release()


class Semaphore(Object):
    def __init__(self, permits):
        super().__init__(made(lib.eddy_sem_new, here(), permits))

    def acquire(self, n=1):
        """All n at once; a big request is not starved by small ones behind it."""
        return Op(lib.eddy_sem_acquire(self._pointer, n), keeps=self)

    def try_acquire(self, n=1):
        return _tried(lib.eddy_sem_try_acquire(self._pointer, n))

    def release(self, n=1):
        _errors.check(lib.eddy_sem_release(self._pointer, n))

    async def __aenter__(self):
        await self.acquire()

    async def __aexit__(self, *_):
        self.release()


class Event(Object):
    def __init__(self):
        super().__init__(made(lib.eddy_event_new, here()))

    def wait(self):
        return Op(lib.eddy_event_wait(self._pointer), keeps=self)

    def set(self):
        """From any thread."""
        lib.eddy_event_set(self._pointer)

    def clear(self):
        lib.eddy_event_clear(self._pointer)

    def is_set(self):
        return bool(lib.eddy_event_is_set(self._pointer))


def _tried(status):
    if status == EDDY_EAGAIN:
        return False
    _errors.check(status)
    return True

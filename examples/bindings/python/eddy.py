"""Coroutines (async def) run by eddy, by way of its C interface and ctypes. No compiled code of its own.

    import eddy

    async def main():
        queue = eddy.Queue(10)
        async with eddy.Group() as group:
            group.spawn(producer(queue))
            group.spawn(consumer(queue))
        return await eddy.timeout(5, eddy.to_thread(hash_file, "big.iso"))

    print(eddy.run(main()))

A task is a step function of the C interface whose step resumes the coroutine; what the coroutine awaits in the end is an
Op. Python objects travel as the values of ops, the exception of a failed task too: what is raised at the await is the
very same instance.
"""

import ctypes
import os
import signal
import socket
import threading
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

OK, PENDING = 0, 1
ENOMEM, EINVAL, ECANCELED, ETIMEDOUT, ECLOSED = -10001, -10002, -10003, -10004, -10005
EUSER = -20000
DONE, WAIT, READY = 0, 1, 4
FOREVER = 2**64 - 1
READABLE = 1

_lib = ctypes.CDLL(os.environ.get("EDDY_LIBRARY", "libeddy.so.0"))
_FREE = ctypes.CFUNCTYPE(None, c_void_p)
_DONE = ctypes.CFUNCTYPE(None, c_void_p, c_void_p)
_STEP = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)
_WORK = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)

# What each function takes and gives; ctypes would guess int.
for _name, _result, *_arguments in (
    ("eddy_loop_new", c_int, c_void_p, c_void_p),
    ("eddy_loop_run_until", c_int, c_void_p, c_void_p, c_uint64),
    ("eddy_loop_close", c_int, c_void_p, c_uint64),
    ("eddy_unref", None, c_void_p),
    ("eddy_ref", c_void_p, c_void_p),
    ("eddy_strerror", c_char_p, c_int),
    ("eddy_op_status", c_int, c_void_p),
    ("eddy_op_message", c_char_p, c_void_p),
    ("eddy_op_take", c_void_p, c_void_p),
    ("eddy_op_number", c_int64, c_void_p),
    ("eddy_op_cancel", None, c_void_p),
    ("eddy_op_timeout", c_void_p, c_void_p, c_uint64),
    ("eddy_op_then", c_int, c_void_p, _DONE, c_void_p, c_void_p),
    ("eddy_op_join", c_void_p, c_void_p),
    ("eddy_op_shield", c_void_p, c_void_p),
    ("eddy_op_child", c_void_p, c_void_p, c_size_t),
    ("eddy_op_set_name", c_int, c_void_p, c_char_p),
    ("eddy_sleep", c_void_p, c_void_p, c_uint64),
    ("eddy_fd_wait", c_void_p, c_void_p, ctypes.c_ssize_t, c_uint32),
    ("eddy_spawn", c_void_p, c_void_p, _STEP, c_void_p, _FREE),
    ("eddy_await", c_int, c_void_p, c_void_p, c_uint32),
    ("eddy_task_awaited", c_void_p, c_void_p),
    ("eddy_return", c_int, c_void_p, c_void_p, _FREE),
    ("eddy_fail_with", c_int, c_void_p, c_int, c_char_p, c_void_p, _FREE),
    ("eddy_gather", c_void_p, c_void_p, ctypes.POINTER(c_void_p), c_size_t, c_uint32),
    ("eddy_race", c_void_p, c_void_p, ctypes.POINTER(c_void_p), c_size_t),
    ("eddy_group_new", c_int, c_void_p, c_uint32, c_void_p),
    ("eddy_group_add", c_int, c_void_p, c_void_p),
    ("eddy_group_cancel", None, c_void_p),
    ("eddy_group_wait", c_void_p, c_void_p),
    ("eddy_queue_new", c_int, c_void_p, c_size_t, _FREE, c_void_p),
    ("eddy_queue_put", c_void_p, c_void_p, c_void_p),
    ("eddy_queue_get", c_void_p, c_void_p),
    ("eddy_queue_close", None, c_void_p),
    ("eddy_queue_size", c_size_t, c_void_p),
    ("eddy_mutex_new", c_int, c_void_p, c_void_p),
    ("eddy_mutex_lock", c_void_p, c_void_p),
    ("eddy_mutex_unlock", c_int, c_void_p),
    ("eddy_sem_new", c_int, c_void_p, c_uint64, c_void_p),
    ("eddy_sem_acquire", c_void_p, c_void_p, c_uint64),
    ("eddy_sem_release", c_int, c_void_p, c_uint64),
    ("eddy_event_new", c_int, c_void_p, c_void_p),
    ("eddy_event_wait", c_void_p, c_void_p),
    ("eddy_event_set", None, c_void_p),
    ("eddy_event_clear", None, c_void_p),
    ("eddy_event_is_set", c_int, c_void_p),
    ("eddy_offload", c_void_p, c_void_p, c_void_p, _WORK, c_void_p, _FREE, c_uint32),
    ("eddy_work_set", None, c_void_p, c_void_p, _FREE, c_int64),
):
    _function = getattr(_lib, _name)
    _function.restype, _function.argtypes = _result, _arguments


class Cancelled(BaseException):
    """The task was cancelled. Told once; what is awaited afterwards works as ever, so a task can clean up."""


class Closed(Exception):
    """The queue is closed (and empty), or the loop is."""


class Error(Exception):
    """Another status of the C interface."""

    def __init__(self, status, message):
        super().__init__(message or _lib.eddy_strerror(status).decode())
        self.status = status


# ---- Python objects inside: a number each, which C carries as a pointer

_objects = {}
_numbers = iter(range(1, 2**62))
_objects_lock = threading.Lock()


def _give(thing):
    with _objects_lock:
        number = next(_numbers)
        _objects[number] = thing
    return number


def _take(number):
    return None if not number else _objects.pop(number)


@_FREE
def _free(number):
    _objects.pop(number, None)


def _raise(status, op):
    """The exception of a failed op: the task's own where there is one."""
    message = _lib.eddy_op_message(op).decode()
    carried = _take(_lib.eddy_op_take(op))
    if isinstance(carried, BaseException):
        raise carried
    if status == ECANCELED:
        raise Cancelled(message)
    if status == ETIMEDOUT:
        raise TimeoutError(message or "the deadline passed")
    if status == ECLOSED:
        raise Closed(message or "closed")
    if status == ENOMEM:
        raise MemoryError
    raise Error(status, message)


# ---- ops


class Op:
    """Something that finishes later; await it once."""

    def __init__(self, pointer, result=None):
        self._pointer = pointer
        self._result = result  # of the finished op: what the await gives; None: nothing

    def __del__(self):
        if self._pointer:
            _lib.eddy_unref(self._pointer)

    def __await__(self):
        return (yield self)

    def _hand_over(self):
        """Our reference becomes the consumer's."""
        pointer, self._pointer = self._pointer, None
        if pointer is None:
            raise RuntimeError("this op has been awaited already")
        return pointer

    def _outcome(self, pointer):
        status = _lib.eddy_op_status(pointer)
        if status < 0:
            _raise(status, pointer)
        return None if self._result is None else self._result(pointer)


def _value(pointer):
    return _take(_lib.eddy_op_take(pointer))


class Task(Op):
    """A coroutine that runs. Awaiting it gives what it returns or raises what it raises; dropping it lets it run on."""

    def __await__(self):
        return (yield Op(_lib.eddy_op_join(self._pointer), lambda _: _value(self._pointer)))

    def cancel(self):
        _lib.eddy_op_cancel(self._pointer)


class _Running:
    """The state of a step function."""

    def __init__(self, coroutine):
        self.coroutine = coroutine
        self.awaits = None

    def step(self, task):
        resume, argument = self.coroutine.send, None
        if self.awaits is not None:
            resume, argument = self.outcome(task)
        while True:
            try:
                self.awaits = resume(argument)
            except StopIteration as end:
                return _lib.eddy_return(task, None if end.value is None else _give(end.value), _free)
            except Cancelled as e:
                return _lib.eddy_fail_with(task, ECANCELED, str(e).encode(), None, _free)
            except BaseException as e:  # an object like any other: raised again where the task is awaited
                return _lib.eddy_fail_with(task, EUSER, repr(e).encode(), _give(e), _free)
            if _lib.eddy_await(task, self.awaits._hand_over(), 0) == WAIT:
                return WAIT
            resume, argument = self.outcome(task)

    def outcome(self, task):
        try:
            return self.coroutine.send, self.awaits._outcome(_lib.eddy_task_awaited(task))
        except BaseException as e:
            return self.coroutine.throw, e


@_STEP
def _step(task, state):
    return _objects[state].step(task)


@_FREE
def _drop_task(state):
    running = _objects.pop(state)
    running.coroutine.close()


@_WORK
def _work(work, state):
    function, arguments, box = _objects[state]
    try:
        result = function(*arguments)
        _lib.eddy_work_set(work, None if result is None else _give(result), _free, 0)
        return OK
    except BaseException as e:
        _lib.eddy_work_set(work, _give(e), _free, 0)
        return EUSER


# ---- the loop

_loop = None


def _here():
    if _loop is None:
        raise RuntimeError("eddy: nothing runs; call this inside of eddy.run()")
    return _loop


def _made(constructor, *arguments):
    out = c_void_p()
    status = constructor(*arguments, ctypes.byref(out))
    if status != OK:
        raise Error(status, "")
    return out.value


def _nanoseconds(seconds):
    return FOREVER if seconds is None else max(0, round(seconds * 1e9))


def spawn(coroutine, name=None):
    task = Task(_lib.eddy_spawn(_here(), _step, _give(_Running(coroutine)), _drop_task))
    if name is not None:
        _lib.eddy_op_set_name(task._pointer, name.encode())
    return task


def sleep(seconds):
    """None: until cancelled."""
    return Op(_lib.eddy_sleep(_here(), _nanoseconds(seconds)))


def _op_of(awaitable):
    if isinstance(awaitable, Task):
        pointer = awaitable._pointer
        return Op(_lib.eddy_op_join(pointer), lambda _: _value(pointer)), awaitable
    if isinstance(awaitable, Op):
        return awaitable, None
    task = spawn(awaitable)
    return Op(task._hand_over(), _value), None


def timeout(seconds, awaitable):
    """TimeoutError when it has not finished in time. A coroutine is cancelled then, and awaited."""
    op, keep = _op_of(awaitable)
    limited = Op(_lib.eddy_op_timeout(op._hand_over(), _nanoseconds(seconds)), op._result)
    limited._keep = keep
    return limited


def _combine(awaitables):
    ops = [_op_of(a) for a in awaitables]
    results = [op._result for op, _ in ops]
    pointers = (c_void_p * len(ops))(*[op._hand_over() for op, _ in ops])
    return pointers, results, [keep for _, keep in ops]


def gather(*awaitables):
    """All at once; a list of the results. The first error cancels the rest, which are awaited, and is raised."""
    pointers, results, keep = _combine(awaitables)

    class Gathered(Op):
        def _outcome(self, pointer):
            status = _lib.eddy_op_status(pointer)
            if status < 0:
                _raise(status, _lib.eddy_op_child(pointer, _lib.eddy_op_number(pointer)))
            children = [_lib.eddy_op_child(pointer, i) for i in range(len(results))]
            return [None if r is None else r(c) for r, c in zip(results, children)]

    op = Gathered(_lib.eddy_gather(_here(), pointers, len(results), 0))
    op._keep = keep
    return op


def to_thread(function, *arguments):
    """A function that blocks, on a worker thread."""
    return Op(_lib.eddy_offload(_here(), None, _work, _give((function, arguments, None)), _free, 0), _value)


class _Object:
    def __init__(self, pointer):
        self._pointer = pointer

    def __del__(self):
        _lib.eddy_unref(self._pointer)


class Queue(_Object):
    def __init__(self, capacity=0):
        super().__init__(_made(_lib.eddy_queue_new, _here(), capacity, _free))

    def put(self, item):
        return Op(_lib.eddy_queue_put(self._pointer, _give((item,))))

    def get(self):
        """Closed once the queue is closed and empty."""
        return Op(_lib.eddy_queue_get(self._pointer), lambda op: _value(op)[0])

    def close(self):
        _lib.eddy_queue_close(self._pointer)

    def __len__(self):
        return _lib.eddy_queue_size(self._pointer)

    def __aiter__(self):
        return self

    async def __anext__(self):
        try:
            return await self.get()
        except Closed:
            raise StopAsyncIteration from None


class Lock(_Object):
    def __init__(self):
        super().__init__(_made(_lib.eddy_mutex_new, _here()))

    async def __aenter__(self):
        await Op(_lib.eddy_mutex_lock(self._pointer))

    async def __aexit__(self, *_):
        _lib.eddy_mutex_unlock(self._pointer)


class Semaphore(_Object):
    def __init__(self, permits):
        super().__init__(_made(_lib.eddy_sem_new, _here(), permits))

    async def __aenter__(self):
        await Op(_lib.eddy_sem_acquire(self._pointer, 1))

    async def __aexit__(self, *_):
        _lib.eddy_sem_release(self._pointer, 1)


class Event(_Object):
    def __init__(self):
        super().__init__(_made(_lib.eddy_event_new, _here()))

    def wait(self):
        return Op(_lib.eddy_event_wait(self._pointer))

    def set(self):
        """From any thread."""
        _lib.eddy_event_set(self._pointer)

    def clear(self):
        _lib.eddy_event_clear(self._pointer)

    def is_set(self):
        return bool(_lib.eddy_event_is_set(self._pointer))


class Group(_Object):
    """async with Group() as g: what is spawned into it has ended when the block is left. The first error, in a task or in
    the block, cancels the tasks, and comes out at the end of the block."""

    def __init__(self):
        super().__init__(_made(_lib.eddy_group_new, _here(), 0))

    def spawn(self, coroutine):
        task = spawn(coroutine)
        _lib.eddy_group_add(self._pointer, _lib.eddy_ref(task._pointer))
        return task

    def cancel(self):
        _lib.eddy_group_cancel(self._pointer)

    async def __aenter__(self):
        return self

    async def __aexit__(self, _, error, __):
        if error is not None:
            self.cancel()
        interrupted = None
        while True:
            try:
                await Op(_lib.eddy_group_wait(self._pointer))
                break
            except Cancelled as e:  # we are; those inside are still waited for
                interrupted = e
                self.cancel()
            except BaseException:
                if error is None and interrupted is None:
                    raise
                break  # the block's own error goes on
        if interrupted is not None and error is None:
            raise interrupted
        return False


# ---- running


class _Interrupts:
    """Ctrl-C while C waits: Python's handler runs when Python does, so its wake-up descriptor enters the loop. The handler
    cancels the main task; KeyboardInterrupt is raised by run() when that has ended."""

    def __init__(self, loop, main):
        self.loop, self.main, self.came = loop, main, False
        self.active = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if not self.active:
            return
        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)
        self.before = signal.set_wakeup_fd(self.writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self.interrupted)
        self.callback = _DONE(self.readable)
        self.wait = None
        self.watch()

    def interrupted(self, *_):
        if self.came:
            raise KeyboardInterrupt
        self.came = True
        _lib.eddy_op_cancel(self.main)

    def watch(self):
        self.wait = _lib.eddy_fd_wait(self.loop, self.reader.fileno(), READABLE)
        _lib.eddy_op_then(_lib.eddy_ref(self.wait), self.callback, None, None)

    def readable(self, op, _):
        _lib.eddy_unref(self.wait)
        self.wait = None
        if _lib.eddy_op_status(op) == OK:
            self.reader.recv(4096)
            self.watch()

    def stop(self):
        if not self.active:
            return
        signal.set_wakeup_fd(self.before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.wait:
            _lib.eddy_op_cancel(self.wait)
            _lib.eddy_unref(self.wait)
            self.wait = None

    def close(self):
        if self.active:
            self.reader.close()
            self.writer.close()


def run(coroutine):
    """Runs the coroutine to its end on a loop of its own, cancels what it left behind, and gives what it returns."""
    global _loop
    if _loop is not None:
        coroutine.close()
        raise RuntimeError("eddy.run() inside of eddy.run()")
    _loop = loop = _made(_lib.eddy_loop_new, None)
    interrupts = None
    try:
        main = spawn(coroutine)
        interrupts = _Interrupts(loop, main._pointer)
        status = _lib.eddy_loop_run_until(loop, main._pointer, FOREVER)
        interrupts.stop()
        if status == PENDING or status > 0:
            raise RuntimeError("the loop ended before its main task")
        if interrupts.came and status == ECANCELED:
            raise KeyboardInterrupt
        if status < 0:
            _raise(status, main._pointer)
        return _value(main._pointer)
    finally:
        if interrupts is not None:
            interrupts.stop()
        _lib.eddy_loop_close(loop, _nanoseconds(5))
        if interrupts is not None:
            interrupts.close()
        _loop = None
        _lib.eddy_unref(loop)

"""Ctrl-C while C waits: Python's handler runs when Python does, so its wake-up descriptor enters the loop. The first one
cancels the main task, which may clean up, and KeyboardInterrupt is raised by run() when that has ended; the second one
stops the loop at once. (An exception raised inside of a ctypes callback would be lost.)"""

import signal
import socket
import threading

from ._declarations import EDDY_OK, EDDY_READABLE, eddy_done_fn
from ._library import NO_FREE, lib


class Interrupts:
    def __init__(self, loop, main):
        self.loop, self.main, self.times = loop, main, 0
        self.wait = self.callback = None
        self.active = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        )
        if not self.active:
            return
        self.reader, self.writer = socket.socketpair()
        self.reader.setblocking(False)
        self.writer.setblocking(False)
        self.callback = eddy_done_fn(self.readable)
        self.before = signal.set_wakeup_fd(self.writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, self.interrupted)
        self.watch()

    def interrupted(self, *_):
        self.times += 1
        if self.times == 1 and not self.main.done():
            self.main.cancel()
        else:
            lib.eddy_loop_stop(self.loop.pointer)
            if self.loop.running is not None:
                raise KeyboardInterrupt  # in the middle of a coroutine, whose step catches it

    def watch(self):
        self.wait = lib.eddy_fd_wait(self.loop.pointer, self.reader.fileno(), EDDY_READABLE)
        lib.eddy_op_then(lib.eddy_ref(self.wait), self.callback, None, NO_FREE)

    def readable(self, op, _):
        lib.eddy_unref(self.wait)
        self.wait = None
        if lib.eddy_op_status(op) == EDDY_OK:
            self.reader.recv(4096)
            self.watch()

    def stop(self):
        if not self.active:
            return
        self.active = False
        signal.set_wakeup_fd(self.before)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.wait:
            lib.eddy_op_cancel(self.wait)

    def close(self):
        """After the loop is closed: until then it watches the descriptor."""
        self.main = self.callback = None  # which refer to us, or to values
        if self.wait:
            lib.eddy_unref(self.wait)
            self.wait = None
        if hasattr(self, "reader"):
            self.reader.close()
            self.writer.close()

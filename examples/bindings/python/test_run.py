"""EDDY_LIBRARY=…/libeddy.so.0 python3 test_run.py: how a program begins and ends, and what is around it."""

import contextvars
import gc
import os
import signal
import threading
import time
import unittest

import eddy


class Running(unittest.TestCase):
    def tearDown(self):
        gc.collect()
        self.assertEqual(eddy._objects.objects, {}, "objects were left behind")

    def test_what_fails_unseen_is_reported(self):
        error, seen = ValueError("unseen"), []

        async def fails():
            raise error

        async def main():
            eddy.spawn(fails(), "lonely")
            await eddy.sleep(0.001)

        eddy.run(main(), on_unhandled=lambda e, name: seen.append((e, name)))
        self.assertEqual(seen, [(error, "lonely")])

    def test_context_is_the_task_s_own(self):
        variable = contextvars.ContextVar("variable", default=0)

        async def child():
            self.assertEqual(variable.get(), 1)
            variable.set(2)
            await eddy.sleep(0)
            self.assertEqual(variable.get(), 2)
            self.assertEqual(await eddy.to_thread(variable.get), 2)

        async def main():
            variable.set(1)
            await eddy.spawn(child())
            self.assertEqual(variable.get(), 1)

        eddy.run(main())

    def test_dropped_generators_are_closed(self):
        closed = []

        async def numbers(name):
            try:
                yield 1
                yield 2
            finally:
                await eddy.sleep(0.001)
                closed.append(name)

        async def main():
            async for _ in numbers("dropped"):
                break
            while not closed:
                await eddy.sleep(0.001)
            self.kept = numbers("kept")
            await self.kept.__anext__()

        eddy.run(main())
        self.assertEqual(closed, ["dropped", "kept"])

    def test_deadlock_is_an_error(self):
        """Not on the main thread, where Ctrl-C may always come."""
        errors = []

        async def waits_for_nobody():
            event = eddy.Event()
            await event.wait()

        def run():
            with self.assertRaises(RuntimeError) as caught:
                eddy.run(waits_for_nobody())
            errors.append(str(caught.exception))

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual(errors, ["nothing can finish the main task any more"])

    def test_exit_leaves_by_the_shortest_way(self):
        cleaned = []

        async def other():
            try:
                await eddy.sleep(60)
            finally:
                cleaned.append(1)

        async def exits():
            await eddy.sleep(0.001)
            raise SystemExit(3)

        async def main():
            eddy.spawn(other())
            eddy.spawn(exits())
            await eddy.sleep(60)

        with self.assertRaises(SystemExit) as caught:
            eddy.run(main(), on_unhandled=lambda *_: None)
        self.assertEqual(caught.exception.code, 3)
        self.assertEqual(cleaned, [1])

    def test_control_c(self):
        cleaned = []

        async def main():
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            try:
                await eddy.sleep(60)
            finally:
                await eddy.sleep(0.001)
                cleaned.append(1)

        began = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            eddy.run(main())
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(cleaned, [1])

    def test_second_control_c_does_not_wait(self):
        async def main():
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            while True:
                try:
                    await eddy.sleep(60)
                except eddy.Cancelled:
                    os.kill(os.getpid(), signal.SIGINT)  # the second one, while this one refuses the first

        with self.assertRaises(KeyboardInterrupt):
            eddy.run(main())
        self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)

    def test_two_threads_have_a_loop_each(self):
        results = []

        async def main(value):
            await eddy.sleep(0.002)
            return value

        threads = [threading.Thread(target=lambda i=i: results.append(eddy.run(main(i)))) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(results), [0, 1, 2])

    def test_busy_thread_does_not_stop_the_loop(self):
        """Short calls keep Python's lock: with a thread that is busy in Python, giving it up costs 5 ms a call."""
        stop = threading.Event()

        def busy():
            while not stop.is_set():
                pass

        async def main():
            queue = eddy.Queue()
            for i in range(2000):
                await queue.put(i)
                await queue.get()

        thread = threading.Thread(target=busy)
        thread.start()
        began = time.monotonic()
        try:
            eddy.run(main())
        finally:
            stop.set()
            thread.join()
        self.assertLess(time.monotonic() - began, 10)  # 4,000 calls that give it up would be 20 s and more

    def test_leftovers_are_cancelled(self):
        ended = []

        async def left():
            try:
                await eddy.sleep(60)
            finally:
                ended.append(1)

        async def main():
            eddy.spawn(left())
            await eddy.sleep(0.001)

        eddy.run(main())
        self.assertEqual(ended, [1])


if __name__ == "__main__":
    unittest.main()

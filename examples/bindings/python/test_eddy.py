"""EDDY_LIBRARY=…/libeddy.so.0 python3 test_eddy.py"""

import os
import signal
import threading
import time
import unittest

import eddy


class Binding(unittest.TestCase):
    def tearDown(self):
        self.assertEqual(eddy._objects, {}, "objects were left behind")

    def test_value_and_exception_are_the_very_same(self):
        thing, error = object(), KeyError("x")

        async def gives():
            await eddy.sleep(0.001)
            return thing

        async def fails():
            raise error

        async def main():
            self.assertIs(await eddy.spawn(gives(), "giver"), thing)
            with self.assertRaises(KeyError) as caught:
                await eddy.spawn(fails())
            self.assertIs(caught.exception, error)
            return thing

        self.assertIs(eddy.run(main()), thing)
        with self.assertRaises(KeyError) as caught:
            eddy.run(fails())
        self.assertIs(caught.exception, error)

    def test_gather(self):
        async def after(seconds, value):
            await eddy.sleep(seconds)
            return value

        ended = []

        async def long():
            try:
                await eddy.sleep(60)
            except eddy.Cancelled:
                await eddy.sleep(0.001)  # cleaning up may wait
                ended.append(1)
                raise

        async def fails():
            await eddy.sleep(0.001)
            raise ValueError("no")

        async def main():
            task = eddy.spawn(after(0.001, 3))
            self.assertEqual(await eddy.gather(after(0.003, 1), after(0.001, 2), task), [1, 2, 3])
            with self.assertRaises(ValueError):
                await eddy.gather(long(), fails())
            self.assertEqual(ended, [1])

        eddy.run(main())

    def test_timeout_and_shared_things(self):
        async def main():
            with self.assertRaises(TimeoutError):
                await eddy.timeout(0.002, eddy.sleep(None))
            lock, order = eddy.Lock(), []

            async def locked(name):
                async with lock:
                    order.append(name)
                    await eddy.sleep(0.001)

            await eddy.gather(*[locked(i) for i in range(5)])
            self.assertEqual(order, [0, 1, 2, 3, 4])
            event, slots, most, now = eddy.Event(), eddy.Semaphore(2), [0], [0]

            async def limited():
                await event.wait()
                async with slots:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                    await eddy.sleep(0.001)
                    now[0] -= 1

            async with eddy.Group() as group:
                for _ in range(6):
                    group.spawn(limited())
                await eddy.sleep(0.001)
                event.set()
            self.assertTrue(event.is_set())
            self.assertEqual(most, [2])

        eddy.run(main())

    def test_queue(self):
        async def main():
            queue, got = eddy.Queue(1), []

            async def consume():
                async for item in queue:
                    got.append(item)

            async with eddy.Group() as group:
                group.spawn(consume())
                for i in range(10):
                    await queue.put(i)
                queue.close()
            self.assertEqual(got, list(range(10)))
            with self.assertRaises(eddy.Closed):
                await queue.get()
            left = eddy.Queue()
            await left.put("nobody takes it")
            self.assertEqual(len(left), 1)

        eddy.run(main())

    def test_group_error(self):
        async def main():
            ended = []

            async def long():
                try:
                    await eddy.sleep(60)
                finally:
                    ended.append(1)

            async def fails():
                await eddy.sleep(0.001)
                raise ValueError("no")

            with self.assertRaises(ValueError):
                async with eddy.Group() as group:
                    group.spawn(long())
                    group.spawn(fails())
            with self.assertRaises(KeyError):
                async with eddy.Group() as group:
                    group.spawn(long())
                    await eddy.sleep(0.001)
                    raise KeyError("block")
            self.assertEqual(ended, [1, 1])

        eddy.run(main())

    def test_cancel(self):
        async def main():
            seen = []

            async def stubborn():
                try:
                    await eddy.sleep(60)
                except eddy.Cancelled:
                    seen.append("told")
                await eddy.sleep(0.001)
                return "finished"

            task = eddy.spawn(stubborn())
            await eddy.sleep(0.001)
            task.cancel()
            self.assertEqual(await task, "finished")
            self.assertEqual(seen, ["told"])

        eddy.run(main())

    def test_to_thread(self):
        async def main():
            self.assertNotEqual(await eddy.to_thread(threading.get_ident), threading.get_ident())
            with self.assertRaises(ZeroDivisionError):
                await eddy.to_thread(lambda: 1 / 0)

        eddy.run(main())

    def test_control_c(self):
        cleaned = []

        async def main():
            try:
                await eddy.sleep(60)
            finally:
                await eddy.sleep(0.001)
                cleaned.append(1)

        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        began = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            eddy.run(main())
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(cleaned, [1])

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

"""EDDY_LIBRARY=…/libeddy.so.0 python3 test_eddy.py"""

import gc
import threading
import unittest

import eddy


class Binding(unittest.TestCase):
    def tearDown(self):
        gc.collect()
        self.assertEqual(eddy._objects.objects, {}, "objects were left behind")

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

    def test_a_failed_member_interrupts_the_block(self):
        async def fails(error):
            await eddy.sleep(0.001)
            raise error

        async def main():
            cleaned, error = [], ValueError("of a member")
            with self.assertRaises(ValueError) as caught:
                async with eddy.Group() as group:
                    group.spawn(fails(error))
                    try:
                        await eddy.Event().wait()
                    finally:
                        await eddy.sleep(0.001)  # cleaning up may wait
                        cleaned.append(1)
            self.assertIs(caught.exception, error)
            self.assertEqual(cleaned, [1])
            # In a block inside of the block: both end, the outer one with its member's error.
            with self.assertRaises(ValueError):
                async with eddy.Group() as outer:
                    outer.spawn(fails(error))
                    async with eddy.Group() as inner:
                        task = inner.spawn(sleeps())
                        await eddy.sleep(None)
            self.assertTrue(task.done())
            # Both at once, and the inner error is handled: the outer block ends all the same.
            with self.assertRaises(ValueError):
                async with eddy.Group() as outer:
                    outer.spawn(fails(error))
                    try:
                        async with eddy.Group() as inner:
                            inner.spawn(fails(KeyError("inner")))
                            await eddy.sleep(None)
                    except KeyError:
                        pass
                    await eddy.sleep(None)
            # Who is cancelled from outside at the same time stays cancelled.
            task = eddy.spawn(in_a_group(error))
            await eddy.sleep(0)
            task.cancel()
            with self.assertRaises(eddy.Cancelled):
                await task

        async def sleeps():
            await eddy.sleep(None)

        async def in_a_group(error):
            async with eddy.Group() as group:
                group.spawn(fails_at_once(error))
                await eddy.sleep(None)

        async def fails_at_once(error):
            raise error

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

    def test_a_task_is_awaited_as_often_as_you_like(self):
        error = KeyError("x")

        async def gives():
            return [1]

        async def fails():
            raise error

        async def main():
            task, bad = eddy.spawn(gives(), "giver"), eddy.spawn(fails())
            self.assertEqual(task.name, "giver")
            self.assertFalse(task.done())
            with self.assertRaises(RuntimeError):
                task.result()
            self.assertIs(await task, await task)
            self.assertTrue(task.done())
            self.assertEqual(task.result(), [1])
            for _ in range(2):
                with self.assertRaises(KeyError) as caught:
                    await bad
                self.assertIs(caught.exception, error)

        eddy.run(main())

    def test_mistakes_are_raised_where_they_are_made(self):
        async def main():
            op = eddy.sleep(0)
            await op
            with self.assertRaisesRegex(RuntimeError, "awaited already"):
                await op

            class Foreign:
                def __await__(self):
                    yield "something else"

            with self.assertRaisesRegex(TypeError, "something else"):
                await Foreign()
            with self.assertRaises(TypeError):
                eddy.spawn("no coroutine")
            with self.assertRaises(RuntimeError):
                eddy.run(asyncio_like())
            lock = eddy.Lock()
            with self.assertRaises(eddy.Error) as caught:
                lock.release()
            self.assertEqual(caught.exception.status, -10008)
            return "still well"

        async def asyncio_like():
            pass

        self.assertEqual(eddy.run(main()), "still well")
        with self.assertRaisesRegex(RuntimeError, "no loop runs"):
            eddy.sleep(1)

    def test_race_and_shield(self):
        async def after(seconds, value):
            await eddy.sleep(seconds)
            return value

        async def after_event(event, value):
            await event.wait()
            return value

        async def main():
            self.assertEqual(await eddy.race(eddy.sleep(None), after(0.001, "b"), eddy.Event().wait()), (1, "b"))
            whole = eddy.gather(after(0.001, 1), after(0, 2))
            self.assertEqual(await eddy.race(eddy.sleep(60), whole), (1, [1, 2]))
            self.assertEqual(await eddy.shield(eddy.gather(after(0.001, 1), after(0, 2))), [1, 2])
            event = eddy.Event()
            task = eddy.spawn(after_event(event, "went on"))
            with self.assertRaises(TimeoutError):
                await eddy.timeout(0.001, eddy.shield(task))
            with self.assertRaises(TimeoutError):
                await eddy.timeout(0.001, task)
            event.set()
            self.assertEqual(await task, "went on")

        eddy.run(main())

    def test_try_and_threadsafe(self):
        async def main():
            queue, lock, slots = eddy.Queue(1), eddy.Lock(), eddy.Semaphore(3)
            self.assertTrue(queue.try_put(1))
            self.assertFalse(queue.try_put(2))
            thread = threading.Thread(target=queue.put_threadsafe, args=(3,))
            thread.start()
            self.assertEqual([await queue.get(), await queue.get()], [1, 3])
            thread.join()
            queue.done()
            queue.done()
            await queue.join()
            with self.assertRaises(eddy.Error):
                queue.done()
            self.assertTrue(lock.try_acquire())
            self.assertFalse(lock.try_acquire())
            lock.release()
            await slots.acquire(2)
            self.assertFalse(slots.try_acquire(2))
            slots.release(2)
            queue.close()
            with self.assertRaises(eddy.Closed):
                queue.try_put(4)

        eddy.run(main())

    def test_what_is_seen_from_outside(self):
        async def waits():
            self.assertEqual(eddy.current_task().name, "waiter")
            await eddy.sleep(60)

        async def main():
            before = eddy.now()
            task = eddy.spawn(waits(), "waiter")
            await eddy.sleep(0.002)
            self.assertGreaterEqual(eddy.now() - before, 0.002)
            self.assertIn(task, eddy.tasks())
            self.assertRegex(eddy.dump(), "waiter.*sleep")

        eddy.run(main())

    def test_what_is_waited_for_lives(self):
        async def main():
            with self.assertRaises(TimeoutError):
                await eddy.timeout(0.001, eddy.Event().wait())
            with self.assertRaises(TimeoutError):
                await eddy.timeout(0.001, eddy.gather(eddy.Queue().get(), eddy.sleep(None)))

        eddy.run(main())

    def test_rings_of_errors_and_frames_are_collected(self):
        """A traceback leads to a frame, the frame to the task that failed, and the task to the error."""

        async def fails():
            raise ValueError("ring")

        async def through_a_task():
            task = eddy.spawn(fails())
            await task

        async def through_a_group():
            async with eddy.Group() as group:
                task = group.spawn(fails())
                await eddy.sleep(0.001)
                await task

        async def through_a_gather():
            both = eddy.gather(fails(), through_a_task())
            await both

        async def main():
            before = len(eddy._objects.objects)
            for through in (through_a_task, through_a_group, through_a_gather):
                with self.assertRaises(ValueError):
                    await eddy.spawn(through())
            await eddy.sleep(0)
            gc.collect()
            self.assertEqual(len(eddy._objects.objects), before)

        eddy.run(main())


if __name__ == "__main__":
    unittest.main()

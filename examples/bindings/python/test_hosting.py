"""EDDY_LIBRARY=…/libeddy.so.0 python3 test_hosting.py"""

import asyncio
import gc
import unittest

import eddy
import eddy.hosting


class InsideAsyncio(unittest.TestCase):
    def tearDown(self):
        gc.collect()
        self.assertEqual(eddy._objects.objects, {}, "objects were left behind")

    def test_both_wait_for_each_other(self):
        error = KeyError("the same")

        async def of_eddy(queue):
            await queue.put(1)
            self.assertEqual(await eddy.hosting.of_asyncio(asyncio.sleep(0.001, "from asyncio")), "from asyncio")
            await eddy.sleep(0.001)
            await queue.put(2)
            with self.assertRaises(KeyError) as caught:
                await eddy.hosting.of_asyncio(fails_in_asyncio())
            self.assertIs(caught.exception, error)
            queue.close()
            raise error

        async def fails_in_asyncio():
            await asyncio.sleep(0)
            raise error

        async def gets(queue):
            return [item async for item in queue]

        async def main():
            async with eddy.hosting.Host() as host:
                queue = eddy.Queue(1)
                got, failed = await asyncio.gather(
                    host.run(gets(queue)), host.run(of_eddy(queue)), return_exceptions=True
                )
                self.assertEqual(got, [1, 2])
                self.assertIs(failed, error)

        asyncio.run(main())

    def test_cancelled_from_either_side(self):
        seen, started = [], asyncio.Event()

        async def of_eddy():
            started.set()
            try:
                await eddy.sleep(60)
            except eddy.Cancelled:
                await eddy.sleep(0.001)
                seen.append("eddy cleaned up")
                raise

        async def waits_for_asyncio():
            try:
                await eddy.hosting.of_asyncio(of_asyncio())
            except eddy.Cancelled:
                seen.append("eddy told")
                raise

        async def of_asyncio():
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                seen.append("asyncio told")
                raise

        async def main():
            async def begun():
                await started.wait()
                started.clear()

            async with eddy.hosting.Host() as host:
                running = asyncio.ensure_future(host.run(of_eddy()))
                await begun()
                with self.assertRaises(asyncio.TimeoutError):
                    await asyncio.wait_for(running, 0.002)
                self.assertEqual(seen, ["eddy cleaned up"])
                task = host.spawn(waits_for_asyncio())
                await begun()
                task.cancel()
                with self.assertRaises(asyncio.CancelledError):
                    await host.run(task)
                self.assertEqual(seen[1:], ["asyncio told", "eddy told"])
                host.spawn(of_eddy())
                await begun()
            self.assertEqual(seen[3:], ["eddy cleaned up"])

        asyncio.run(main())


if __name__ == "__main__":
    unittest.main()

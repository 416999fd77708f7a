#!/usr/bin/env python3
"""This binding beside asyncio on five workloads, in one run: they take turns, and each figure is the median of its turns.

usage: EDDY_LIBRARY=…/libeddy.so.0 compare.py [--turns N] [--scale X]

Microseconds of CPU (W5: of wall time) an operation, and asyncio's divided by eddy's: above 1, eddy is faster. What ctypes
costs is in eddy's: a call of C about 0.3 us, a callback 0.7 us.
"""

import argparse
import asyncio
import statistics
import sys
import time

import eddy


def timed(clock, run, coroutine_function, *arguments):
    """Seconds that the coroutine took inside of its loop."""
    took = []

    async def main():
        began = clock()
        await coroutine_function(*arguments)
        took.append(clock() - began)

    run(main())
    return took[0]


# ---- W1: a thousand tasks take turns


async def yield_eddy(n):
    async def one():
        for _ in range(n // 1000):
            await eddy.sleep(0)

    await eddy.gather(*[one() for _ in range(1000)])


async def yield_asyncio(n):
    async def one():
        for _ in range(n // 1000):
            await asyncio.sleep(0)

    await asyncio.gather(*[one() for _ in range(1000)])


# ---- W2: make a task and await it


async def nothing():
    pass


async def spawn_eddy(n):
    for _ in range(n):
        await eddy.spawn(nothing())


async def spawn_asyncio(n):
    for _ in range(n):
        await asyncio.create_task(nothing())


# ---- W3: one producer, fifty consumers, a queue of ten


async def queue_eddy(n):
    queue = eddy.Queue(10)

    async def consume():
        async for _ in queue:
            pass

    async with eddy.Group() as group:
        for _ in range(50):
            group.spawn(consume())
        for i in range(n):
            await queue.put(i)
        queue.close()


async def queue_asyncio(n):
    queue = asyncio.Queue(10)

    async def consume():
        while await queue.get() is not None:  # a queue that closes is new in Python 3.13
            pass

    consumers = [asyncio.create_task(consume()) for _ in range(50)]
    for i in range(n):
        await queue.put(i)
    for _ in consumers:
        await queue.put(None)
    await asyncio.gather(*consumers)


# ---- W4: a time limit around something that ends at once


async def limit_eddy(n):
    for _ in range(n):
        await eddy.timeout(60, eddy.sleep(0))


async def limit_asyncio(n):
    for _ in range(n):
        await asyncio.wait_for(asyncio.sleep(0), 60)


# ---- W5: a function on another thread, ten at a time


async def thread_eddy(n):
    async def ten():
        for _ in range(n // 10):
            await eddy.to_thread(int)

    await eddy.gather(*[ten() for _ in range(10)])


async def thread_asyncio(n):
    async def ten():
        for _ in range(n // 10):
            await asyncio.to_thread(int)

    await asyncio.gather(*[ten() for _ in range(10)])


WORKLOADS = (
    ("W1", "sleep(0), 1,000 tasks", 200_000, yield_eddy, yield_asyncio, time.process_time),
    ("W2", "spawn and await", 50_000, spawn_eddy, spawn_asyncio, time.process_time),
    ("W3", "queue of 10, 1 to 50", 50_000, queue_eddy, queue_asyncio, time.process_time),
    ("W4", "timeout around sleep(0)", 50_000, limit_eddy, limit_asyncio, time.process_time),
    ("W5", "to_thread, 10 in flight", 10_000, thread_eddy, thread_asyncio, time.perf_counter),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="a part of the full size")
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, us an operation, median of {options.turns}")
    print(f"{'':<4}{'':<26}{'eddy':>8}{'asyncio':>9}{'asyncio / eddy':>16}")
    for name, what, n, of_eddy, of_asyncio, clock in WORKLOADS:
        n = max(1000, int(n * options.scale) // 1000 * 1000)
        samples = {eddy: [], asyncio: []}
        for _ in range(options.turns):
            for module, workload in ((eddy, of_eddy), (asyncio, of_asyncio)):
                samples[module].append(timed(clock, module.run, workload, n) / n * 1e6)
        a, b = statistics.median(samples[eddy]), statistics.median(samples[asyncio])
        print(f"{name:<4}{what:<26}{a:>8.2f}{b:>9.2f}{b / a:>16.2f}", flush=True)


if __name__ == "__main__":
    main()

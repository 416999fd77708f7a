"""One producer, fifty consumers, a thousand jobs with a time limit each, and a function on another thread."""

import eddy

done = late = 0


async def job(number):
    await eddy.sleep(3600 if number % 100 == 99 else number / 1e6)


async def consume(queue):
    global done, late
    async for number in queue:
        try:
            await eddy.timeout(0.2, job(number))
            done += 1
        except TimeoutError:
            late += 1


async def produce(queue):
    for number in range(1000):
        await queue.put(number)
    queue.close()


async def main():
    queue = eddy.Queue(10)
    async with eddy.Group() as group:
        group.spawn(produce(queue))
        for _ in range(50):
            group.spawn(consume(queue))
    print(f"{done} done, {late} too late")
    print(await eddy.to_thread(sum, range(1000)))


eddy.run(main())

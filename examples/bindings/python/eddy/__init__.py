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

from ._combine import gather, race, shield, timeout
from ._errors import Cancelled, Closed, Error
from ._group import Group
from ._loop import dump, now
from ._op import Op, sleep
from ._run import run
from ._sync import Event, Lock, Queue, Semaphore
from ._task import Task, current_task, spawn, tasks
from ._threads import to_thread

__all__ = [
    "Cancelled",
    "Closed",
    "Error",
    "Event",
    "Group",
    "Lock",
    "Op",
    "Queue",
    "Semaphore",
    "Task",
    "current_task",
    "dump",
    "gather",
    "now",
    "race",
    "run",
    "shield",
    "sleep",
    "spawn",
    "tasks",
    "timeout",
    "to_thread",
]

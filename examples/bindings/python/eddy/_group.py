"""Tasks that do not outlive a block."""

from ._errors import Cancelled
from ._library import lib, made
from ._loop import here, loop_here
from ._op import Op
from ._sync import Object
from ._task import spawn


class Group(Object):
    """async with Group() as g: what is spawned into it has ended when the block is left. The first error, in a task or in
    the block, cancels the rest, and comes out at the end of the block: an await in the block is interrupted too."""

    def __init__(self):
        super().__init__(made(lib.eddy_group_new, here(), 0))
        self._owner = None  # the task in the block

    def spawn(self, coroutine, name=None):
        """In a group that was cancelled or has failed, the task ends as cancelled without having begun."""
        task = spawn(coroutine, name)
        task._running.group = self
        lib.eddy_group_add(self._pointer, lib.eddy_ref(task._pointer))
        return task

    def cancel(self):
        """The tasks, for good."""
        lib.eddy_group_cancel(self._pointer)

    def member_failed(self):
        if self._owner is not None:
            self._owner.interrupt(self)

    def __len__(self):
        """Tasks that have not ended."""
        return lib.eddy_group_size(self._pointer)

    async def __aenter__(self):
        self._owner = loop_here().running
        if self._owner is None:
            raise RuntimeError("the block of a group belongs into a task of eddy")
        return self

    async def __aexit__(self, _, error, __):
        owner, self._owner = self._owner, None
        owner.interrupts -= {self}
        if error is not None:
            self.cancel()
        if isinstance(error, Cancelled) and self in error.groups and not error.requested:
            owner.interrupts |= error.groups - {self}  # other blocks around this one
            error = None  # because of a member, whose error comes out
        interrupted = None
        while True:
            try:
                await Op(lib.eddy_group_wait(self._pointer))
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
        return error is None

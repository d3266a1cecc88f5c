"""All serving processes of one service."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from sidecar.processes.link import Link
from sidecar.processes.signs import SIGN_SECONDS
from sidecar.processes.supervisor import LAST_SECONDS, MakeEnd, ServingProcess


class Group:
    """The serving processes, each kept alive by a task while `running` lasts."""

    def __init__(self) -> None:
        self.processes: Sequence[ServingProcess] = ()
        self.code = 0
        """The exit code, once `failed` is set."""
        self.failed = asyncio.Event()
        """Set once a process ended so often that the service must end."""
        self.serving = asyncio.Event()
        """Set once every process has served."""

    @property
    def links(self) -> Sequence[Link]:
        """Links to the processes that serve now."""
        return [one.link for one in self.processes if one.url and one.link is not None]

    @property
    def url(self) -> str:
        """The address of the service; blank while no process serves."""
        return next((one.url for one in self.processes if one.url), "")

    @property
    def restarts(self) -> int:
        """Count the starts beyond the first of each process."""
        return sum(max(0, one.starts - 1) for one in self.processes)

    def _changed(self) -> None:
        if all(one.url for one in self.processes):
            self.serving.set()

    @asynccontextmanager
    async def running(self, processes: Sequence[ServingProcess], end: MakeEnd) -> AsyncIterator[None]:
        """Keep the processes alive during the block; those that still run at its end are killed."""
        self.processes = processes
        tasks = [asyncio.create_task(self._watch(), name="watch over processes")]
        tasks += [asyncio.create_task(self._keep(one, end), name=f"process {one.index}") for one in processes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _keep(self, process: ServingProcess, end: MakeEnd) -> None:
        if code := await process.keep(end, self._changed):
            self.code = code
            self.failed.set()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(SIGN_SECONDS)
            for one in self.processes:
                one.end_if_stuck()

    def reload(self) -> None:
        """Have each process read again what can be."""
        for one in self.processes:
            if one.url:
                one.send(signal.SIGHUP)

    async def stop(self, grace: float, *, last: bool) -> None:
        """Have the processes finish what they accepted within `grace` seconds; return when they have ended.

        `last`: new connections have no other server and are answered until the end.
        """
        for one in self.processes:
            one.stop(grace, last=last)
        await asyncio.gather(*(one.ended(grace + LAST_SECONDS) for one in self.processes))

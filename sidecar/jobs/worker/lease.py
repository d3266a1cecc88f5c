"""One run of one job: taken under a lease, kept while it lasts, ended or put back. What is worked is the engine's.

A lease is what makes a killed worker's job free again soon, whatever the job's time limit. While Redis is away
nobody can take a job, so a run goes on, and waits only where it needs Redis.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from sidecar.core.contract import Request, sendable
from sidecar.core.errors import JobsUnavailable, SidecarError
from sidecar.jobs import scripts
from sidecar.jobs.redis import spoken
from sidecar.jobs.store import TEXT_SECONDS, JobStore

LEASE_SECONDS: Final = 15.0
RENEW_SECONDS: Final = 5.0
MOST_CRASHES: Final = 20
"""Restarts of one job after a crash; a text that ends every worker must not do so for ever."""
PART_SECONDS: Final = TEXT_SECONDS
_ANSWER_SECONDS: Final = 10.0
"""What Redis may take for one answer before it counts as away."""
_RENEWAL_SECONDS: Final = 2.0
"""The same for a renewal, of which a second one must fit into the lease where a connection is dead."""
_AGAIN_SECONDS: Final = 0.5

_decoder: Final = msgspec.json.Decoder(Request)
Result = TypeVar("Result")


class Stopped(Exception):
    """The job is over for this run: cancelled, or ended by another."""


class Held(Exception):
    """Another run is at the job, for `seconds` more unless it renews."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__()


class Runs:
    """Begins runs of the jobs in `store`."""

    def __init__(self, store: JobStore, *, keep_seconds: float) -> None:
        script = store.redis.register_script
        self.store = store
        self.keep_ms = int(keep_seconds * 1000)
        self.scripts = {
            name: script(getattr(scripts, name)) for name in ("BEGIN", "RENEW", "KEEP", "FINISH", "PUT_BACK")
        }

    async def begin(self, name: str, owner: str = "") -> "Run":
        """The run of the job that arq knows as `name`; raises `Stopped` where there is nothing to do, or `Held`.

        Who asks again because he heard no answer does so as the same `owner`.
        """
        job_id, _, gen = name.partition(".")
        owner = owner or secrets.token_hex(8)
        lease = int(LEASE_SECONDS * 1000)
        async with spoken(_ANSWER_SECONDS):
            said = await self.scripts["BEGIN"](
                (), [self.store.names.prefix, job_id, gen, owner, lease, MOST_CRASHES, self.keep_ms]
            )
        if said[0] == b"held":
            raise Held(max(0.0, said[1] / 1000))
        if said[0] != b"go":
            raise Stopped
        return Run(self, job_id, gen, owner, _decoder.decode(said[1]), tries=said[2], crashes=said[3])


class Run:
    """A job under way; the place where the engine keeps its finished parts."""

    def __init__(
        self, runs: Runs, job_id: str, gen: str, owner: str, request: Request, *, tries: int, crashes: int
    ) -> None:
        self.job_id = job_id
        self.request = request
        self.tries = tries
        """Tries before this one that failed."""
        self.crashes = crashes
        self._runs = runs
        self._names = runs.store.names
        self._who = (self._names.prefix, job_id, gen)
        self._owner = owner
        self._last = (0, 0)

    async def renew(self) -> None:
        """Hold the lease for another while; raises `Stopped` where the job is over, `Held` where it is another's."""
        self._mind(await self._say("RENEW", self._owner, int(LEASE_SECONDS * 1000), limit=_RENEWAL_SECONDS))

    async def find(self, key: bytes) -> str | None:
        """A finished part; waits for Redis where it is away, since what it may hold was paid for."""

        async def get() -> bytes | None:
            async with spoken(_ANSWER_SECONDS):
                found: bytes | None = await self._runs.store.redis.get(self._names.part(key))
                return found

        found = await retry_until_heard(get)
        return None if found is None else found.decode()

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None:
        """Keep a finished part, however long Redis is away; raises `Stopped` where the job was cancelled."""
        if key is None:
            # The answer itself, which is told with the end: a round trip less for each job.
            self._last = (done, total)
            return
        words = (self._names.part(key), sendable(text), int(PART_SECONDS * 1000), done, total)
        self._mind(await retry_until_heard(lambda: self._say("KEEP", *words)))

    async def complete(self, text: str) -> None:
        """Give the job its answer, however long Redis is away."""
        await retry_until_heard(lambda: self._finish("complete", data=sendable(text)))

    async def fail(self, error: SidecarError) -> None:
        """End the job without one; raises `Held` where another run is at it."""
        self._mind(
            await retry_until_heard(lambda: self._finish("failed", error=str(error), code=error.code)), over=True
        )

    async def put_back(self, *, failed: bool) -> None:
        """Let the job wait again; `failed` where a try was used up."""
        await self._say("PUT_BACK", self._owner, int(failed))

    async def _finish(self, status: str, *, data: str = "", error: str = "", code: str = "") -> Any:
        return await self._say("FINISH", self._owner, status, data, error, code, self._runs.keep_ms, *self._last)

    @staticmethod
    def _mind(said: bytes, *, over: bool = False) -> None:
        if said == b"lost":
            raise Held(LEASE_SECONDS)
        if said == b"ended" and not over:
            raise Stopped

    async def _say(self, script: str, *words: str | float, limit: float = _ANSWER_SECONDS) -> Any:
        async with spoken(limit):
            return await self._runs.scripts[script]((), [*self._who, *words])


async def retry_until_heard(say: Callable[[], Awaitable[Result]]) -> Result:
    """What `say` gives once Redis answers; who calls bounds it."""
    while True:
        try:
            return await say()
        except JobsUnavailable:
            await asyncio.sleep(_AGAIN_SECONDS)

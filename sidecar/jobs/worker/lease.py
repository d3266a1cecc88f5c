"""Lease of one run of one job: begun, renewed, ended or put back. The engine does the work.

A lease frees a killed worker's job soon, whatever the job's time limit. While Redis is away, every other worker is
locked out too, so a run goes on and waits only where the run needs Redis.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec

from sidecar.core.contract import Request, sendable
from sidecar.core.errors import JobsUnavailable, SidecarError
from sidecar.jobs import scripts
from sidecar.jobs.redis import bounded
from sidecar.jobs.store import TEXT_SECONDS, JobStore

LEASE_SECONDS: Final = 15.0
RENEW_SECONDS: Final = 5.0
MOST_CRASHES: Final = 20
"""Restarts of one job after a crash; a text that ends every worker must fail some day."""
PART_SECONDS: Final = TEXT_SECONDS
_ANSWER_SECONDS: Final = 10.0
"""Seconds that Redis may take for one answer before Redis counts as away."""
_RENEWAL_SECONDS: Final = 2.0
"""The same for a renewal: where a connection is dead, a second renewal must fit into the lease."""
_AGAIN_SECONDS: Final = 0.5

_decoder: Final = msgspec.json.Decoder(Request)
Result = TypeVar("Result")


class Stopped(Exception):
    """Job that is over for this run: cancelled, or ended by another run."""


class Held(Exception):
    """Job that another run holds, for `seconds` more unless that run renews."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        super().__init__()


class Runs:
    """Begin runs of the jobs in `store`."""

    def __init__(self, store: JobStore, *, keep_seconds: float) -> None:
        script = store.redis.register_script
        self.store = store
        self.keep_ms = int(keep_seconds * 1000)
        self.scripts = {
            name: script(getattr(scripts, name)) for name in ("BEGIN", "RENEW", "KEEP", "FINISH", "PUT_BACK")
        }

    async def begin(self, name: str, owner: str = "") -> "Run":
        """Begin a run of the job that arq knows as `name`; raise `Stopped` where the job is over, or `Held`.

        A caller that got no answer calls again with the same `owner`.
        """
        job_id, _, gen = name.partition(".")
        owner = owner or secrets.token_hex(8)
        lease = int(LEASE_SECONDS * 1000)
        async with bounded(_ANSWER_SECONDS):
            reply = await self.scripts["BEGIN"](
                (), [self.store.names.prefix, job_id, gen, owner, lease, MOST_CRASHES, self.keep_ms]
            )
        if reply[0] == b"held":
            raise Held(max(0.0, reply[1] / 1000))
        if reply[0] != b"go":
            raise Stopped
        return Run(self, job_id, gen, owner, _decoder.decode(reply[1]), tries=reply[2], crashes=reply[3])


class Run:
    """Run of a job; the engine's port for finished parts."""

    def __init__(
        self, runs: Runs, job_id: str, gen: str, owner: str, request: Request, *, tries: int, crashes: int
    ) -> None:
        self.job_id = job_id
        self.request = request
        self.tries = tries
        """Failed tries before this one."""
        self.crashes = crashes
        self._runs = runs
        self._names = runs.store.names
        self._who = (self._names.prefix, job_id, gen)
        self._owner = owner
        self._last = (0, 0)

    async def renew(self) -> None:
        """Renew the lease; raise `Stopped` where the job is over, `Held` where another run has the job."""
        self._raise_unless_held(
            await self._call("RENEW", self._owner, int(LEASE_SECONDS * 1000), limit=_RENEWAL_SECONDS)
        )

    async def find(self, key: bytes) -> str | None:
        """Return a finished part; wait while Redis is away, since the part may have been paid for."""

        async def get() -> bytes | None:
            async with bounded(_ANSWER_SECONDS):
                found: bytes | None = await self._runs.store.redis.get(self._names.part(key))
                return found

        found = await retry_until_heard(get)
        return None if found is None else found.decode()

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None:
        """Store a finished part, however long Redis is away; raise `Stopped` where the job is over."""
        if key is None:
            # The answer itself is stored by `complete`: a round trip less for each job.
            self._last = (done, total)
            return
        args = (self._names.part(key), sendable(text), int(PART_SECONDS * 1000), done, total)
        self._raise_unless_held(await retry_until_heard(lambda: self._call("KEEP", *args)))

    async def complete(self, text: str) -> None:
        """Store the job's answer, however long Redis is away."""
        await retry_until_heard(lambda: self._finish("complete", data=sendable(text)))

    async def fail(self, error: SidecarError) -> None:
        """End the job with `error`; raise `Held` where another run has the job."""
        self._raise_unless_held(
            await retry_until_heard(lambda: self._finish("failed", error=str(error), code=error.code)), over=True
        )

    async def put_back(self, *, failed: bool) -> None:
        """Put the job back into its queue; `failed` counts a try."""
        await self._call("PUT_BACK", self._owner, int(failed))

    async def _finish(self, status: str, *, data: str = "", error: str = "", code: str = "") -> Any:
        return await self._call("FINISH", self._owner, status, data, error, code, self._runs.keep_ms, *self._last)

    @staticmethod
    def _raise_unless_held(reply: bytes, *, over: bool = False) -> None:
        if reply == b"lost":
            raise Held(LEASE_SECONDS)
        if reply == b"ended" and not over:
            raise Stopped

    async def _call(self, script: str, *args: str | float, limit: float = _ANSWER_SECONDS) -> Any:
        async with bounded(limit):
            return await self._runs.scripts[script]((), [*self._who, *args])


async def retry_until_heard(call: Callable[[], Awaitable[Result]]) -> Result:
    """Return the result of `call` once Redis answers; the caller sets the bound of time."""
    while True:
        try:
            return await call()
        except JobsUnavailable:
            await asyncio.sleep(_AGAIN_SECONDS)

"""Offload: another process does the work while its caller waits here; which process, a capability knows (`jobs`)."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from sidecar.core.contract import Request
from sidecar.core.errors import DeadlineExceeded, JobGoesOn, Overloaded


class OffloadPort(Protocol):
    """Port: runs a request in another process."""

    def takes(self, request: Request) -> bool:
        """Return whether the request would be worked off there, as things are now; costs nothing."""
        ...

    async def text(self, request: Request, begun: Callable[[str], None]) -> str | None:
        """Return the answer, or None where there will be none after all; raises the `SidecarError` of a failed job.

        `begun` is called with the job's id as soon as there is one. The job goes on even after its last caller left.
        """
        ...


class Offloaded:
    """Requests that run in another process now, by their flights' keys."""

    def __init__(self, offload: OffloadPort) -> None:
        self._offload = offload
        self._jobs: dict[bytes, str] = {}

    def takes(self, request: Request) -> bool:
        """See `OffloadPort.takes`."""
        return self._offload.takes(request)

    def job(self, key: bytes) -> str:
        """Return the id of the job under `key`; blank where there is none."""
        return self._jobs.get(key, "")

    async def text(
        self, key: bytes, request: Request, *, admit: Callable[[], None], here: Callable[[], Awaitable[str]]
    ) -> str:
        """Return the answer of the other process, or else that of `here`, once `admit` allows it.

        Raises `JobGoesOn` where there is no time for that: the job may still end well before the next request.
        """
        try:
            text = await self._offload.text(request, partial(self._jobs.__setitem__, key))
            if text is not None:
                return text
            try:
                admit()
                return await here()
            except (DeadlineExceeded, Overloaded) as exc:
                if job := self.job(key):
                    raise JobGoesOn(job) from exc
                raise
        finally:
            self._jobs.pop(key, None)

"""Work that another process does while its caller waits here. Where that is, and how it is asked, an edge knows."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from sidecar.core.contract import Request
from sidecar.core.errors import DeadlineExceeded, JobGoesOn, Overloaded


class OffloadPort(Protocol):
    """Who takes requests off this process."""

    def takes(self, request: Request) -> bool:
        """Whether the request would be worked off there, as things are now; costs nothing."""
        ...

    async def text(self, request: Request, begun: Callable[[str], None]) -> str | None:
        """The answer, or None where it is not to be had there after all; raises the `SidecarError` that failed it.

        `begun` is told the job's id as soon as there is one. The job goes on where nobody waits any more.
        """
        ...


class Offloaded:
    """The requests that are elsewhere now, by their flights' keys."""

    def __init__(self, elsewhere: OffloadPort) -> None:
        self._elsewhere = elsewhere
        self._jobs: dict[bytes, str] = {}

    def takes(self, request: Request) -> bool:
        """See `Elsewhere.takes`."""
        return self._elsewhere.takes(request)

    def job(self, key: bytes) -> str:
        """The job that works on what `key` is of; blank where there is none."""
        return self._jobs.get(key, "")

    async def text(
        self, key: bytes, request: Request, *, admit: Callable[[], None], here: Callable[[], Awaitable[str]]
    ) -> str:
        """The answer, from elsewhere or else made `here`, once `admit` allows that.

        Raises `JobGoesOn` where there is no time for that: the job may still end well when it is asked for again.
        """
        try:
            text = await self._elsewhere.text(request, partial(self._jobs.__setitem__, key))
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

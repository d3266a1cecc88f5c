"""Callers of streams on the running loop's clock, over a provider that tests feed."""

import asyncio
from typing import Any

from sidecar.core.errors import SidecarError
from sidecar.core.ports import Call
from sidecar.engine.request import CompletionRequest
from sidecar.engine.service import Service
from sidecar.service import service_of
from tests.support.engines import with_streams
from tests.support.event_streams import FedProvider
from tests.support.http_sidecar import PATIENCE, settings_of


class Taker:
    """Who takes a stream's events."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.open = asyncio.Event()
        self.open.set()
        self.error: Exception | None = None
        self._came = asyncio.Condition()

    async def __call__(self, data: bytes) -> None:
        if self.error is not None:
            raise self.error
        async with self._came:
            self.taken.append(data)
            self._came.notify_all()
        await self.open.wait()

    async def has(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self.taken) >= count)


def over(spring: FedProvider, *, silent: float = PATIENCE, total: float = PATIENCE, **named: str) -> Service:
    service = service_of(settings_of(**named), spring, clock=asyncio.get_running_loop().time)
    return with_streams(service, silent_seconds=silent, stream_seconds=total)


def asked(*, seconds: float = 25.0, user: str = "anna", **more: Any) -> CompletionRequest:
    now = asyncio.get_running_loop().time()
    call = Call(messages=[{"role": "user", "content": "Why?"}], max_tokens=7)
    return CompletionRequest(
        call=call, user_id=user, action="t", deadline=now + seconds, arrived=now, request_id="r", route="t", **more
    )


def code(failure: SidecarError | None) -> str:
    return failure.code if failure is not None else "ok"

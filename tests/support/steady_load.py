"""Steady load on one address, whatever is restarted meanwhile, and the way systemd passes a socket on. No promises."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.support.http_sidecar import Answer, Caller, post
from tests.support.server_process import PATIENCE

HEIR = 'export LISTEN_PID=$$ LISTEN_FDS=1; exec "$@" 3<&0 0</dev/null'
"""A shell that passes its standard input on as systemd passes a socket on."""
REQUEST = post(b'{"action": "chat", "content": "Why?"}', "Connection: close")


def _request(_number: int) -> bytes:
    return REQUEST


def _succeeded(answer: Answer) -> bool:
    return bool(answer.json["success"])


class Load:
    """Callers as PHP is one: a connection for each request, the next once the last was answered."""

    def __init__(
        self, address: tuple[str, int], request: Callable[[int], bytes], right: Callable[[Answer], bool]
    ) -> None:
        self.answered = 0
        self.failed: list[str] = []
        self._begun = 0
        self._address = address
        self._request = request
        self._right = right
        self._told = asyncio.Condition()

    async def call_on(self) -> None:
        while True:
            self._begun += 1
            failure = await self._call(self._request(self._begun))
            async with self._told:
                if failure:
                    self.failed.append(failure)
                self.answered += 1
                self._told.notify_all()

    async def _call(self, request: bytes) -> str:
        try:
            async with await Caller.connect(*self._address) as caller:
                await caller.send(request)
                answer = await caller.receive()
                return "" if self._right(answer) and await caller.rest() == b"" else repr(answer)
        except (OSError, EOFError, TimeoutError) as exc:
            return repr(exc)

    async def goes_on(self, calls: int) -> None:
        """Return once so many calls more have ended."""
        enough = self.answered + calls
        async with asyncio.timeout(PATIENCE), self._told:
            await self._told.wait_for(lambda: self.answered >= enough)


@asynccontextmanager
async def load(
    address: tuple[str, int],
    callers: int,
    request: Callable[[int], bytes] = _request,
    right: Callable[[Answer], bool] = _succeeded,
) -> AsyncIterator[Load]:
    """So many callers at once, at it until the block ends; `request` makes each by its number, `right` judges it."""
    load = Load(address, request, right)
    tasks = [asyncio.create_task(load.call_on(), name="caller") for _ in range(callers)]
    try:
        yield load
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

"""A provider that counts its calls under way, with ends that the test sets. No promises here."""

import asyncio
from collections.abc import AsyncGenerator

from sidecar.core.errors import RateLimited, UpstreamFailure, UpstreamUnreachable
from sidecar.core.ports import Call, Completion, Usage

CALL = Call(messages=({"role": "user", "content": "x"},), max_tokens=10)
FULL = RateLimited(status=429, retryable=True, scope="capacity")
AWAY = UpstreamUnreachable(retryable=True, unsent=True)


class Counted:
    """A provider that counts its calls under way; how each one ends is the test's."""

    def __init__(self, *endings: UpstreamFailure | None, seconds: float = 0.5, refusing: float = 0.0) -> None:
        self.endings = list(endings)
        """Ends of the calls, in order; the last one for ever."""
        self.seconds = seconds
        self.refusing = refusing
        self.received = 0
        self.running = 0
        self.most = 0
        self.seen: set[str] = set()
        """The users whose calls came."""

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.received += 1
        self.seen.add(call.user)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            ending = self.endings.pop(0) if len(self.endings) > 1 else self.endings[0]
            await asyncio.sleep(self.seconds if ending is None else self.refusing)
            if ending is not None:
                raise ending.again()
            return Completion(text="fine")
        finally:
            self.running -= 1

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        if (ending := self.endings[0]) is not None and not self.seconds:
            raise ending.again()
        yield b"1"
        if ending is not None:
            raise ending.again()
        yield b"2"

    async def aclose(self) -> None: ...

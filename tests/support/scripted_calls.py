"""Provider calls over a scripted provider, in virtual time: a test writes the answers and reads the calls' times."""

import asyncio
from collections.abc import AsyncGenerator, Callable

from sidecar.core.errors import RateLimited, SidecarError
from sidecar.core.ports import Call, Completion, Usage
from sidecar.engine.deadline import Deadline
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.pool import alone
from sidecar.engine.limiter.ticket import Ticket
from sidecar.engine.limiter.trace import Trace

CALL = Call(messages=({"role": "user", "content": "x"},), max_tokens=10)
OK = Completion(text="fine", prompt_tokens=3, completion_tokens=4)


def refusal(retry_after: float | None = None) -> RateLimited:
    """Return a provider's 429 for lack of capacity."""
    return RateLimited(status=429, retryable=True, scope="capacity", retry_after=retry_after)


async def settle() -> None:
    """Run every task that is ready."""
    for _ in range(10):
        await asyncio.sleep(0)


class Script:
    """A provider that answers with the test's lines in order, and with the last one for ever."""

    def __init__(self, *lines: SidecarError | Completion, seconds: float = 0.0, failing: float = 0.0) -> None:
        self.lines = list(lines)
        self.seconds = seconds
        """Seconds that an answer takes."""
        self.failing = failing
        """Seconds that a failure takes."""
        self.called: list[float] = []
        """Time of each call, on the loop's clock."""
        self.users: list[str] = []
        """User of each call."""
        self.gate: asyncio.Event | None = None
        """Event that every call waits for, if it is set here."""

    @property
    def calls(self) -> int:
        return len(self.called)

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        self.called.append(asyncio.get_running_loop().time())
        self.users.append(call.user)
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if self.gate is not None:
            await self.gate.wait()
        await asyncio.sleep(self.failing if isinstance(line, SidecarError) else self.seconds)
        if isinstance(line, SidecarError):
            raise line
        return line

    async def stream(self, call: Call, *, deadline: float, usage: Usage | None = None) -> AsyncGenerator[bytes, None]:
        yield b""

    async def aclose(self) -> None: ...


class Bench:
    """Calls over a script, on `clock` or else the running loop's clock; `pauses` are those between attempts."""

    def __init__(self, script: Script, *, concurrency: int = 4, clock: Callable[[], float] | None = None) -> None:
        self.now = clock or asyncio.get_running_loop().time
        self.pauses: list[float] = []
        self.script = script
        self.calls = Calls(alone(script, concurrency=concurrency, clock=self.now), clock=self.now, sleep=self.sleep)
        self.trace = Trace()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(seconds)

    async def complete(self, *, left: float = 25.0, user: str = "anna") -> Completion:
        call = Call(messages=CALL.messages, max_tokens=CALL.max_tokens, user=user)
        deadline = Deadline(self.now() + left)
        return await self.calls.complete(call, Ticket(user), self.trace, deadline=deadline)

    def start(self, count: int, *, left: float = 25.0) -> list[asyncio.Task[Completion]]:
        """Start `count` calls, each of another user."""
        return [asyncio.create_task(self.complete(left=left, user=f"user {number}")) for number in range(count)]

"""Everything at once at one provider: texts in parts, contexts, streams, raw completions, jobs. One gate, one limit."""

import asyncio
import math
from collections import Counter

from sidecar.core.contract import Request
from sidecar.core.errors import SidecarError
from sidecar.core.ports import Call, Completion
from sidecar.engine.limiter.trace import Trace
from sidecar.engine.request import ActionRequest, CompletionRequest
from sidecar.engine.service import Service
from tests.support.bursts import service_at
from tests.support.simulated_provider import SimulatedProvider
from tests.support.virtual_time import run
from tests.support.worlds import World

WORLD = World(name="", slots=((16, math.inf),), hold=0.5)
LONG = "A sentence of a lecture about water and wine. " * 4000


class Unkept:
    """Keeps no part of a job."""

    async def find(self, key: bytes) -> str | None:
        return None

    async def keep(self, key: bytes | None, text: str, *, done: int, total: int) -> None:
        """Kept nowhere."""


class Crowd:
    """Callers of all kinds, and what became of each."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.ended: Counter[str] = Counter()
        self.streamed: list[bytes] = []

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def ask(self, number: int, request: Request) -> None:
        ask = ActionRequest(
            deadline=self._now + 25.0, request_id="r", route="ai", origin="o", arrived=self._now, request=request
        )
        reply = (await self.service.engine.answer(ask)).reply
        self.ended[f"{request.action} {reply.code or 'ok'}"] += 1

    async def chat(self, number: int) -> None:
        await self.ask(number, Request(action="chat", content=f"Why {number}?", user_id=f"chat {number}"))

    async def with_context(self, number: int) -> None:
        context = f"{number} " + "She said so. " * 400
        await self.ask(number, Request(action="chat", content="Why?", context=context, user_id=f"context {number}"))

    async def summarize(self, number: int) -> None:
        request = Request(action="summarize", content=f"{number} {LONG}", user_id=f"long {number}")
        await self.ask(number, request)

    def completing(self, number: int) -> CompletionRequest:
        call = Call(messages=[{"role": "user", "content": f"Raw {number}?"}], max_tokens=7)
        now = self._now
        return CompletionRequest(
            call=call,
            user_id=f"raw {number}",
            action="raw",
            deadline=now + 25.0,
            arrived=now,
            request_id="r",
            route="v1",
        )

    async def raw(self, number: int) -> None:
        def shape(completion: Completion) -> bytes:
            return completion.text.encode()

        result = await self.service.completions.answer(self.completing(number), shape)
        self.ended[f"raw {result.code if isinstance(result, SidecarError) else 'ok'}"] += 1

    async def stream(self, number: int) -> None:
        async def send(data: bytes) -> None:
            self.streamed.append(data)

        result = await self.service.completions.stream(self.completing(number + 1000), send)
        self.ended[f"stream {result.code if result else 'ok'}"] += 1

    async def job(self, number: int) -> None:
        request = Request(action="summarize", content=f"job {number} {LONG}", user_id=f"job {number}")
        await self.service.background.text(request, Unkept(), Trace(), deadline=self._now + 900.0, background=True)
        self.ended["job ok"] += 1


def test_all_kinds_share_one_limit_and_all_are_answered() -> None:
    """A class's chats, contexts, long texts, streams and raw completions beside a night's jobs, refused in between."""

    async def scene() -> tuple[Crowd, SimulatedProvider, float]:
        provider = SimulatedProvider(WORLD)
        crowd = Crowd(service_at(provider, WORLD))
        start = asyncio.get_running_loop().time()
        jobs = [asyncio.create_task(crowd.job(number)) for number in range(5)]
        kinds = (crowd.chat, crowd.with_context, crowd.raw, crowd.stream)
        await asyncio.gather(
            *(kind(number) for number in range(60) for kind in kinds), *(crowd.summarize(n) for n in range(5))
        )
        end = asyncio.get_running_loop().time() - start
        await asyncio.gather(*jobs)
        return crowd, provider, end

    crowd, provider, end = run(scene())
    assert crowd.ended == {"chat ok": 120, "raw ok": 60, "stream ok": 60, "summarize ok": 5, "job ok": 5}
    assert len(crowd.streamed) == 60 * 6
    assert provider.refused <= 0.25 * provider.answered
    # Jobs had their small share of it, no more: they are the longest, and nobody waits for them.
    assert end <= 25.0
    assert crowd.service.kernel.calls.pool.providers[0].limit.found < 24


def test_jobs_teach_the_limit_that_callers_meet() -> None:
    """After a night of jobs at a small provider a class costs it next to no refusals."""

    async def scene() -> tuple[int, int, Counter[str]]:
        provider = SimulatedProvider(WORLD)
        crowd = Crowd(service_at(provider, WORLD))
        await asyncio.gather(*(crowd.job(number) for number in range(20)))
        learned = provider.refused
        await asyncio.gather(*(crowd.chat(number) for number in range(200)))
        return learned, provider.refused - learned, crowd.ended

    learned, met, ended = run(scene())
    assert (ended["job ok"], ended["chat ok"]) == (20, 200)
    assert learned > 0
    assert met <= 15

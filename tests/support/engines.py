"""Engines over a provider held in the hand, on the running loop's clock, and what they are asked."""

import asyncio

from sidecar.core.contract import Action, Request
from sidecar.core.ports import Upstream
from sidecar.engine.actions import Limits
from sidecar.engine.admission import Admission
from sidecar.engine.engine import ActionRequest, Engine, Outcome
from sidecar.engine.kernel import Kernel
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.single_flight import AnswerCache, SingleFlight

LIMITS = Limits(max_tokens=1000, summarize_threshold=2000, context_tokens=16_000)


class WholeSplitter:
    """Takes every text for one that fits."""

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        return [text]


def engine_over(upstream: Upstream, *, concurrency: int = 4, html_safe: bool = False) -> Engine:
    """An engine with ten places."""
    clock = asyncio.get_running_loop().time
    kernel = Kernel(
        calls=Calls(upstream, concurrency=concurrency, clock=clock),
        flights=SingleFlight(AnswerCache(ttl=100.0, size=100_000)),
        keys=Keys(model="m", limits=LIMITS),
        hashed=lambda user: f"hash of {user}",
    )
    admission = Admission(places=10, size=10_000)
    return Engine(kernel, WholeSplitter(), admission=admission, limits=LIMITS, html_safe=html_safe)


def ask_of(
    content: str = "Hello",
    action: Action = "chat",
    *,
    context: str = "",
    user: str = "anna",
    seconds: float = 25.0,
    fresh: bool = False,
) -> ActionRequest:
    """A request that came now and has so many seconds."""
    now = asyncio.get_running_loop().time()
    request = Request(action=action, content=content, context=context, user_id=user)
    return ActionRequest(request=request, deadline=now + seconds, arrived=now, request_id="r", door="test", fresh=fresh)


def code(outcome: Outcome) -> str:
    return outcome.reply.code or "ok"


def measured(engine: Engine, seconds: float) -> None:
    """Let the engine have an answer behind it that took so long."""
    grant = engine.calls.limit.grant(0)
    grant.at -= seconds
    engine.calls.limit.succeeded(grant, running=0)

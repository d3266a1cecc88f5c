"""Services over a provider held in the hand, on the running loop's clock, and requests for them."""

import asyncio

import msgspec

from sidecar.core.contract import Action, Request
from sidecar.core.ports import Upstream
from sidecar.engine.actions import Limits
from sidecar.engine.admission import Admission
from sidecar.engine.answer_cache import AnswerCache
from sidecar.engine.background import Background
from sidecar.engine.completions import Completions
from sidecar.engine.context_size import ContextSizes
from sidecar.engine.drain import Drain
from sidecar.engine.engine import Engine, Outcome
from sidecar.engine.formats.formatter import Formatter
from sidecar.engine.kernel import Kernel
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.limiter.pool import alone
from sidecar.engine.pump import STREAM_SECONDS, UNREAD_SECONDS
from sidecar.engine.request import ActionRequest
from sidecar.engine.request_log import RequestLog
from sidecar.engine.service import Service
from sidecar.engine.single_flight import SingleFlight

LIMITS = Limits(max_tokens=1000, summarize_threshold=2000, context_tokens=16_000)


class WholeSplitter:
    """Splitter to which every text fits."""

    async def split(self, text: str, *, fits: int, tokens: int) -> list[str]:
        return [text]


def service_over(
    upstream: Upstream, *, concurrency: int = 4, formatter: Formatter | None = None, keys: Keys | None = None
) -> Service:
    """A service with ten places."""
    clock = asyncio.get_running_loop().time
    pool = alone(upstream, concurrency=concurrency, clock=clock)
    kernel = Kernel(
        calls=Calls(pool, clock=clock),
        flights=SingleFlight(AnswerCache(ttl=100.0, size=100_000)),
        keys=keys or Keys(model="m", limits=LIMITS),
        contexts=ContextSizes(pool.models),
        pseudonym=lambda user: f"hash of {user}",
    )
    admission = Admission(places=10, size=10_000)
    drain, log, splitter = Drain(admission, clock=clock), RequestLog(kernel.calls, admission), WholeSplitter()
    return Service(
        kernel=kernel,
        admission=admission,
        drain=drain,
        log=log,
        engine=Engine(kernel, drain=drain, log=log, splitter=splitter, limits=LIMITS, formatter=formatter),
        completions=Completions(kernel, drain=drain, log=log),
        background=Background(kernel, drain=drain, splitter=splitter, limits=LIMITS, longest=100.0),
    )


def with_streams(
    service: Service,
    *,
    silent_seconds: float,
    unread_seconds: float = UNREAD_SECONDS,
    stream_seconds: float = STREAM_SECONDS,
) -> Service:
    """The same service with other bounds for its streams."""
    completions = Completions(
        service.kernel,
        drain=service.drain,
        log=service.log,
        silent_seconds=silent_seconds,
        unread_seconds=unread_seconds,
        stream_seconds=stream_seconds,
    )
    return msgspec.structs.replace(service, completions=completions)


def request_of(
    content: str = "Hello",
    action: Action = "chat",
    *,
    context: str = "",
    user: str = "anna",
    seconds: float = 25.0,
    fresh: bool = False,
) -> ActionRequest:
    """Return a request that arrives now and has `seconds` until its deadline."""
    now = asyncio.get_running_loop().time()
    request = Request(action=action, content=content, context=context, user_id=user)
    return ActionRequest(
        request=request, deadline=now + seconds, arrived=now, request_id="r", route="test", fresh=fresh
    )


def code(outcome: Outcome) -> str:
    return outcome.reply.code or "ok"


def measured(service: Service, seconds: float) -> None:
    """Let the service have an answer behind it that took so long."""
    limit = service.kernel.calls.pool.providers[0].limit
    grant = limit.grant(0)
    grant.at -= seconds
    limit.succeeded(grant, running=0)

"""Messages between the parent, which has the engine, and the serving processes, which have the sockets."""

from typing import Any, Final

import msgspec

from sidecar.core.contract import Reply, Request
from sidecar.processes.calls import Prompted
from sidecar.processes.failures import Failure


class Context(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Facts of a request, as `engine/request.py` has them. Both processes read one monotonic clock."""

    deadline: float
    request_id: str
    route: str
    token: str
    origin: str
    arrived: float
    fresh: bool
    background: bool
    size: int
    """Bytes reserved for the body."""
    traceparent: str = ""
    tracestate: str = ""


class Attempted(msgspec.Struct, frozen=True, array_like=True):
    """First attempt of a request's call, which the serving process made and reported."""

    failure: Failure
    seconds: float


class ActionMessage(msgspec.Struct, frozen=True, tag="action"):
    """Request of a serving process for an action; the result is `Answered`."""

    context: Context
    request: Request
    earlier: Attempted | None = None


class CompletionMessage(msgspec.Struct, frozen=True, kw_only=True, tag="completion", omit_defaults=True):
    """Request of a serving process for a raw completion; the result is `Answered`.

    The call itself stays in the process that read it, and only a shared one comes along, since another process makes
    the call if that one is gone.
    """

    context: Context
    user_id: str
    action: str
    model: str
    max_tokens: int
    providers: tuple[str, ...] | None = None
    """Names of the only providers that the token allows; None for all."""
    characters: int = 0
    """Length of the call's texts, for an estimate of tokens; 0 where none are limited."""
    streams: bool = False
    key: bytes = b""
    """The key under which the answer is shared; blank for an answer of its own."""
    call: bytes = b""
    shape: bytes = b""
    earlier: Attempted | None = None


class PageMessage(msgspec.Struct, frozen=True, tag="page"):
    """Request for a page about all processes: `status` or `metrics`; the result is `Page`."""

    name: str
    accept: str = ""
    exemplars: bool = False


class FeedMessage(msgspec.Struct, frozen=True, tag="feed"):
    """Request for the dashboard's events, which come as parts."""


class CountMessage(msgspec.Struct, frozen=True, tag="count"):
    """Request to count jobs towards limits; `users` has the jobs of each user."""

    token: str
    users: dict[str, int]


ToParent = ActionMessage | CompletionMessage | PageMessage | FeedMessage | CountMessage


class Answered(msgspec.Struct, frozen=True, array_like=True):
    """Result of a request: a reply, a body, or the failure that ended it and that the parent has logged."""

    reply: Reply | None = None
    retry_after: float | None = None
    body: bytes = b""
    failure: Failure | None = None
    provider: str = ""


class Page(msgspec.Struct, frozen=True, array_like=True):
    """A page, with its content type where that depends on the request."""

    kind: str
    body: bytes


class Ready(msgspec.Struct, frozen=True, tag="ready", array_like=True):
    """Note of a serving process that serves, and where."""

    url: str


class Refused(msgspec.Struct, frozen=True, kw_only=True, tag="refused", array_like=True):
    """Note of a serving process about a request that its route refused."""

    failure: Failure
    route: str
    request_id: str
    token: str
    user: str
    traceparent: str = ""


ANSWERED, CANCELLED, FAULT = range(3)
"""Ends of a call: by the provider, with an answer or a failure; by its caller or a deadline; by a fault of ours."""


class Began(msgspec.Struct, frozen=True, tag=0, array_like=True, gc=False):
    """News of a call that a serving process sent from a place lent to it."""

    number: int
    at: float
    """Point on the clock at which the call was sent."""
    deadline: float
    user: str
    """The user as the request names it; blank for none."""
    origin: str
    stream: bool
    request_id: str
    route: str
    action: str
    token: str
    arrived: float


class Ended(msgspec.Struct, tag=1, array_like=True):
    """News of such a call's end, and of its request's, unless the parent goes on with the request."""

    number: int
    how: int
    seconds: float
    """Seconds that the call took."""
    first: float | None
    """Seconds until a stream's first event."""
    prompt_tokens: int
    completion_tokens: int
    failure: Failure | None
    """The provider's failure."""
    ended: float = 0.0
    """Point on the clock at which the request ended; 0 where the parent goes on with it."""
    error: Failure | None = None
    """The error that the caller has in the answer's place."""
    left: bool = False


class Report(msgspec.Struct, frozen=True, tag="report", array_like=True):
    """Note about a serving process's lease, with what happened to its calls, in order."""

    row: int
    """Row of the process in the shared block."""
    order: int
    """The last `Lend` that the process took."""
    size: int
    """Calls that it may have in flight."""
    wish: int
    """Calls that it would have liked to have in flight; 0 for no wish."""
    news: list[Began | Ended]


NotesToParent = Ready | Refused | Report


class Attempt(msgspec.Struct, frozen=True, kw_only=True, tag="attempt", omit_defaults=True):
    """Request of the parent for one attempt at a provider.

    The result is `Completed`; with `streams` the events come as parts, and the result is `Used`.
    """

    client: bytes
    """Digest of the connection whose client makes the call."""
    deadline: float
    streams: bool = False
    owner: int = 0
    """Number of the request whose call this process holds; 0 where the call comes along, in one form or the other."""
    prompt: Prompted | None = None
    call: bytes = b""
    trace: dict[str, str] = {}
    shape: bytes = b""


class Completed(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Result of an attempt: the answer's text, or the body that a route made of it, or why none could be made."""

    text: str = ""
    finish_reason: str = ""
    model: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    lacks: str = ""
    body: bytes = b""
    failure: Failure | None = None
    absent: bool = False
    """True where the process no longer has the call, since its caller has left."""


class Used(msgspec.Struct, frozen=True, array_like=True):
    """Result of a stream: its token counts."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


class Settle(msgspec.Struct, frozen=True, tag="settle"):
    """Request for a report of everything up to now; there is no result."""


ToChild = Attempt | Settle


class Aside(msgspec.Struct, frozen=True, tag="aside", array_like=True):
    """Note that a request joined work under way, and gives its place back, but for the bytes."""

    owner: int


class Stop(msgspec.Struct, frozen=True, tag="stop", array_like=True):
    """Note that the service stops: accepted requests have `grace` seconds.

    `last`: new connections have nowhere else to go and are answered until the end.
    """

    grace: float
    last: bool


class Lend(msgspec.Struct, frozen=True, tag="lend", array_like=True):
    """Note that a process may have `size` calls in flight without asking; with 0, that it may have none any more.

    The process answers with a `Report` where it had more.
    """

    order: int
    """Number of the note, so that the parent knows which ones the process has taken."""
    size: int


NotesToChild = Aside | Stop | Lend


def decoder_of(kind: Any) -> Any:
    """Return the decoder of messages of this type."""
    return msgspec.msgpack.Decoder(kind)


encode: Final = msgspec.msgpack.Encoder().encode
"""Encodes a message."""

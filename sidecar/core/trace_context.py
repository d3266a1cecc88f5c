"""W3C trace context: `traceparent` and `tracestate` as a caller sent them, parsed strictly and bounded.

An invalid header counts as absent: a trace is never a reason to refuse a request (W3C Trace Context, level 2).
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from sidecar.core.late_pattern import late_pattern
from sidecar.core.observations import CallEnd, RequestEnd

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"

_PARENT: Final = late_pattern(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_LONGEST_PARENT: Final = 256
"""Characters of a header of a version to come, which may be longer than that of version 00."""
_KEY: Final = r"[a-z0-9][a-z0-9_\-*/@]{0,255}"
_VALUE: Final = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER: Final = late_pattern(f"({_KEY})={_VALUE}")
_MOST_MEMBERS: Final = 32
_LONGEST_STATE: Final = 512
"""Characters of `tracestate` that are passed on; the standard wants at least so many."""
_LONG_MEMBER: Final = 128
"""Characters of a member that is dropped before the others, where all together are too long."""
_LONGEST_SENT: Final = 8192


class TraceContext(msgspec.Struct, frozen=True):
    """A caller's place in a trace."""

    traceparent: str
    """The header as it came."""
    tracestate: str = ""
    """The members of all `tracestate` headers, bounded; blank for none."""

    @property
    def trace_id(self) -> str:
        """The id of the trace: 32 hexadecimal digits."""
        return self.traceparent[3:35]

    @property
    def parent_id(self) -> str:
        """The id of the caller's span: 16 hexadecimal digits."""
        return self.traceparent[36:52]

    @property
    def flags(self) -> int:
        """The flags: 1 for sampled, 2 for a random id, which a version of the standard to come may know otherwise."""
        return int(self.traceparent[53:55], 16) & (3 if self.traceparent.startswith("00") else 1)

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that carry this context."""
        if self.tracestate:
            return {TRACEPARENT: self.traceparent, TRACESTATE: self.tracestate}
        return {TRACEPARENT: self.traceparent}


def trace_context(parents: Sequence[str], states: Sequence[str] = ()) -> TraceContext | None:
    """Return the context of the headers `traceparent` and `tracestate`, None for an invalid or repeated traceparent.

    An invalid tracestate is dropped alone.
    """
    if len(parents) != 1 or len(parents[0]) > _LONGEST_PARENT:
        return None
    text = parents[0].strip(" \t")
    match = _PARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, parent_id, _, more = match.groups()
    if version == "ff" or (version == "00" and more is not None):
        return None
    if not trace_id.strip("0") or not parent_id.strip("0"):
        return None
    return TraceContext(text, _state(states))


def _state(headers: Sequence[str]) -> str:
    if not headers or sum(map(len, headers)) > _LONGEST_SENT:
        return ""
    members = [member for header in headers for part in header.split(",") if (member := part.strip(" \t"))]
    matches = [_MEMBER.fullmatch(member) for member in members]
    keys = {match[1] for match in matches if match is not None}
    if len(members) > _MOST_MEMBERS or len(keys) != len(members):  # a member is invalid, or a key comes twice
        return ""
    if len(",".join(members)) > _LONGEST_STATE:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
    while len(",".join(members)) > _LONGEST_STATE:
        members.pop()
    return ",".join(members)


class Passing:
    """Port `Span` without a tracer: the caller's own headers go to the provider, and nothing is recorded."""

    __slots__ = ("context", "headers")

    def __init__(self, context: TraceContext) -> None:
        self.context = context
        self.headers = context.headers

    @property
    def trace_id(self) -> str:
        return self.context.trace_id

    def attempt(self, **_attributes: object) -> "Passing":
        return self

    @property
    def traceparent(self) -> str:
        return self.context.traceparent

    def joined(self, _owner: object) -> None: ...

    def request_ended(self, _end: RequestEnd) -> None: ...

    def answered(self, **_attributes: object) -> None: ...

    def ended(self, _end: CallEnd) -> None: ...

    def end(self, _status: int = 0) -> None: ...

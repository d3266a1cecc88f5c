"""Options of the demo provider, and their readers for flags, JSON, headers and texts. No I/O and no clock here.

The effect on one call is decided in outcome.py; the limits over time are in limits.py.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from sidecar.demo import capacity_turns

Cut = Literal["before", "headers", "body"]
Garbage = Literal[
    "html", "text", "empty", "truncated", "array",  # the body is no completion at all
    "nocontent", "nochoices", "refusal", "multipart", "surrogate", "nul", "wrongtypes",  # a completion with a twist
    "huge",
]  # fmt: skip
Voice = Literal["openai", "azure", "bare", "503", "529", "gemini", "openrouter", "long", "reset", "queue"]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]

HEADER: Final = "X-Demo-Behave"
_DIRECTIVE: Final = re.compile(r"\[demo((?:\s+[A-Za-z_]+=[^\s\]]*)+)\s*\]")


class BadOptionError(ValueError):
    """An unknown option or a value outside its range; the message is one line for a person."""


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All options; the defaults make a provider that is quick and never fails."""

    latency: Annotated[Seconds, Meta(description="mean seconds before an answer")] = 0.0
    jitter: Annotated[Seconds, Meta(description="most seconds an answer comes earlier or later")] = 0.0
    seed: Annotated[int, Meta(description="where the dice start")] = 0
    slots: Annotated[Count, Meta(description="most calls at once, 429 beyond; 0 is no limit")] = 0
    slots_by_turns: Annotated[
        str, Meta(description="SLOTS:SECONDS by comma, in turn, instead of SLOTS: 32:3,6:3; 16:5,2 ends at 2 for good")
    ] = ""
    queue: Annotated[bool, Meta(description="beyond the slots wait, as local model servers do")] = False
    rpm: Annotated[Count, Meta(description="requests a minute, 429 beyond; 0 is no limit")] = 0
    rpm_burst: Annotated[Count, Meta(description="most requests at once of RPM; 0 is a whole minute's")] = 0
    tpm: Annotated[Count, Meta(description="tokens a minute, 429 beyond; 0 is no limit")] = 0
    tpm_burst: Annotated[Count, Meta(description="most tokens at once of TPM; 0 is a whole minute's")] = 0
    day: Annotated[Count, Meta(description="calls in 24 hours, refused ones too, 429 beyond; 0 is no limit")] = 0
    count_refused: Annotated[bool, Meta(description="refused calls take from RPM and TPM as well")] = False
    voice: Annotated[Voice, Meta(description=f"how limits refuse: {', '.join(get_args(Voice))}")] = "openai"
    refusal_seconds: Annotated[Seconds, Meta(description="seconds that a limit's refusal takes")] = 0.0
    distance: Annotated[Seconds, Meta(description="seconds of one way between caller and provider, both ways")] = 0.0
    fail: Annotated[Share | None, Meta(description="share of calls, 0 to 1, that fail with STATUS")] = None
    status: Annotated[
        Annotated[int, Meta(ge=300, le=599)] | None,
        Meta(description="status of failing calls (500); without FAIL and FAIL_FIRST every call fails"),
    ] = None
    fail_first: Annotated[
        Count, Meta(description="calls that fail before all succeed; asked for by one request: of its text")
    ] = 0
    stall: Annotated[Share, Meta(description="share of calls never answered until the caller leaves")] = 0.0
    cut: Annotated[Cut | None, Meta(description="close before a byte, after the headers, or in mid-body")] = None
    cut_share: Annotated[Share, Meta(description="share of calls that CUT applies to")] = 1.0
    garbage: Annotated[Garbage | None, Meta(description=f"a useless answer: {', '.join(get_args(Garbage))}")] = None
    garbage_share: Annotated[Share, Meta(description="share of calls that GARBAGE applies to")] = 1.0
    no_max_tokens: Annotated[bool, Meta(description="take max_completion_tokens only")] = False
    quota: Annotated[bool, Meta(description="the account's quota is used up")] = False
    api_key: Annotated[str | None, Meta(description="the only key taken; any other gets 401")] = None
    models: Annotated[str, Meta(description="names served, by comma, 404 for others; blank is any")] = ""
    retry_after: Annotated[
        Seconds | str | None,
        Meta(description="the wait that refusals name: seconds, 'date' (an HTTP-date) or 'off' (no Retry-After)"),
    ] = None
    stream_chunk_delay: Annotated[Seconds, Meta(description="seconds between a stream's events")] = 0.0
    stream_cut: Annotated[bool, Meta(description="cut streams in the middle")] = False
    drip: Annotated[Seconds, Meta(description="seconds between the single bytes of an answer")] = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.retry_after, str) and self.retry_after not in ("date", "off"):
            raise ValueError("takes seconds, 'date' or 'off' - at `$.retry_after`")
        try:
            capacity_turns.parsed(self.slots_by_turns)
        except ValueError as exc:
            raise ValueError(f"{exc} - at `$.slots_by_turns`") from exc


MEANINGS: Final[dict[str, str]] = {
    name: next(extra.description or "" for extra in hint.__metadata__[::-1] if isinstance(extra, Meta))
    for name, hint in get_type_hints(Options, include_extras=True).items()
}
"""Meaning of each option, in one line."""


def changed(options: Options, changes: Mapping[str, object]) -> Options:
    """Return `options` with `changes` applied; numbers and booleans may come as text.

    Raises:
        BadOptionError: a name that is no option, or a value outside the option's range.

    """
    for name in changes:
        if name not in MEANINGS:
            raise BadOptionError(f"there is no demo option {name[:40]!r}; there are: {', '.join(MEANINGS)}")
    merged = {**msgspec.structs.asdict(options), **changes}
    if isinstance(changes.get("voice"), int):  # JSON's 503 means the voice "503"
        merged["voice"] = str(changes["voice"])
    if "retry_after" in changes:  # msgspec leaves text alone where a field takes text and numbers
        merged["retry_after"] = _number(changes["retry_after"])
    try:
        return msgspec.convert(merged, Options, strict=False)
    except msgspec.ValidationError as exc:
        reason, _, name = str(exc).partition(" - at `$.")
        name = name.rstrip("`") or "retry_after"
        raise BadOptionError(f"demo option {name}: {reason} ({MEANINGS[name]})") from exc


def _number(value: object) -> object:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def from_header(text: str) -> dict[str, object]:
    """Return the changes in a header such as `latency=0.3;status=429`.

    Raises:
        BadOptionError: a part without `=`.

    """
    return _pairs(part for part in text.split(";") if part.strip())


def from_text(text: str) -> tuple[str, dict[str, object]]:
    """Return the text without its `[demo latency=2 fail=0.5]` directives, and the changes that the directives name.

    A directive in the text needs no header, so that it passes through a sidecar.
    """
    if "[demo" not in text:
        return text, {}
    changes: dict[str, object] = {}
    for found in _DIRECTIVE.finditer(text):
        changes.update(_pairs(found[1].split()))
    return _DIRECTIVE.sub("", text).strip(), changes


def _pairs(parts: Any) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        if not equals:
            raise BadOptionError(f"demo options look like name=value, not {part.strip()[:40]!r}")
        pairs[name.strip()] = value.strip()
    return pairs

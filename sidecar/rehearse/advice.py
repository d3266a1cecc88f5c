"""Advice after a rehearsal: one sentence, chosen by rules from the numbers. The first rule that applies speaks."""

import math
from collections.abc import Callable
from typing import Final

import msgspec

from sidecar.rehearse.replies import CLOSED, GAVE_UP, NO_ANSWER, UNREACHABLE
from sidecar.rehearse.result import Result
from sidecar.rehearse.server_numbers import ServerNumbers


class Advice(msgspec.Struct, frozen=True):
    """A rule's name, and its sentence."""

    rule: str
    sentence: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Facts for the rules."""

    result: Result
    server: ServerNumbers | None
    """Numbers of the sidecar after the class."""
    needed: int
    """Provider calls that the class needs if each page is summarized once."""


_TOO_BUSY: Final = 2.0
"""Seconds of lateness of the rehearsal itself from which its numbers say little about the sidecar."""
_REMEDIES: Final = {
    UNREACHABLE: "nothing took the connection: look at the sidecar's log, and whether it still runs",
    CLOSED: "connections ended without a response: look at the sidecar's log, and at any proxy before it",
    NO_ANSWER: "the responses are not the sidecar's: check the address, and any proxy before the sidecar",
    "unauthorized": "set SIDECAR_TOKEN to the sidecar's token",
    "upstream_auth": "the provider refuses the key: check OPENAI_API_KEY with openai-moodle-sidecar doctor --call",
    "upstream_unreachable": "the provider cannot be reached: check OPENAI_BASE_URL, DNS, proxy and firewall",
    "upstream_error": "the provider answers with errors: the sidecar's log and docs/faults.md name the cause",
    "empty_response": "the provider sends empty answers: check OPENAI_MODEL and MAX_TOKENS",
    "too_large": "pages are larger than MAX_BODY_BYTES",
}


def advise(facts: Facts) -> Advice:
    """Return the advice of the first rule that applies."""
    for rule in _RULES:
        if (sentence := rule(facts)) is not None:
            return Advice(rule.__name__.strip("_"), sentence)
    raise AssertionError("the last rule always applies")


def _nothing(facts: Facts) -> str | None:
    if facts.result.clicks:
        return None
    return "No click ended, so there is nothing to judge: let the rehearsal run longer."


def _machine_too_busy(facts: Facts) -> str | None:
    late = facts.result.behind_seconds
    if late < _TOO_BUSY:
        return None
    return (
        f"This machine was too busy to play the class, whose users came up to {late:.1f} s late, so the numbers are "
        "worse than the sidecar: rehearse fewer users, or from a machine at rest."
    )


def _errors(facts: Facts) -> str | None:
    errors = facts.result.errors
    if not errors or sum(errors.values()) < _unserved(facts):
        return None
    code, count = next(iter(errors.items()))
    remedy = _REMEDIES.get(code, "the sidecar's log and docs/faults.md name the cause")
    return f"{_clicks(count)} failed with {code}: {remedy}."


def _caller_too_impatient(facts: Facts) -> str | None:
    count = facts.result.late.get(GAVE_UP, 0)
    if not count:
        return None
    return (
        f"{_callers(count)} gave up after {facts.result.plan.patience:g} s without any answer: give the sidecar PHP's "
        "OPENAI_SIDECAR_HTTP_TIMEOUT, or a shorter REQUEST_TIMEOUT, so that it answers first."
    )


def _site_limits(facts: Facts) -> str | None:
    count = facts.result.refused.get("limited", 0)
    if not count:
        return None
    return f"{_clicks(count)} ran into limits that this site set itself: raise them if a class is to have this much."


def _queue_full(facts: Facts) -> str | None:
    places = facts.server.places.most if facts.server else 0
    if not places or not _unserved(facts) or facts.result.php.workers < places:
        return None
    return f"The queue was full at {places} requests: raise QUEUE_SIZE, and pm.max_children of PHP with it."


def _provider_refuses(facts: Facts) -> str | None:
    count = facts.result.refused.get("rate_limited", 0)
    if not count or 2 * count < _unserved(facts):
        return None
    return (
        f"The provider refused {_callers(count)} as long as they had time: its account's quota (requests or tokens, a "
        "minute or a day) is used up, or others use it; raise it at the provider, add a second provider "
        "(PROVIDERS_FILE), or spread the class over more time."
    )


def _provider_too_slow(facts: Facts) -> str | None:
    result, server = facts.result, facts.server
    count = result.late.get("timeout", 0)
    if server is None or not count or 2 * count < _unserved(facts):
        return None
    if result.answered and result.php.workers > server.slots.found:
        return None  # callers waited for others
    return (
        f"The provider is too slow: {_callers(count)} got no answer within the sidecar's REQUEST_TIMEOUT, though "
        "no call waited for others; let PHP and sidecar wait longer (OPENAI_SIDECAR_HTTP_TIMEOUT), or ask for less or "
        "a faster model (MAX_TOKENS, OPENAI_MODEL)."
    )


def _provider_is_the_limit(facts: Facts) -> str | None:
    server, count = facts.server, _unserved(facts)
    if server is None or not count or server.slots.found >= server.slots.ceiling:
        return None
    time = _time_needed(facts)
    needs = f", so this class of {_calls(facts.needed)} needs about {time} s" if time else ""
    return (
        f"The provider's limit is the bottleneck: it takes about {_calls(server.slots.found)} at once{needs}, and "
        f"{_callers(count)} got no answer; add capacity or a second provider (PROVIDERS_FILE), spread the class over "
        "more time, or let PHP and sidecar wait longer (OPENAI_SIDECAR_HTTP_TIMEOUT)."
    )


def _concurrency_is_the_limit(facts: Facts) -> str | None:
    server, count = facts.server, _unserved(facts)
    if server is None or not count or not server.call_seconds:
        return None
    time = _time_needed(facts)
    return (
        f"{_callers(count)} got no answer though the provider shows no limit below CONCURRENCY={server.slots.ceiling}, "
        f"with which this class of {_calls(facts.needed)} needs about {time} s: raise it."
    )


def _unserved_for_unknown_cause(facts: Facts) -> str | None:
    count = _unserved(facts)
    if not count:
        return None
    return f"{_callers(count)} got no answer in time: GET /status of the sidecar shows which limit they met."


def _slow(facts: Facts) -> str | None:
    result = facts.result
    if result.waits is None or result.waits.p95 < result.plan.patience / 2:
        return None
    return (
        f"Every click was answered, but one in twenty waited more than {result.waits.p95:.0f} s of PHP's "
        f"{result.plan.patience:g} s: a larger class will lose callers, so add capacity at the provider before that."
    )


def _all_well(facts: Facts) -> str:
    result = facts.result
    well, which = ("All well so far", "every click that ended") if result.interrupted else ("All well", "every click")
    slowest = f", the slowest after {result.waits.max:.1f} s" if result.waits else ""
    workers = counted(result.php.workers, "worker")
    return f"{well}: {which} was answered{slowest}; PHP needs {workers} for such calls alone (pm.max_children)."


_RULES: Final[tuple[Callable[[Facts], str | None], ...]] = (
    _nothing,
    _machine_too_busy,
    _errors,
    _caller_too_impatient,
    _site_limits,
    _queue_full,
    _provider_refuses,
    _provider_too_slow,
    _provider_is_the_limit,
    _concurrency_is_the_limit,
    _unserved_for_unknown_cause,
    _slow,
    _all_well,
)


def _unserved(facts: Facts) -> int:
    return sum(facts.result.refused.values()) + sum(facts.result.late.values())


def _time_needed(facts: Facts) -> int:
    """Return the seconds that the provider needs for the class; 0 where they are unknown."""
    server = facts.server
    if server is None or not server.slots.found:
        return 0
    return math.ceil(facts.needed * server.call_seconds / server.slots.found)


def counted(count: int, thing: str) -> str:
    """Return a number and what it counts."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


def _clicks(count: int) -> str:
    return counted(count, "click")


def _callers(count: int) -> str:
    return counted(count, "caller")


def _calls(count: int) -> str:
    return counted(count, "call")

"""Expectations such as `answered>=99%,p95<20`: a strict parser, and their check against a result."""

import operator
import re
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from sidecar.core.errors import ConfigError, plain
from sidecar.rehearse.result import Result

_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_TERM: Final = re.compile(r"([a-z0-9_]+)\s*(>=|<=|>|<|=)\s*([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*(%|s|)")
MOST_TERMS: Final = 50


class _Measure(NamedTuple):
    """One name on the left of an expectation; `value` returns None where the result has no such number."""

    unit: str
    value: Callable[[Result], float | None]


def _wait(name: str) -> Callable[[Result], float | None]:
    return lambda result: None if result.waits is None else float(getattr(result.waits, name))


_MEASURES: Final[dict[str, _Measure]] = {
    "answered": _Measure("%", lambda result: result.answered),
    "refused": _Measure("%", lambda result: sum(result.refused.values())),
    "late": _Measure("%", lambda result: sum(result.late.values())),
    "errors": _Measure("%", lambda result: sum(result.errors.values())),
    "p50": _Measure("s", _wait("p50")),
    "p95": _Measure("s", _wait("p95")),
    "p99": _Measure("s", _wait("p99")),
    "max": _Measure("s", _wait("max")),
    "seconds": _Measure("s", lambda result: result.seconds),
    "worker_seconds": _Measure("s", lambda result: result.php.worker_seconds),
    "workers": _Measure("", lambda result: result.php.workers),
    "fallbacks": _Measure("", lambda result: result.php.fallback_processes),
    "calls": _Measure("", lambda result: None if result.provider is None else result.provider.answered),
    "saved": _Measure("", lambda result: None if result.provider is None else result.provider.saved),
}


class Expectation(NamedTuple):
    """One term, parsed."""

    name: str
    operator: str
    number: float
    unit: str

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.number:.10g}{self.unit}"


class Verdict(msgspec.Struct, frozen=True):
    """One expectation against a result."""

    expected: str
    value: float | None
    """Measured number in the expectation's unit; None where nothing was measured, which holds for no expectation."""
    held: bool


def parsed(text: str) -> list[Expectation]:
    """Return the expectations in a list by comma.

    Raises:
        ConfigError: a term that is none, with the term's place and what is allowed.

    """
    terms = text.split(",")
    if len(terms) > MOST_TERMS:
        raise ConfigError([f"--expect: {len(terms)} terms; at most {MOST_TERMS}"])
    return [_term(term.strip(), place) for place, term in enumerate(terms, 1)]


def _term(text: str, place: int) -> Expectation:
    found = _TERM.fullmatch(text)
    if found is None:
        raise _fault(text, place, "must be a name, one of >= <= > < = and a number, such as answered>=99% or p95<20")
    name, sign, number, unit = found.groups()
    if name not in _MEASURES:
        raise _fault(text, place, f"there is no {plain(name, 40)}; there are: {', '.join(_MEASURES)}")
    allowed = _MEASURES[name].unit
    if unit not in ("", allowed):
        raise _fault(text, place, f"{name} takes {_UNITS[allowed]}")
    if unit == "%" and float(number) > 100:
        raise _fault(text, place, "a share is at most 100%")
    return Expectation(name, sign, float(number), unit)


_UNITS: Final = {"%": "a share such as 99%, or a count", "s": "seconds", "": "a count"}


def _fault(text: str, place: int, reason: str) -> ConfigError:
    # Not `plain`, which takes the operators away: no page shows this.
    shown = "".join(character if character.isprintable() else " " for character in text[:60])
    return ConfigError([f"--expect: term {place}, {shown or 'which is blank'}: {reason}"])


def verdicts(expectations: list[Expectation], result: Result) -> list[Verdict]:
    """Return each expectation with the measured number; an interrupted rehearsal proves none."""
    return [_verdict(expectation, result) for expectation in expectations]


def _verdict(expectation: Expectation, result: Result) -> Verdict:
    value = _MEASURES[expectation.name].value(result)
    if value is not None and expectation.unit == "%":
        # Without one ended click there is no share.
        value = value * 100 / result.clicks if result.clicks else None
    held = value is not None and not result.interrupted and _OPERATORS[expectation.operator](value, expectation.number)
    return Verdict(str(expectation), value if value is None else round(value, 3), held)

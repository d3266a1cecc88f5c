"""Report of a rehearsal: text for people, one JSON object for programs. No text of a page is in either."""

from typing import Any, Final

import msgspec

from sidecar.rehearse.advice import Advice, counted
from sidecar.rehearse.expect import Verdict
from sidecar.rehearse.result import Result, Waits

VERSION: Final = 1
"""Version of the keys of `as_json`; a new key leaves it as it is."""
_BEHIND: Final = 0.5
"""Seconds of lateness of the rehearsal itself from which the report mentions it."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All that a rehearsal found."""

    result: Result
    advice: Advice
    verdicts: list[Verdict]

    @property
    def held(self) -> bool:
        """True if every expectation held, and nothing ended the rehearsal early."""
        return not self.result.interrupted and all(verdict.held for verdict in self.verdicts)


def as_json(report: Report) -> bytes:
    """Return the report as one line of JSON."""
    fields: dict[str, Any] = {"version": VERSION, **msgspec.structs.asdict(report.result)}
    return msgspec.json.encode(fields | {"advice": report.advice, "expected": report.verdicts, "held": report.held})


def as_text(report: Report, chart: list[str]) -> str:
    """Return the report for people, with `chart` in its middle."""
    result = report.result
    lines = [_title(result), "", *_outcomes(result), "", *_costs(result), "", *chart, ""]
    if result.behind_seconds > _BEHIND:
        lines += [
            f"This machine was busy: users came up to {result.behind_seconds:.1f} s late, and waits look longer.",
            "",
        ]
    lines += [f"Advice: {report.advice.sentence}"]
    if report.verdicts:
        lines += ["", *(_verdict(verdict) for verdict in report.verdicts)]
        if result.interrupted:
            lines += ["  A class that was stopped early proves no expectation."]
    return "\n".join(lines) + "\n"


def _title(result: Result) -> str:
    plan = result.plan
    each = f", {plan.clicks} clicks each" if plan.clicks > 1 else ""
    early = f"; stopped early, {counted(result.unfinished, 'click')} unfinished" if result.interrupted else ""
    return (
        f"{counted(plan.users, 'pupil')} within {plan.within:g} s{each}, {100 * plan.same_page:g} % of the clicks on "
        f"one page; {counted(result.clicks, 'click')} ended in {result.seconds:.1f} s{early}"
    )


def _outcomes(result: Result) -> list[str]:
    rows = [
        ("answered", result.answered, ""),
        ("refused", sum(result.refused.values()), _by_code(result.refused, result.refusal_waits)),
        ("too late", sum(result.late.values()), _by_code(result.late)),
        ("errors", sum(result.errors.values()), _by_code(result.errors)),
    ]
    lines = [
        f"  {name:<16}{count:>8,}{100 * result.share(count):>7.1f} %   {words}".rstrip() for name, count, words in rows
    ]
    return [*lines, f"  {'waits':<16}{_spread(result.waits)}"]


def _spread(waits: Waits | None) -> str:
    if waits is None:
        return "none: no click was answered or too late"
    return f"p50 {waits.p50:.2f}   p95 {waits.p95:.2f}   p99 {waits.p99:.2f}   max {waits.max:.2f} s"


def _by_code(codes: dict[str, int], waits: Waits | None = None) -> str:
    words = ", ".join(f"{code} {count:,}" for code, count in codes.items())
    return f"{words}; half of them within {waits.p50:.2f} s" if words and waits else words


def _costs(result: Result) -> list[str]:
    provider, php = result.provider, result.php
    lines = []
    if provider is None:
        lines.append(f"  {'provider calls':<16} unknown: the sidecar's /status did not answer")
    else:
        note = "" if provider.source == "demo" else " (estimated from /status)"
        others = f"; {provider.others:,} requests of others included" if provider.others else ""
        lines.append(
            f"  {'provider calls':<16}{provider.answered:>8,}   {provider.saved:,} saved, {provider.refused:,} refused "
            f"by the provider{note}{others}"
        )
    lines.append(f"  {'PHP workers':<16}{php.workers:>8,}   at once; {php.worker_seconds:,.0f} worker-seconds")
    if php.fallback_processes:
        lines.append(
            f"  {'fallbacks':<16}{php.fallback_processes:>8,}   processes that the plugin would have started itself"
        )
    return lines


def _verdict(verdict: Verdict) -> str:
    measured = "nothing measured" if verdict.value is None else f"{verdict.value:.10g}"
    return f"  {'held' if verdict.held else 'NOT HELD':<9} {verdict.expected} ({measured})"

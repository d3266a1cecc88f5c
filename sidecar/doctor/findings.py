"""Findings and the report of them: lines for people, JSON for programs, and no secret in either."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from sidecar import __version__
from sidecar.config.provenance import DEFAULT, Origin

State = Literal["ok", "note", "warning", "failed"]
_MARKS: Final[dict[State, str]] = {"ok": "ok", "note": "note", "warning": "WARN", "failed": "FAIL"}
_LONGEST: Final = 600
_DISTINCTIVE: Final = 8
"""Characters from which on a secret is removed everywhere; a shorter one, such as `x`, only where it is a word."""
_UNPRINTABLE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]+")


class Finding(msgspec.Struct, frozen=True):
    """Result of one check: `failed` keeps the sidecar from working, `warning` is a risk."""

    check: str
    state: State
    what: str
    do: str = ""
    """Remedy; blank where none is needed."""


class Report(msgspec.Struct, frozen=True):
    """All settings with their origins, all findings, and the verdict."""

    settings: Sequence[Origin]
    findings: Sequence[Finding]
    ok: bool
    version: str = __version__

    def as_json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def as_text(self, *, every: bool = False) -> str:
        """Return lines for people; `every` also shows the settings at their defaults."""
        shown = [origin for origin in self.settings if every or origin.source != DEFAULT]
        lines = ["Settings (a flag beats a variable beats the env file beats the default)"]
        lines += [f"  {origin.name} = {origin.value}  ({origin.source})" for origin in shown]
        if hidden := len(self.settings) - len(shown):
            lines.append(f"  {hidden} more at their defaults (--all shows them)")
        lines += ["", *as_lines(self.findings)]
        failed = sum(finding.state == "failed" for finding in self.findings)
        warned = sum(finding.state == "warning" for finding in self.findings)
        lines += ["", f"{failed} failed, {warned} to look at, {len(self.findings)} checked"]
        return "\n".join(lines) + "\n"


def as_lines(findings: Iterable[Finding]) -> list[str]:
    """Return a line for each finding, and one for its remedy."""
    lines = []
    for finding in findings:
        lines.append(f"{_MARKS[finding.state]:<5} {finding.check}: {finding.what}")
        if finding.do:
            lines.append(f"      -> {finding.do}")
    return lines


def report(settings: Sequence[Origin], findings: Iterable[Finding], secrets: Sequence[str]) -> Report:
    """Return the report with every text made printable and free of `secrets`, which a server may have quoted."""
    hidden = [_secret_pattern(secret) for secret in secrets]

    def clean(text: str) -> str:
        for secret in hidden:
            text = secret.sub("(secret)", text)
        return _UNPRINTABLE.sub(" ", text)[:_LONGEST]

    cleared = [Finding(finding.check, finding.state, clean(finding.what), clean(finding.do)) for finding in findings]
    return Report(settings, cleared, ok=not any(finding.state == "failed" for finding in cleared))


def _secret_pattern(secret: str) -> re.Pattern[str]:
    literal = re.escape(secret)
    return re.compile(literal if len(secret) >= _DISTINCTIVE else rf"(?<!\w){literal}(?!\w)")

"""What the doctor found, and how it is said: lines for people, JSON for programs, never a secret."""

import re
from collections.abc import Iterable, Sequence
from typing import Final, Literal

import msgspec

from sidecar import __version__
from sidecar.config.provenance import DEFAULT, Origin

State = Literal["ok", "note", "warning", "failed"]
_MARKS: Final[dict[State, str]] = {"ok": "ok", "note": "note", "warning": "WARN", "failed": "FAIL"}
_LONGEST: Final = 600
_TELLING: Final = 8
"""Characters from which on a secret is cleared wherever it stands; a shorter one, such as `x`, where it is a word."""
_UNPRINTABLE: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ud800-\\udfff]+")


class Finding(msgspec.Struct, frozen=True):
    """One thing looked at. `failed` is what keeps the sidecar from working, `warning` what will hurt some day."""

    check: str
    state: State
    what: str
    do: str = ""
    """What mends it; blank where nothing is to be done."""


class Report(msgspec.Struct, frozen=True):
    """All of it."""

    settings: Sequence[Origin]
    findings: Sequence[Finding]
    ok: bool
    version: str = __version__

    def as_json(self) -> str:
        return msgspec.json.format(msgspec.json.encode(self)).decode()

    def as_text(self, *, every: bool = False) -> str:
        """Lines for people; `every` also shows the settings that nobody set."""
        told = [origin for origin in self.settings if every or origin.source != DEFAULT]
        lines = ["Settings (a flag beats a variable beats the env file beats the default)"]
        lines += [f"  {origin.name} = {origin.value}  ({origin.source})" for origin in told]
        if silent := len(self.settings) - len(told):
            lines.append(f"  {silent} more at their defaults (--all shows them)")
        lines.append("")
        for finding in self.findings:
            lines.append(f"{_MARKS[finding.state]:<5} {finding.check}: {finding.what}")
            if finding.do:
                lines.append(f"      -> {finding.do}")
        failed = sum(finding.state == "failed" for finding in self.findings)
        warned = sum(finding.state == "warning" for finding in self.findings)
        lines += ["", f"{failed} failed, {warned} to look at, {len(self.findings)} checked"]
        return "\n".join(lines) + "\n"


def report(settings: Sequence[Origin], findings: Iterable[Finding], secrets: Sequence[str]) -> Report:
    """The report, with every text made printable and cleared of `secrets`: whoever spoke may have quoted one."""
    hidden = [_as_found(secret) for secret in secrets]

    def clean(text: str) -> str:
        for secret in hidden:
            text = secret.sub("(secret)", text)
        return _UNPRINTABLE.sub(" ", text)[:_LONGEST]

    cleared = [Finding(finding.check, finding.state, clean(finding.what), clean(finding.do)) for finding in findings]
    return Report(settings, cleared, ok=not any(finding.state == "failed" for finding in cleared))


def _as_found(secret: str) -> re.Pattern[str]:
    literal = re.escape(secret)
    return re.compile(literal if len(secret) >= _TELLING else rf"(?<!\w){literal}(?!\w)")

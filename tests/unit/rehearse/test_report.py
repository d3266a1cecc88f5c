"""Promises of the report: the documented keys and no others, text for people, and nothing of a page."""

import json
import re
from typing import Any

import pytest

from sidecar.core.errors import ConfigError
from sidecar.rehearse.advice import advise
from sidecar.rehearse.expect import parsed, verdicts
from sidecar.rehearse.replies import Click, Reply
from sidecar.rehearse.report import Report, as_json, as_text
from sidecar.rehearse.server_numbers import ProviderCalls
from tests.support.paths import ROOT
from tests.support.rehearsals import clicks_of, facts_of, result_with

CLICKS = [Click(0, 2, Reply("ok")), Click(0, 30, Reply("gave_up", fallback=True)), Click(0, 0.01, Reply("overloaded"))]


def report_of(*clicks: Click, expect: str = "answered>=99%", interrupted: bool = False) -> Report:
    provider = ProviderCalls(answered=1, refused=4, saved=2, source="status", others=3)
    result = result_with(*clicks, provider=provider, interrupted=interrupted)
    return Report(result=result, advice=advise(facts_of(ok=1)), verdicts=verdicts(parsed(expect), result))


def keys_of(value: Any) -> set[str]:
    """Return every key in a JSON value; those of `plan` and of codes are flags and codes."""
    if isinstance(value, list):
        return set().union(*map(keys_of, value))
    if not isinstance(value, dict):
        return set()
    inner = [keys_of(found) for name, found in value.items() if name not in ("plan", "refused", "late", "errors")]
    return set(value).union(*inner)


def test_every_key_is_documented() -> None:
    """A site's own checks read them, so no key is unknown."""
    text = (ROOT / "docs/rehearsal.md").read_text("utf-8")
    keys = keys_of(json.loads(as_json(report_of(*CLICKS))))
    assert len(keys) > 30
    assert not {key for key in keys if f"`{key}`" not in text}


def test_the_plan_has_the_flags_as_keys() -> None:
    """So that a result shows how it was made."""
    plan = json.loads(as_json(report_of(*CLICKS)))["plan"]
    text = (ROOT / "docs/rehearsal.md").read_text("utf-8")
    assert not {name for name in plan if f"`--{name.replace('_', '-')}`" not in text}


def test_every_name_of_an_expectation_is_documented() -> None:
    """The page lists what `--expect` takes."""
    text = (ROOT / "docs/rehearsal.md").read_text("utf-8")
    with pytest.raises(ConfigError) as caught:
        parsed("nothing<1")
    names = caught.value.faults[0].partition("there are: ")[2].split(", ")
    assert len(names) > 10
    assert not {name for name in names if f"`{name}`" not in text}


def test_people_read_what_pupils_saw() -> None:
    """Counts and shares, codes, waits with those too late, costs, advice and verdicts."""
    text = as_text(report_of(*CLICKS), ["(chart)"])
    for words in (
        r"answered +1 +33\.3 %",
        r"refused +1 +33\.3 % +overloaded 1; half of them within 0\.01 s",
        r"too late +1 +33\.3 % +gave_up 1",
        r"p50 2\.00 +p95 30\.00",
        r"1 +2 saved, 4 refused by the provider \(estimated from /status\); 3 requests of others included",
        r"fallbacks +1 +processes",
        r"\(chart\)",
        r"Advice: All well",
        r"NOT HELD +answered>=99% \(33\.333\)",
    ):
        assert re.search(words, text), words


def test_a_report_holds_only_if_the_class_ended_and_all_terms_held() -> None:
    """One term is enough to fail, and a stop as well."""
    assert report_of(*clicks_of(ok=1)).held
    assert not report_of(*clicks_of(ok=1), expect="answered=1,p95<0.5").held
    assert not report_of(*clicks_of(ok=1), interrupted=True).held
    text = as_text(report_of(*clicks_of(ok=1, unfinished=2), interrupted=True, expect="answered=1"), [])
    assert "1 click ended in" in text
    assert "stopped early, 2 clicks unfinished" in text
    assert "NOT HELD  answered=1 (1)\n  A class that was stopped early proves no expectation." in text


def test_nothing_measured_is_said() -> None:
    """A class of which no click ended has no waits."""
    text = as_text(report_of(*clicks_of(unfinished=2), expect="p95<20", interrupted=True), [])
    assert "none: no click was answered or too late" in text
    assert "NOT HELD  p95<20 (nothing measured)" in text

"""Promises of the doctor about a Moodle: each thing that keeps a pupil from a summary is a line with its remedy."""

from typing import Any

import msgspec
import pytest

from sidecar.doctor.findings import Finding
from sidecar.doctor.moodle import judge
from sidecar.moodle.facts import Facts, Placement, Provider, Reach

OURS = Provider("aiprovider_sidecar", "AI sidecar", 1, configured=True, enabled=True, actions={"summarise_text": True})
WELL = Facts(
    "5.1.3",
    branch=501,
    has_ai=True,
    cron_age=60,
    plugin_installed="2026112900",
    providers=[OURS],
    placements={"courseassist": Placement(enabled=True)},
    people=100,
    reach=[Reach("AI sidecar", "http://127.0.0.1:8081", 200, "", "ok")],
)


def but(found: Any, **changed: Any) -> Any:
    return msgspec.structs.replace(found, **changed)


def findings(**changed: Any) -> list[Finding]:
    return list(judge(but(WELL, **changed)))


def test_a_moodle_that_works_has_nothing_to_look_at() -> None:
    """Every line is ok."""
    assert {finding.state for finding in findings()} == {"ok"}


OTHER = but(OURS, component="aiprovider_openai", name="Their own", url="https://api.example/v1", id=2)
OFF = but(OURS, actions={"summarise_text": False})


@pytest.mark.parametrize(
    ("changed", "check", "state", "says"),
    [
        ({"branch": 404}, "Moodle", "failed", "no AI subsystem"),
        ({"pending": ["core", "mod_quiz"]}, "Moodle", "failed", "core, mod_quiz"),
        ({"maintenance": True}, "Moodle", "failed", "maintenance"),
        ({"writable": False}, "Moodle", "warning", "data folder"),
        ({"cron_age": None}, "Moodle cron", "note", "never ran"),
        ({"cron_age": 7300}, "Moodle cron", "note", "2 hours ago"),
        ({"plugin_installed": "", "providers": []}, "Moodle plugin", "failed", "not installed"),
        ({"providers": [OTHER]}, "Moodle provider", "failed", "no provider instance"),
        ({"providers": [but(OURS, enabled=False)]}, "Moodle provider", "failed", "disabled"),
        ({"providers": [but(OURS, configured=False)]}, "Moodle provider", "failed", "no address"),
        ({"providers": [OFF]}, "Moodle provider", "failed", "switched off"),
        ({"providers": [OTHER, OURS]}, "Moodle order", "warning", '"Their own" comes first'),
        ({"placements": {}}, "Moodle placement", "failed", "lacks"),
        ({"placements": {"courseassist": Placement()}}, "Moodle placement", "failed", "no page has a button"),
        (
            {"placements": {"courseassist": Placement(enabled=True, actions={"summarise_text": False})}},
            "Moodle placement",
            "failed",
            "summary switched off",
        ),
        ({"roles_without": ["student"]}, "Moodle rights", "failed", "summarise_text: student"),
        ({"overrides": 3}, "Moodle rights", "note", "away: 3"),
        ({"without_policy": 40}, "Moodle policy", "note", "40 of 100 people"),
        (
            {"courses": 9, "courses_off": 2, "modules_off": 5},
            "Moodle courses",
            "note",
            "2 of 9 courses",
        ),
        ({"reach": [Reach("x", error="no address")]}, "Moodle to sidecar", "failed", "no address"),
        ({"reach": [Reach("x", error="no connection")]}, "Moodle to sidecar", "failed", "reaches nothing"),
        ({"reach": [Reach("x", error="blocked")]}, "Moodle to sidecar", "failed", "blocks"),
        ({"reach": [Reach("x", status=401, error="unauthorized")]}, "Moodle to sidecar", "failed", "token"),
        ({"reach": [Reach("x", status=200, error="not the sidecar")]}, "Moodle to sidecar", "failed", "else"),
        ({"reach": [Reach("x", status=503, error="shutting_down")]}, "Moodle to sidecar", "failed", "shutting_down"),
        ({"reach": [Reach("x", status=200, provider="down")]}, "Moodle to sidecar", "warning", "provider is down"),
    ],
)
def test_what_keeps_a_pupil_from_a_summary_is_one_line(
    changed: dict[str, Any], check: str, state: str, says: str
) -> None:
    """That line, and no other beside the good ones."""
    bad = [finding for finding in findings(**changed) if finding.state != "ok"]
    assert [(finding.check, finding.state) for finding in bad] == [(check, state)]
    assert says in bad[0].what
    assert bad[0].do or check == "Moodle placement"


def test_core_s_provider_counts_only_with_the_sidecars_parameter() -> None:
    """Another use of core's OpenAI provider is none of our business."""
    through = but(OTHER, url="http://127.77.0.1/v1/chat/completions?action=summarise_text")
    good = findings(plugin_installed="", providers=[through])
    assert {finding.state for finding in good} == {"ok"}

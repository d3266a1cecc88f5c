"""Checks of a Moodle: one line for each thing that keeps a pupil from a summary."""

import asyncio
from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.config.provenance import shown_url
from sidecar.doctor.findings import Finding, State
from sidecar.moodle.errors import MoodleError
from sidecar.moodle.facts import PLUGIN, SUMMARY, Facts, Placement, Provider, Reach
from sidecar.moodle.program import staged
from sidecar.moodle.setup import OLDEST, look
from sidecar.moodle.site import find_site, php_user

_SET_UP: Final = "openai-moodle-sidecar moodle setup PATH"
_BUTTON: Final = "courseassist"
"""Placement that has the button "Summarise"."""
_CRON_SECONDS: Final = 3600


async def check(path: str, php: str = "", user: str = "") -> list[Finding]:
    """Look at the Moodle in the folder `path`, with its own PHP."""
    return await asyncio.to_thread(_check, path, php, user)


def _check(path: str, php: str, user: str) -> list[Finding]:
    try:
        site = find_site(path)
        with staged(site, php_user(site, user), php) as program:
            facts = look(program)
    except MoodleError as exc:
        return [Finding("Moodle", "failed", str(exc), exc.remedy)]
    return list(judge(facts, path))


def judge(facts: Facts, path: str = "PATH") -> Iterator[Finding]:
    """Yield a finding for each part of the way from a pupil's click to the sidecar; remedies name the folder `path`."""
    for finding in _judged(facts):
        yield msgspec.structs.replace(finding, do=finding.do.replace(_SET_UP, _SET_UP.replace("PATH", path)))


def _judged(facts: Facts) -> Iterator[Finding]:
    if facts.branch < OLDEST or not facts.has_ai:
        what = f"Moodle {facts.release} has no AI subsystem"
        yield Finding("Moodle", "failed", what, "upgrade to Moodle 4.5 or newer")
        return
    yield from _site(facts)
    yield from _providers(facts)
    yield from _placement(facts.placements.get(_BUTTON))
    yield from _people(facts)
    yield from _courses(facts)
    for reach in facts.reach:
        yield _reach(reach)


def _site(facts: Facts) -> Iterator[Finding]:
    state: State = "ok"
    what, how = f"Moodle {facts.release}", ""
    if facts.pending:
        state, how = "failed", "php admin/cli/upgrade.php, as the web server's user"
        what += f" waits for an upgrade ({', '.join(facts.pending[:5])}), so its pages do not open"
    elif facts.maintenance:
        state, what, how = "failed", f"{what} is in maintenance mode", "php admin/cli/maintenance.php --disable"
    elif not facts.writable:
        state, what = "warning", f"{what}: this user may not write its data folder"
        how = "run the doctor as root, or as the web server's user"
    yield Finding("Moodle", state, what, how)
    if facts.cron_age is None or facts.cron_age > _CRON_SECONDS:
        since = "never ran" if facts.cron_age is None else f"ran {facts.cron_age // 3600} hours ago"
        what = f"Moodle's cron {since}: summaries need none, but the nightly ones of the plugin do"
        yield Finding("Moodle cron", "note", what, "php admin/cli/cron.php, each minute")


def _providers(facts: Facts) -> Iterator[Finding]:
    """Yield what is wrong with the providers that lead to the sidecar; one that works is enough."""
    ours = [provider for provider in facts.providers if provider.leads_here]
    if not facts.plugin_installed and not ours:
        yield Finding(
            "Moodle plugin", "failed", f"{PLUGIN} is not installed, and no other provider leads here", _SET_UP
        )
        return
    if not ours:
        yield Finding("Moodle provider", "failed", "the plugin is installed, but has no provider instance", _SET_UP)
        return
    for provider in ours:
        state, what, how = _provider(provider)
        yield Finding("Moodle provider", state, f'"{provider.name}" {what}', how)
        off = [
            action for action, on in provider.actions.items() if not on and action not in {SUMMARY, "generate_image"}
        ]
        if state == "ok" and off:
            yield Finding("Moodle action", "note", f'{", ".join(off)} is off in "{provider.name}"', _SET_UP)
    yield from _order(facts)


def _provider(provider: Provider) -> tuple[State, str, str]:
    if not provider.enabled:
        return "failed", "is disabled", f"{_SET_UP}, or enable it in the site administration, AI providers"
    if not provider.configured:
        return "failed", "has no address" if provider.component == PLUGIN else "has no API key", _SET_UP
    if not provider.actions.get(SUMMARY, False):
        return "failed", "has the action that summarises text switched off", _SET_UP
    kind = "the plugin" if provider.component == PLUGIN else "core's OpenAI provider"
    return "ok", f"is enabled and summarises ({kind}, {shown_url(provider.url)})", ""


def _order(facts: Facts) -> Iterator[Finding]:
    able = [provider for provider in facts.providers if provider.summarises]
    if able and not able[0].leads_here and any(provider.leads_here for provider in able):
        what = f'"{able[0].name}" comes first, so Moodle asks the sidecar only when that one fails'
        how = f"{_SET_UP} --order=first" if able[0].id else "switch that provider or its action off (Moodle 4.5)"
        yield Finding("Moodle order", "warning", what, how)


def _placement(placement: Placement | None) -> Iterator[Finding]:
    how = f"{_SET_UP} --placements, or the site administration, AI placements"
    if placement is None:
        yield Finding("Moodle placement", "failed", "this Moodle lacks the placement course assistance", "")
    elif not placement.enabled:
        yield Finding("Moodle placement", "failed", "course assistance is off, so no page has a button", how)
    elif not placement.actions.get(SUMMARY, True):
        yield Finding("Moodle placement", "failed", "course assistance has its summary switched off", how)
    else:
        yield Finding("Moodle placement", "ok", "course assistance is on")


def _people(facts: Facts) -> Iterator[Finding]:
    if facts.roles_without:
        what = f"roles of students without aiplacement/courseassist:summarise_text: {', '.join(facts.roles_without)}"
        yield Finding("Moodle rights", "failed", what, "allow it in the site administration, Define roles")
    elif facts.overrides:
        what = f"courses and activities that take the right to a summary away: {facts.overrides}"
        yield Finding("Moodle rights", "note", what, "see Permissions of the course or activity")
    else:
        yield Finding("Moodle rights", "ok", "students may have summaries")
    if facts.without_policy:
        what = f"{facts.without_policy} of {facts.people} people have not accepted Moodle's AI policy"
        yield Finding("Moodle policy", "note", what, "nothing to do: each one is asked at the first click")
    else:
        yield Finding("Moodle policy", "ok", "everybody has accepted it")


def _courses(facts: Facts) -> Iterator[Finding]:
    if facts.courses_off or facts.modules_off:
        what = f"off in {facts.courses_off} of {facts.courses} courses, its summaries in {facts.modules_off} activities"
        yield Finding("Moodle courses", "note", what, "see AI tools in the settings of the course or activity")


def _reach(reach: Reach) -> Finding:
    state, what, how = _verdict(reach)
    return Finding("Moodle to sidecar", state, f"{shown_url(reach.url) if reach.url else reach.name}: {what}", how)


def _verdict(reach: Reach) -> tuple[State, str, str]:
    if reach.error in _FAILURES:
        return "failed", *_FAILURES[reach.error]
    if reach.error:
        return "failed", f"the sidecar refuses ({reach.error}, {reach.status})", "see the sidecar's log"
    if reach.provider == "down":
        return "warning", "the sidecar answers, but its AI provider is down", "see the findings about the provider"
    return "ok", "PHP reaches the sidecar with this token", ""


_FAILURES: Final = {
    "unauthorized": ("the sidecar refuses this token", f"{_SET_UP}, which takes SIDECAR_TOKEN, or --token-file"),
    "blocked": ("Moodle's HTTP security blocks this address", f"{_SET_UP} --openai-provider, or the plugin"),
    "no connection": (
        "PHP reaches nothing there",
        "start the sidecar (for core's provider nginx), or name --url or --port",
    ),
    "no address": ("the provider has no address", _SET_UP),
    "not the sidecar": ("something else answers there", f"{_SET_UP} --url=ADDRESS"),
}
"""Finding and remedy by `Reach.error`."""

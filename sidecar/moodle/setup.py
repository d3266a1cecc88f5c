"""Steps of `moodle setup` and of its undo, in their order."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec

from sidecar.moodle.errors import MoodleError
from sidecar.moodle.facts import PLUGIN, Change, Facts
from sidecar.moodle.plugin import Plugin, installed_plugin, read_plugin
from sidecar.moodle.program import PLUGIN_FOLDER, Program, in_checkout
from sidecar.moodle.site import folder_user

OLDEST: Final = 405
"""Moodle 4.5, the first with an AI subsystem."""


class Wish(msgspec.Struct, frozen=True):
    """Goal of a setup, as the PHP program takes it."""

    provider: str
    """`sidecar` for the plugin, `openai` for core's own provider."""
    url: str
    actions: tuple[str, ...]
    placements: tuple[str, ...]
    name: str
    token: str | None = None
    """None leaves a token as it is."""
    order: str | None = None
    """`first` or `last`; None puts a new instance first and leaves another one where it is."""


def look(program: Program) -> Facts:
    """Return what is so in this Moodle. Raises `MoodleError`."""
    facts = program.call("look").facts
    if facts is None:
        raise MoodleError("Moodle's PHP gave no facts")
    return facts


def set_up(program: Program, wish: Wish, source: str = "", *, dry_run: bool) -> Iterator[Change]:
    """Yield each change once it is made; with `dry_run`, each that would be made. Raises `MoodleError`."""
    facts = look(program)
    _check(facts)
    if wish.provider == "sidecar":
        yield from _install(program, facts, source, dry_run=dry_run)
    yield from program.call("setup", dry=dry_run, **_given(wish)).changes


def undo(program: Program, provider: str, *, dry_run: bool) -> Iterator[Change | str]:
    """Yield each value that is restored, and as a text each that another hand has changed. Raises `MoodleError`."""
    folder = program.site.plugin
    if program.call("undo", provider=provider, dry=True).remove:
        _check_pending(look(program))  # Moodle's upgrade, which takes the plugin away, would run for all components
        _check_right(folder.parent)  # without its folder gone, an uninstalled plugin comes back with the next upgrade
    done = program.call("undo", provider=provider, dry=dry_run)
    yield from done.changes
    yield from done.left
    if done.remove and folder.is_dir():
        if not dry_run:
            program.move(folder_user(folder.parent), "remove", to=str(folder))
            program.upgrade()
        yield Change(f"folder {folder}", "there", "removed")


def _check(facts: Facts) -> None:
    """Raise `MoodleError` where a setup makes no sense yet."""
    if facts.branch < OLDEST or not facts.has_ai:
        raise MoodleError(f"Moodle {facts.release} has no AI subsystem", "Moodle 4.5 and newer have one")
    _check_pending(facts)
    if not facts.writable:
        raise MoodleError("PHP's user may not write Moodle's data folder", "run this as root")


def _check_pending(facts: Facts) -> None:
    """Raise `MoodleError` where something else than the plugin waits for Moodle's upgrade."""
    if others := [name for name in facts.pending if name != PLUGIN]:
        what = f"Moodle itself waits for an upgrade ({', '.join(others[:5])}{', …' if len(others) > 5 else ''})"
        raise MoodleError(what, "finish it first: php admin/cli/upgrade.php, as the web server's user")


def _install(program: Program, facts: Facts, source: str, *, dry_run: bool) -> Iterator[Change]:
    """Yield the change of the plugin's files and the upgrade, if one is needed."""
    wanted = _plugin(source)
    folder = program.site.plugin
    there = installed_plugin(folder)
    if there is not None and int(there.version) > int(wanted.version):
        if source:
            raise MoodleError(f"Moodle has a newer {PLUGIN} ({there.version}) than {source} ({wanted.version})")
        wanted = there
    if float(facts.plugin_installed or 0) > float(wanted.version):
        what = f"Moodle's database has a newer {PLUGIN} ({facts.plugin_installed}) than these files ({wanted.version})"
        raise MoodleError(what, "update this checkout, or name a newer one with --plugin=FILE")
    if there is not None and there.digest == wanted.digest and facts.plugin_installed == wanted.version:
        return
    if not dry_run:
        _check_right(folder.parent)
        if not facts.plugin_installed:
            program.call("installing")
        if there is None or there.digest != wanted.digest:
            _place(program, wanted)
        if facts.plugin_installed != wanted.version:
            program.upgrade()
    before = facts.plugin_installed or "not set"
    yield Change(f"plugin {PLUGIN}", before if before != wanted.version else f"{before}, other files", wanted.version)


def _plugin(source: str) -> Plugin:
    path = Path(source) if source else in_checkout(PLUGIN_FOLDER)
    if path is None:
        raise MoodleError("the plugin comes with a checkout, and not with this install", "name it with --plugin=FILE")
    return read_plugin(path)


def _check_right(folder: Path) -> None:
    """Raise `MoodleError` where this user may not change `folder`."""
    if os.geteuid() != 0 and not os.access(folder, os.W_OK):
        raise MoodleError(f"this user may not write {folder}", "run this as root, or as the owner of that folder")


def _place(program: Program, plugin: Plugin) -> None:
    """Put the plugin into Moodle's folder as the owner of that folder."""
    fresh = program.stage / "sidecar"
    plugin.write(fresh)
    folder = program.site.plugin
    program.move(folder_user(folder.parent), "place", **{"from": str(fresh), "to": str(folder)})


def _given(wish: Wish) -> dict[str, Any]:
    given: dict[str, Any] = msgspec.to_builtins(wish)
    return {name: value for name, value in given.items() if value is not None}

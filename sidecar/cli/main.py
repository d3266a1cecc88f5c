"""Command `openai-moodle-sidecar`: flags, the choice between HTTP and stdio, exit codes.

Imports stay late and few, since a process started for one click loads this file.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final, NoReturn

from sidecar import __version__
from sidecar.cli.flags import PROGRAM, add_settings, parser, report_faults
from sidecar.config.load import load, stated, with_tokens
from sidecar.config.settings import Settings
from sidecar.core.command_line import BAD_CONFIGURATION, Parser, show
from sidecar.core.errors import ConfigError
from sidecar.stdio.descriptors import bound_stderr, fill_missing, has_piped_data

FAULT: Final = 1
"""The exit code for an internal fault that left lines without a reply."""

INTERRUPTED: Final = 130
"""The exit code that shells give a process which SIGINT ended."""

_IGNORED: Final = "HTTP_MODE in the env file does not count where standard input is piped; a server takes --http-mode"

COMMANDS: Final = {
    "batch": "sidecar.cli.batch",
    "collect": "sidecar.cli.collect",
    "demo-upstream": "sidecar.demo.command",
    "doctor": "sidecar.doctor.command",
    "enqueue": "sidecar.cli.enqueue",
    "moodle": "sidecar.cli.moodle",
    "rehearse": "sidecar.cli.rehearse",
    "token": "sidecar.cli.token",
    "usage": "sidecar.cli.usage",
    "worker": "sidecar.cli.worker",
}
"""Subcommand → module with `main(argv) -> int`, imported only when chosen."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        from importlib import import_module

        try:
            code: int = import_module(COMMANDS[words[0]]).main(words[1:])
        except KeyboardInterrupt:  # before or after the time in which Ctrl-C has a meaning of its own
            code = INTERRUPTED
        return code
    fill_missing()
    if words and not words[0].startswith("-"):
        from sidecar.cli.first_word import advice

        sys.stderr.write(f"{PROGRAM}: {advice(words[0], COMMANDS)}\n")
        return BAD_CONFIGURATION
    if helps := {"-h", "--help", "--help-all"}.intersection(words):
        from sidecar.cli.help import full_help, short_help

        return show((full_help if "--help-all" in helps else short_help)(COMMANDS), PROGRAM)
    # PHP hangs on a long stderr, and even a message about flags can be long.
    unbound = bound_stderr() if has_piped_data() else None
    flags = _parser().read(words)
    demo, stdio, env_file = flags.pop("demo"), flags.pop("stdio"), flags.pop("env_file")
    fallbacks = {"REDIS_URL": "embedded"} if flags.pop("jobs") else {}
    if unbound is None and not stdio:
        _hold_signals()
    try:
        settings = load(flags, env_file, need_key=not demo, fallbacks=fallbacks)
        if _wants_stdio(settings, flags, forced=stdio):
            _stdio(settings, demo=demo, unforced=not stdio)
        if unbound is not None:
            unbound()
        settings = with_tokens(settings)
        settings.check_listening()
        return _http(settings, flags, env_file, demo=demo)
    except ConfigError as exc:
        return report_faults(exc)


def _hold_signals() -> None:
    from sidecar.runtime.early_signals import hold

    hold()


def _parser() -> Parser:
    made = parser(description="", epilog="", commands=COMMANDS)
    made.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for flag in ("--stdio", "--jobs"):
        made.add_argument(flag, action="store_true")
    add_settings(made)
    return made


def _wants_stdio(settings: Settings, flags: Mapping[str, str | None], *, forced: bool) -> bool:
    if forced and flags["http_mode"] is not None and settings.http_mode:
        raise ConfigError(["--stdio and --http-mode: only one of them"])
    if forced:
        return True
    # PHP's process reads the server's env file too: as a server it would never end, and PHP waits for its end.
    return has_piped_data() and not (settings.http_mode and stated("http_mode", flags))


def _http(settings: Settings, flags: Mapping[str, str | None], env_file: str | None, *, demo: bool) -> int:
    from sidecar.cli.service_log import configure_service_log
    from sidecar.wiring import run, run_http

    configure_service_log(settings, flags, env_file)
    if settings.processes > 1:
        from sidecar.several import run_several

        return run(lambda: run_several(settings, demo=demo), fast_loop=True)
    return run(lambda: run_http(settings, demo=demo), fast_loop=True)


def _stdio(settings: Settings, *, demo: bool, unforced: bool) -> NoReturn:
    from sidecar.stdio.process import stdio_process

    def work(sink: int, waited: float) -> int:
        from sidecar.core import events
        from sidecar.runtime import log
        from sidecar.wiring import run, run_stdio

        # CONTRACT: warnings and errors only, since PHP copies stderr to its error log.
        level = "error" if settings.log_level == "error" else "warning"
        log.configure(sys.stderr, level=level, as_json=settings.log_format == "json")
        if settings.http_mode and unforced:
            events.warning("http_mode_ignored", note=_IGNORED)
        try:
            return run(lambda: run_stdio(settings, source=0, sink=sink, waited=waited, demo=demo), fast_loop=False)
        except ConfigError as exc:  # an invalid proxy or CA file fails only when it is used
            return report_faults(exc)
        except Exception as exc:  # noqa: BLE001 - the process's outermost: a traceback may quote a user's text
            events.fault("internal", exc)
            return FAULT

    # A regular interpreter shutdown takes a sixth of the process's time; replies and log are written by now.
    os._exit(stdio_process(settings, work))

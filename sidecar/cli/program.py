"""The program without a subcommand: its settings, the choice between HTTP and stdio, exit codes.

Imports stay late and few, since a process started for one click loads this file.
"""

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NoReturn

from sidecar.cli.plain_flags import plain_flags
from sidecar.config.load import load, stated, with_tokens
from sidecar.config.settings import Settings
from sidecar.core.errors import ConfigError
from sidecar.core.program import FAULT, PROGRAM
from sidecar.runtime.late_module import when_loaded
from sidecar.runtime.late_modules import import_all
from sidecar.stdio.descriptors import bound_stderr, has_piped_data

_IGNORED: Final = "HTTP_MODE in the env file does not count where standard input is piped; a server takes --http-mode"


def run_program(words: Sequence[str], commands: Collection[str]) -> int:
    """Serve HTTP or stdio, as flags, settings and standard input say; return the exit code.

    `commands` are the words that would have been a command in the first place.
    """
    # PHP hangs on a long stderr, and even a message about flags can be long.
    unbound = bound_stderr() if has_piped_data() else None
    flags = plain_flags(words) or _parsed(words, commands)
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
        import_all()
        settings = with_tokens(settings)
        settings.check_listening()
        return _http(settings, flags, env_file, demo=demo)
    except ConfigError as exc:
        return _refused(exc)


def _refused(error: ConfigError) -> int:
    from sidecar.cli.flags import report_faults

    return report_faults(error)


def _hold_signals() -> None:
    from sidecar.runtime.early_signals import hold

    hold()


def _parsed(words: Sequence[str], commands: Collection[str]) -> dict[str, Any]:
    """Return the flags by field, in any form that argparse takes; end the process at a mistake, and for --version."""
    from sidecar import __version__
    from sidecar.cli.flags import add_settings, parser

    made = parser(description="", epilog="", commands=commands)
    made.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for flag in ("--stdio", "--jobs"):
        made.add_argument(flag, action="store_true")
    add_settings(made)
    return made.read(words)


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


def _interrupt(_number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _stdio(settings: Settings, *, demo: bool, unforced: bool) -> NoReturn:
    from sidecar.stdio.process import stdio_process

    def work(sink: int, waited: float) -> int:
        import signal

        from sidecar.core import events
        from sidecar.oneshot import run_stdio

        # CONTRACT: warnings and errors only, since PHP copies stderr to its error log.
        level = "error" if settings.log_level == "error" else "warning"

        def configure_log() -> None:
            from sidecar.runtime import log

            log.configure(sys.stderr, level=level, as_json=settings.log_format == "json")

        when_loaded("logging", configure_log)
        if settings.http_mode and unforced:
            events.warning("http_mode_ignored", note=_IGNORED)
        try:
            # asyncio's own handler would be shown in full, and that loads much, when the next one takes its place.
            signal.signal(signal.SIGINT, _interrupt)
            return run_stdio(settings, source=0, sink=sink, waited=waited, demo=demo)
        except ConfigError as exc:  # an invalid proxy or CA file fails only when it is used
            return _refused(exc)
        except Exception as exc:  # noqa: BLE001 - the process's outermost: a traceback may quote a user's text
            events.fault("internal", exc)
            return FAULT

    # A regular interpreter shutdown takes a sixth of the process's time; replies and log are written by now.
    os._exit(stdio_process(settings, work))

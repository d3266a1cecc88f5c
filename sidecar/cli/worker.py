"""The command `openai-moodle-sidecar worker`: works jobs off, or says with --check whether one does so here."""

import asyncio
import sys
from typing import Final

from sidecar.cli.flags import PROGRAM, add_settings, parser, refused
from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError, JobsUnavailable
from sidecar.jobs.worker.worker import alive_here
from sidecar.runtime import log
from sidecar.wiring import run, run_worker

_COMMAND: Final = "worker"


def main(argv: list[str]) -> int:
    """Work until a signal; the exit code: 0, 1 where --check finds no worker, 2 for settings that make no sense."""
    asked = _parser().read(argv)
    demo, check, env_file = asked.pop("demo"), asked.pop("check"), asked.pop("env_file")
    try:
        settings = load(asked, env_file, need_key=not (demo or check))
        settings.check_redis()
        if check:
            return _check(settings)
        log.configure(log.Unbuffered(), level=settings.log_level, as_json=settings.log_format == "json")
        return run(lambda: run_worker(settings, demo=demo), fast_loop=True)
    except ConfigError as exc:
        return refused(exc, _COMMAND)


def _check(settings: Settings) -> int:
    try:
        alive = asyncio.run(alive_here(settings))
    except JobsUnavailable as exc:
        sys.stderr.write(f"{PROGRAM} {_COMMAND}: {exc}\n")
        return 1
    if not alive:
        sys.stderr.write(f"{PROGRAM} {_COMMAND}: no worker of this machine has given a sign of life\n")
    return 0 if alive else 1


def _parser() -> Parser:
    made = parser(
        _COMMAND,
        description="Works off the jobs in Redis. Start as many as you like, on as many machines.",
        epilog="It also takes every flag of the server.",
    )
    made.add_argument("--check", action="store_true", help="exit 0 if a worker of this machine is alive, else 1")
    add_settings(made)
    return made

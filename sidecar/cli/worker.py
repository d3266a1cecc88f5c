"""Command `openai-moodle-sidecar worker`: runs jobs, or with --check reports whether a worker is alive here."""

import asyncio
import sys
from typing import Final

from sidecar.cli.flags import add_settings, parser, report_faults
from sidecar.cli.service_log import configure_service_log
from sidecar.config.load import load, with_tokens
from sidecar.config.settings import Settings
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError, JobsUnavailable
from sidecar.core.program import PROGRAM
from sidecar.jobs.worker.worker import alive_here
from sidecar.runtime.early_signals import hold
from sidecar.wiring import run, run_worker

_COMMAND: Final = "worker"


def main(argv: list[str]) -> int:
    """Run jobs until a signal; return 0, 1 if --check finds no worker, 2 for invalid settings."""
    flags = _parser().read(argv)
    demo, check, env_file = flags.pop("demo"), flags.pop("check"), flags.pop("env_file")
    hold()
    try:
        settings = load(flags, env_file, need_key=not (demo or check))
        settings.check_redis()
        if check:
            return _check(settings)
        settings = with_tokens(settings)
        configure_service_log(settings, flags, env_file)
        return run(lambda: run_worker(settings, demo=demo), fast_loop=True)
    except ConfigError as exc:
        return report_faults(exc, _COMMAND)


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

"""Command `openai-moodle-sidecar batch IN OUT`: answers a file of requests, and resumes after a crash."""

from pathlib import Path
from typing import Final

from sidecar.batch.batch import Batch
from sidecar.batch.output import opened_stream
from sidecar.cli.flags import add_settings, duration, parser, report_faults
from sidecar.cli.progress import Progress, run_on_file
from sidecar.config.load import load
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError
from sidecar.runtime.line_source import Source
from sidecar.stdio.descriptors import fill_missing, protect_stdout
from sidecar.wiring import run, run_batch

_COMMAND: Final = "batch"


def main(argv: list[str]) -> int:
    """Answer; return 0, 1 if some requests were not answered, 2 for an invalid command line or settings."""
    fill_missing()
    flags = _parser().read(argv)
    path, target, env_file, demo = (flags.pop(name) for name in ("in", "out", "env_file", "demo"))
    wait, retry_failed = flags.pop("wait"), flags.pop("retry_failed")
    progress = Progress(_COMMAND)
    try:
        settings = load(flags, env_file, need_key=not demo)
        patience = None if wait is None else duration("--wait", wait)
        # Both before descriptor 1 is redirected: OUT may be /dev/stdout.
        out, wire = Path(target).resolve(), opened_stream(path, target)
    except ConfigError as exc:
        return report_faults(exc, _COMMAND)
    progress.log(settings)
    protect_stdout()

    def work(source: Source) -> int:
        batch = Batch(source, out, wire, retry_failed, patience)
        total = sum(1 for _ in source.lines()) if progress.visible else 0
        with progress.expecting(total):
            return run(lambda: run_batch(settings, batch, progress, demo=demo), fast_loop=True)

    try:
        return run_on_file(path, settings.jobs_max_body_bytes, progress, work)
    except ConfigError as exc:  # an invalid proxy or CA file fails only when it is used
        return report_faults(exc, _COMMAND)


def _parser() -> Parser:
    made = parser(
        _COMMAND,
        description="Answers a file of requests, with CONCURRENCY provider calls at once; a line for each:\n"
        '  {"line": 1, "id": "...", "success": true, "data": "..."}\n'
        '  {"line": 2, "id": "...", "success": false, "error": "...", "code": "..."}',
        epilog="IN has a JSON request a line, as for POST /ai; blank lines are skipped. OUT has the replies in their\n"
        "order and is written when all are there; until then they are in OUT.part. After a crash, a signal or a full\n"
        "disk the same command goes on from there and asks nothing again that was answered, whatever else changed in\n"
        "IN. With a complete OUT it asks what is new in IN, and with --retry-failed what failed. The same request\n"
        "twice is asked once. A provider that is down is waited for; one that refuses the key, or whose quota is used\n"
        "up, ends it. With - for OUT replies go to standard output as they come, in order, and a crash loses them.\n\n"
        "Exit code: 0 all are answered; 1 some failed, or it was stopped; 2 a wrong call.\n"
        "It also takes every flag of the server.",
    )
    made.add_argument("in", metavar="IN", help="the requests; - for standard input")
    made.add_argument("out", metavar="OUT", help="the file for the replies; - for standard output")
    made.add_argument("--retry-failed", action="store_true", help="ask again what failed, though OUT is complete")
    made.add_argument(
        "--wait",
        metavar="SECONDS",
        help="how long to wait for a provider that is down (default: for as long as it takes)",
    )
    add_settings(made)
    return made

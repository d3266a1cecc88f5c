"""Command `openai-moodle-sidecar collect FILE`: ids of jobs in, the jobs' replies out once the jobs have ended."""

from typing import Final

from sidecar.cli.flags import add_settings, duration, parser, report_faults
from sidecar.cli.progress import FAULT, Progress, run_on_file
from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError
from sidecar.engine.formats.formatter import formatter_of
from sidecar.jobs.collect import Collecting
from sidecar.runtime.line_source import Source
from sidecar.runtime.pipes import write_all
from sidecar.runtime.signals import stop_requested
from sidecar.stdio.descriptors import fill_missing, protect_stdout
from sidecar.wiring import job_store, run

_COMMAND: Final = "collect"


def main(argv: list[str]) -> int:
    """Collect; return 0, 1 if some jobs are not complete, 2 for an invalid command line or settings."""
    fill_missing()
    flags = _parser().read(argv)
    path, env_file, timeout = flags.pop("file"), flags.pop("env_file"), flags.pop("timeout")
    if flags.pop("no_wait"):
        timeout = "0"
    progress = Progress(_COMMAND)
    try:
        settings = load(flags, env_file, need_key=False)
        settings.check_redis()
        patience = None if timeout is None else duration("--timeout", timeout)
    except ConfigError as exc:
        return report_faults(exc, _COMMAND)
    progress.log(settings)
    wire = protect_stdout()
    longest = settings.jobs_max_body_bytes
    return run_on_file(
        path,
        longest,
        progress,
        lambda source: run(lambda: _collect(source, settings, progress, patience, wire), fast_loop=False),
    )


async def _collect(source: Source, settings: Settings, progress: Progress, patience: float | None, wire: int) -> int:
    async def write(data: bytes) -> None:
        with progress.aside(wire):
            await write_all(wire, data)

    total = sum(1 for _ in source.lines()) if progress.visible else 0
    store, trouble = job_store(settings), ""
    try:
        with stop_requested() as stop, progress.expecting(total):
            formatter = formatter_of(settings, usual="markdown")
            collecting = Collecting(store, progress, patience=patience, stop=stop, formatter=formatter)
            try:
                await collecting.write(source.lines(), write)
            except OSError as exc:
                trouble = f"not everything could be read or written: {exc.strerror or exc}"
            if stop.is_set():
                trouble = "stopped before the end"
    finally:
        await store.aclose()
    counts = collecting.counts
    parts = [f"{counts['complete']} complete", *(f"{counts[word]} {word}" for word in counts if word != "complete")]
    complete = counts["complete"] == counts.total() and not trouble
    progress.conclude(", ".join([*parts, *filter(None, [trouble])]), failed=not complete)
    return 0 if complete else FAULT


def _parser() -> Parser:
    made = parser(
        _COMMAND,
        description="Waits until jobs have ended and prints a reply for each, in the order of FILE:\n"
        '  {"job_id": "...", "status": "complete", "success": true, "data": "..."}\n'
        '  {"job_id": "...", "status": "failed", "success": false, "error": "...", "code": "..."}',
        epilog="FILE has the lines that enqueue printed, or the very requests that it was given: their ids are\n"
        "computed again, under the same OPENAI_MODEL and limits (a chat without user_id cannot be found that way).\n"
        "Redis may go away and come back meanwhile. A job that is unknown or expired has the code not_found, one\n"
        "that has not ended in time the code timeout; it can be collected later.\n\n"
        "Exit code: 0 every job is complete; 1 some are not, or Redis is not there; 2 a wrong call.\n"
        "It also takes every flag of the server.",
    )
    made.add_argument("file", metavar="FILE", help="ids of jobs, or requests; - for standard input")
    made.add_argument(
        "--timeout",
        metavar="SECONDS",
        help="how long to wait for all of them together (default: for as long as it takes)",
    )
    made.add_argument("--no-wait", action="store_true", help="look once and report every job as it is, as --timeout=0")
    add_settings(made, demo=False)
    return made

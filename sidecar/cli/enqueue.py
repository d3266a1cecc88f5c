"""Command `openai-moodle-sidecar enqueue FILE`: requests in, the ids of their jobs out."""

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.cli.flags import add_settings, duration, parser, report_faults
from sidecar.cli.progress import Progress, run_on_file
from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.core.command_line import Parser
from sidecar.core.errors import ConfigError, JobsUnavailable, Overloaded, SidecarError
from sidecar.core.jobs import Job
from sidecar.jobs.enqueue import Enqueuing
from sidecar.runtime.line_source import Source
from sidecar.runtime.pipes import write_all
from sidecar.runtime.signals import stop_requested
from sidecar.stdio.descriptors import fill_missing, protect_stdout
from sidecar.wiring import job_store, run

_COMMAND: Final = "enqueue"
_FAULTS_SHOWN: Final = 20
_encode: Final = msgspec.json.Encoder().encode


def main(argv: list[str]) -> int:
    """Enqueue; return 0, 1 if some requests were not enqueued, 2 for an invalid command line or settings."""
    fill_missing()
    flags = _parser().read(argv)
    path, env_file, wait = flags.pop("file"), flags.pop("env_file"), flags.pop("wait")
    progress = Progress(_COMMAND)
    try:
        settings = load(flags, env_file, need_key=False)
        settings.check_redis()
        patience = duration("--wait", wait)
    except ConfigError as exc:
        return report_faults(exc, _COMMAND)
    progress.log(settings)
    wire = protect_stdout()
    longest = settings.jobs_max_body_bytes
    return run_on_file(path, longest, progress, lambda source: _checked(source, settings, progress, patience, wire))


def _checked(source: Source, settings: Settings, progress: Progress, patience: float, wire: int) -> int:
    right, wrong, faults = source.faults(_FAULTS_SHOWN)
    if wrong:
        for fault in faults:
            progress.say(fault)
        progress.conclude(f"{wrong} of {right + wrong} lines are wrong; nothing was enqueued", failed=True)
        return 1
    return run(lambda: _enqueue(source, settings, progress, patience, wire, total=right), fast_loop=False)


async def _enqueue(
    source: Source, settings: Settings, progress: Progress, patience: float, wire: int, *, total: int
) -> int:
    async def write(jobs: Sequence[Job]) -> None:
        lines = [_encode({"job_id": job.job_id, "status": job.status}) + b"\n" for job in jobs]
        with progress.aside(wire):
            await write_all(wire, b"".join(lines))

    store, trouble = job_store(settings), ""
    try:
        with stop_requested() as stop, progress.expecting(total):
            enqueuing = Enqueuing(store, progress, patience=patience, stop=stop)
            try:
                await enqueuing.take(source.lines(), write)
            except (Overloaded, JobsUnavailable) as exc:
                trouble = str(exc)
            except SidecarError:
                trouble = "The file changed while it was read."
            except OSError as exc:
                trouble = f"Not everything could be read or written: {exc.strerror or exc}."
    finally:
        await store.aclose()
    if enqueuing.enqueued == total and not trouble:
        progress.say(f"{total} enqueued")
        return 0
    again = "Run it again to go on: what is enqueued is joined, not enqueued twice."
    said = filter(None, (f"{enqueuing.enqueued} of {total} enqueued.", trouble, again))
    progress.conclude(" ".join(said), failed=True)
    return 1


def _parser() -> Parser:
    made = parser(
        _COMMAND,
        description="Puts requests into the queue of jobs and prints a line for each, in their order:\n"
        '  {"job_id": "...", "status": "queued"}',
        epilog="FILE has one JSON request a line, as for POST /ai; blank lines are skipped. The whole file is checked\n"
        "first: where a line is wrong, nothing is enqueued. Enqueuing the same again joins the jobs that are there\n"
        "and costs nothing, so an interrupted or refused run is simply run again. (A chat without user_id is a job\n"
        "of its own each time.) Keep the output: collect takes it.\n\n"
        "Exit code: 0 all are enqueued; 1 some are not (a wrong line, a full queue, no Redis); 2 a wrong call.\n"
        "It also takes every flag of the server.",
    )
    made.add_argument("file", metavar="FILE", help="the requests; - for standard input")
    made.add_argument(
        "--wait",
        metavar="SECONDS",
        default="0",
        help="how long to wait at a time for room in a full queue, or for a Redis that is away (default: 0, give up)",
    )
    add_settings(made, demo=False)
    return made

"""Batch: a file of requests in, a file or stream of replies out, and a summary at the end."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.batch import output
from sidecar.batch.journal import Journal, JournalError
from sidecar.batch.ordered_output import ANSWERED, WRONG, Stream
from sidecar.batch.runner import Halted, Runner
from sidecar.config.settings import Settings
from sidecar.core.progress import ProgressPort
from sidecar.engine.service import Service
from sidecar.runtime.line_source import Source
from sidecar.runtime.pipes import write_all

FAILED: Final = 1
"""The exit code if some requests were not answered."""


class Batch(NamedTuple):
    """Input, output and options of a batch."""

    source: Source
    target: Path
    """The file for the replies, with links resolved; unused with a `wire`."""
    wire: int
    """The descriptor that receives replies as they come; below 0 if `target` does."""
    retry_failed: bool
    patience: float | None
    """Seconds to wait for a provider that is down; None: without end."""


async def serve_batch(
    service: Service, settings: Settings, batch: Batch, progress: ProgressPort, stop: asyncio.Event
) -> int:
    """Start or resume the batch, or report why it cannot run; return the exit code.

    Raises `OSError` if requests cannot be read.
    """
    try:
        if batch.wire >= 0:
            return await _to_stream(service, settings, batch, progress, stop)
        return await _to_file(service, settings, batch, progress, stop)
    except JournalError as exc:
        progress.conclude(str(exc), failed=True)
        return FAILED


async def _to_file(
    service: Service, settings: Settings, batch: Batch, progress: ProgressPort, stop: asyncio.Event
) -> int:
    target = batch.target
    part = target.with_name(target.name + output.PART)
    journal = Journal.open(part, target)
    try:
        found = journal.load(failures=not batch.retry_failed)
        runner = Runner(service, journal, batch.source, progress, settings=settings, patience=batch.patience)
        try:
            await runner.run(stop)
            counts = await output.write(target, journal, batch.source, service.kernel.keys, stop)
        except (Halted, JournalError) as exc:
            kept = f"{exc} {runner.answered} more answers are kept in {part}; the same command goes on from there."
            progress.conclude(kept, failed=True)
            return FAILED
        # Last: until the replies are in the target, the journal is their only copy.
        part.unlink()
    finally:
        journal.close()
    return _report(counts, progress, found=found, to_file=True)


async def _to_stream(
    service: Service, settings: Settings, batch: Batch, progress: ProgressPort, stop: asyncio.Event
) -> int:
    async def put(data: bytes) -> None:
        with progress.aside(batch.wire):
            await write_all(batch.wire, data)

    journal = Journal.temporary()
    stream = Stream(journal, put)
    try:
        runner = Runner(
            service, journal, batch.source, progress, settings=settings, patience=batch.patience, stream=stream
        )
        try:
            await runner.run(stop)
        except (Halted, JournalError) as exc:
            out = f"{exc} {stream.counts.total()} replies are out; give a file for them to be able to go on."
            progress.conclude(out, failed=True)
            return FAILED
    finally:
        journal.close()
    return _report(stream.counts, progress)


def _report(counts: Counter[str], progress: ProgressPort, *, found: int = 0, to_file: bool = False) -> int:
    failed = sorted(set(counts) - {ANSWERED, WRONG})
    words = [f"{counts[ANSWERED]} answered", *(f"{counts[code]} {code}" for code in failed)]
    if counts[WRONG]:
        words.append(f"{counts[WRONG]} wrong lines")
    if found:
        words.append(f"{found} of the replies were there already")
    hint = "; --retry-failed asks again what failed" if failed and to_file else ""
    complete = counts[ANSWERED] == counts.total()
    progress.conclude(", ".join(words) + hint, failed=not complete)
    return 0 if complete else FAILED

"""The batch door: a file of requests in, a file of replies out, and what is said about it at the end."""

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
"""The exit code where not every request was answered."""


class Batch(NamedTuple):
    """What is to be done."""

    source: Source
    target: Path
    """The file for the replies, no link; unused where there is a `wire`."""
    wire: int
    """The descriptor on which replies go out as they come; below 0 for the file."""
    retry_failed: bool
    patience: float | None
    """Seconds for which a provider that is down is waited for; None: as long as it takes."""


async def serve_batch(
    service: Service, settings: Settings, batch: Batch, telling: ProgressPort, stop: asyncio.Event
) -> int:
    """Do it, go on with it, or say why not; the exit code. Raises `OSError` where requests cannot be read."""
    try:
        if batch.wire >= 0:
            return await _streamed(service, settings, batch, telling, stop)
        return await _filed(service, settings, batch, telling, stop)
    except JournalError as exc:
        telling.say(str(exc))
        return FAILED


async def _filed(service: Service, settings: Settings, batch: Batch, telling: ProgressPort, stop: asyncio.Event) -> int:
    target = batch.target
    part = target.with_name(target.name + output.PART)
    journal = Journal.at(part, target)
    try:
        found = journal.load(failures=not batch.retry_failed)
        running = Runner(service, journal, batch.source, telling, settings=settings, patience=batch.patience)
        try:
            await running.run(stop)
            counts = await output.write(target, journal, batch.source, service.kernel.keys, stop)
        except (Halted, JournalError) as exc:
            telling.say(
                f"{exc} {running.answered} more answers are kept in {part}; the same command goes on from there."
            )
            return FAILED
        # Not before the replies are where they belong, whatever happens in between.
        part.unlink()
    finally:
        journal.close()
    return _told(counts, telling, found=found, filed=True)


async def _streamed(
    service: Service, settings: Settings, batch: Batch, telling: ProgressPort, stop: asyncio.Event
) -> int:
    async def put(data: bytes) -> None:
        await write_all(batch.wire, data)

    journal = Journal.nameless()
    stream = Stream(journal, put)
    try:
        running = Runner(
            service, journal, batch.source, telling, settings=settings, patience=batch.patience, stream=stream
        )
        try:
            await running.run(stop)
        except (Halted, JournalError) as exc:
            telling.say(f"{exc} {stream.counts.total()} replies are out; give a file for them to be able to go on.")
            return FAILED
    finally:
        journal.close()
    return _told(stream.counts, telling)


def _told(counts: Counter[str], telling: ProgressPort, *, found: int = 0, filed: bool = False) -> int:
    failed = sorted(set(counts) - {ANSWERED, WRONG})
    words = [f"{counts[ANSWERED]} answered", *(f"{counts[code]} {code}" for code in failed)]
    if counts[WRONG]:
        words.append(f"{counts[WRONG]} wrong lines")
    if found:
        words.append(f"{found} of the replies were there already")
    hint = "; --retry-failed asks again what failed" if failed and filed else ""
    telling.say(", ".join(words) + hint)
    return 0 if counts[ANSWERED] == counts.total() else FAILED

"""Streams that nobody reads: their slots are for those who wait."""

import asyncio

from sidecar.engine.pump import UNREAD_SECONDS
from tests.support.event_streams import FedProvider
from tests.support.stream_callers import Taker, asked, code, over
from tests.support.virtual_time import in_virtual_time


@in_virtual_time
async def test_a_stream_that_nobody_reads_ends_once_others_wait() -> None:
    """Its slot is theirs after five seconds; while nobody waits, it has all its time."""
    spring, taker = FedProvider(), Taker()
    service = over(spring, silent=30.0, total=600.0, CONCURRENCY="1")
    now = asyncio.get_running_loop().time
    taker.open.clear()
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    await spring.feed.put(b"a")
    await taker.has(1)
    await asyncio.sleep(20.0)
    assert not task.done()
    came = now()
    answer = await service.completions.answer(asked(user="ben"), lambda done: done.text.encode())
    assert (answer, code(await task)) == (b"An answer.", "timeout")
    assert now() - came <= UNREAD_SECONDS / 4


@in_virtual_time
async def test_a_slow_provider_is_no_missing_reader() -> None:
    """A caller who takes every event keeps the slot, whoever waits."""
    spring, taker = FedProvider(), Taker()
    service = over(spring, silent=30.0, total=600.0, CONCURRENCY="1")
    task = asyncio.create_task(service.completions.stream(asked(), taker))
    await spring.feed.put(b"a")
    await taker.has(1)
    waiting = asyncio.create_task(service.completions.answer(asked(user="ben"), lambda done: done.text.encode()))
    await asyncio.sleep(3 * UNREAD_SECONDS)
    await spring.feed.put(None)
    assert (code(await task), await waiting) == ("ok", b"An answer.")

"""Promises of a batch that is stopped: what is under way is finished within the grace, and the rest is left."""

import asyncio
import os

from tests.support.batch_folder import Folder, Provider, answers, data


async def test_a_stop_lets_finish_what_is_under_way(folder: Folder) -> None:
    """Nothing more is taken, what was taken is kept, and the next run asks the rest alone."""
    names = [f"q{number}" for number in range(20)]
    folder.questions(*names)
    stop, provider = asyncio.Event(), Provider(held=True)
    running = asyncio.create_task(folder.batch(provider, stop=stop))
    await provider.reached(4)
    stop.set()
    await asyncio.sleep(0)
    provider.gate.set()
    assert await running == 1
    assert len(provider.calls) == 4
    assert folder.texts[-1].startswith("It was told to stop. 4 more answers are kept in ")
    rest = Provider()
    assert await folder.batch(rest) == 0
    assert len(rest.calls) == 16
    assert data(folder) == answers(*names)


async def test_a_stop_of_a_stream_says_that_not_all_is_there(folder: Folder) -> None:
    """Every line was taken by then, and workers without one had found the end; replies are missing all the same."""
    folder.questions("a", "b")
    stop, provider = asyncio.Event(), Provider(held=True)
    reading, writing = os.pipe()
    running = asyncio.create_task(folder.batch(provider, stop=stop, wire=writing, SHUTDOWN_GRACE="0.1"))
    await provider.reached(2)
    stop.set()
    assert await running == 1
    os.close(writing)
    assert os.read(reading, 100) == b""
    os.close(reading)


async def test_a_stop_does_not_wait_for_ever(folder: Folder) -> None:
    """What is under way after the grace is given up and asked again."""
    folder.questions("a", "b")
    stop, provider = asyncio.Event(), Provider(held=True)
    running = asyncio.create_task(folder.batch(provider, stop=stop, SHUTDOWN_GRACE="0.1"))
    await provider.reached(2)
    stop.set()
    assert await running == 1
    assert provider.left.is_set()
    assert await folder.batch(Provider()) == 0

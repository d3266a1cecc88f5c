"""Promises of `batch` killed at moments of chance: the same command goes on, and every call is counted."""

import asyncio
import random

from tests.support.batch_command import Folder, finish, right
from tests.support.workers import CountingProvider, counting_provider, lecture


async def killed(folder: Folder, provider: CountingProvider, kills: int, dice: random.Random) -> None:
    for _ in range(kills):
        process = await folder.start(provider.url)
        await folder.until(process, folder.journaled() + dice.randrange(1, 30))
        await asyncio.sleep(dice.uniform(0, 0.05))
        if process.returncode is None:
            process.kill()
        await finish(process)


async def test_after_a_kill_it_goes_on(folder: Folder) -> None:
    """`kill -9` at moments of chance: nothing that was answered is asked again, nothing is lost or mixed up."""
    folder.ask([lecture(number, 3) for number in range(200)])
    kills = 6
    async with counting_provider() as provider:
        provider.latency = 0.02
        await killed(folder, provider, kills, random.Random(7))
        done = await folder.run(provider.url)
        assert done.code == 0
        right(folder, 200)
        # Calls under way when it died: at most one a slot and kill.
        assert sum(count - 1 for count in provider.calls.values()) <= kills * 8
        assert len(provider.calls) == 200
        calls = provider.calls.total()
        again = await folder.run(provider.url)
        assert (again.code, provider.calls.total()) == (0, calls)
        right(folder, 200)

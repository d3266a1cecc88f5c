"""Promises of `batch` stopped, without disk and started twice: nothing is lost, and no call is paid for twice."""

import signal

import pytest

from tests.support.batch_command import Folder, finish, right
from tests.support.workers import CountingProvider, counting_provider, lecture


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_wastes_nothing(folder: Folder, number: signal.Signals) -> None:
    """What is under way is finished and kept, and it is said how to go on."""
    folder.ask([lecture(n, 3) for n in range(300)])
    async with counting_provider() as provider:
        provider.latency = 0.1
        process = await folder.start(provider.url)
        await folder.until(process, 10)
        process.send_signal(number)
        done = await finish(process)
        assert done.code == 1
        assert "the same command goes on from there" in done.said
        assert "Traceback" not in done.said
        assert folder.journaled() == provider.calls.total() < 300
        provider.latency = 0.0
        assert (await folder.run(provider.url)).code == 0
        right(folder, 300)
        assert set(provider.calls.values()) == {1}


async def test_a_hangup_reads_the_providers_again(folder: Folder) -> None:
    """With another file in the middle, later lines go to the new provider; no line is lost or asked twice."""
    folder.ask([lecture(n, 3) for n in range(100)])
    providers = folder.source.with_name("providers.toml")
    async with counting_provider() as old, counting_provider() as new:
        old.latency = new.latency = 0.05

        def write(provider: CountingProvider, model: str) -> None:
            providers.write_text(
                f'[[provider]]\nname = "{model}"\nbase_url = "{provider.url}"\nmodel = "{model}"\nconcurrency = 8\n'
            )

        write(old, "first")
        process = await folder.start("", PROVIDERS_FILE=str(providers))
        await folder.until(process, 10)
        write(new, "second")
        process.send_signal(signal.SIGHUP)
        done = await finish(process)
        providers.unlink()
    assert (done.code, "providers_read" in done.said) == (0, True)
    right(folder, 100)
    assert old.calls.total() + new.calls.total() == 100
    assert min(old.calls.total(), new.calls.total()) >= 10


async def test_a_full_disk_spoils_nothing(folder: Folder) -> None:
    """What was kept stays right; there is no half output; with room again nothing is asked twice but what was lost."""
    folder.ask([lecture(n, 3) for n in range(300)])
    async with counting_provider() as provider:
        done = await folder.run(provider.url, largest=10_000)
        assert done.code == 1
        assert "Replies cannot be kept in the journal: the disk is full." in done.said
        assert "Traceback" not in done.said
        assert 0 < folder.journaled() < 300
        assert folder.part.read_bytes().endswith(b"}\n")
        assert (await folder.run(provider.url)).code == 0
        right(folder, 300)
        assert sum(count - 1 for count in provider.calls.values()) <= 8


async def test_a_disk_that_is_full_at_the_end_costs_nothing(folder: Folder) -> None:
    """The journal fits, the output does not: it is put together later, from what is there."""
    folder.ask([lecture(n, 3) for n in range(300)])
    async with counting_provider() as provider:
        assert (await folder.run(provider.url)).code == 0
        # A line of the output is longer by its number than its record.
        size = folder.target.stat().st_size - 300 * len('"line":')
        folder.target.unlink()
        provider.calls.clear()
        done = await folder.run(provider.url, largest=size)
        assert done.code == 1
        assert "out.jsonl: the disk is full." in done.said
        assert sorted(path.name for path in folder.source.parent.iterdir()) == ["in.jsonl", "out.jsonl.part"]
        assert (await folder.run(provider.url)).code == 0
        right(folder, 300)
        assert set(provider.calls.values()) == {1}


async def test_two_at_once_on_one_output(folder: Folder) -> None:
    """The second one leaves at once and says why."""
    folder.ask([lecture(n, 3) for n in range(50)])
    async with counting_provider() as provider:
        provider.latency = 0.5
        process = await folder.start(provider.url)
        await folder.until(process, 1)
        process.send_signal(signal.SIGSTOP)  # it must not be done before the other one has looked
        other = await folder.run(provider.url)
        process.send_signal(signal.SIGCONT)
        assert other.code == 1
        assert "Another batch is at work on the same output" in other.said
        assert (await finish(process)).code == 0
        right(folder, 50)
        assert set(provider.calls.values()) == {1}

"""Promise of `batch` whose terminal hangs up: it ends as by any signal, with PROVIDERS_FILE too."""

import asyncio
import os
import pty
import sys
from asyncio.subprocess import DEVNULL, Process

import pytest

from tests.support.batch_command import Folder, right
from tests.support.paths import ROOT
from tests.support.server_process import PATIENCE
from tests.support.workers import counting_provider, lecture

ATTACHED = """
import fcntl, os, signal, sys, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup around the tests would be nohup around the command
fcntl.ioctl(2, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""


async def started(folder: Folder, terminal: int, *before: str) -> Process:
    """Start the command with stderr on a terminal of its own session."""
    command = [*before, sys.executable, "-m", "sidecar", "batch", str(folder.source), str(folder.target)]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ATTACHED, *command),
        cwd=ROOT,
        env={"PROVIDERS_FILE": str(folder.source.with_name("providers.toml")), "PATH": os.environ["PATH"]},
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    return process


@pytest.mark.parametrize("nohup", [False, True])
async def test_a_terminal_that_hangs_up_ends_it_unless_nohup_says_no(folder: Folder, *, nohup: bool) -> None:
    """SIGHUP of an administrator reads the providers again; that of a terminal finishes what is under way."""
    folder.ask([lecture(n, 3) for n in range(200)])
    ours, theirs = pty.openpty()
    async with counting_provider() as provider:
        provider.latency = 0.05 if nohup else 0.5  # on a slow machine too the terminal ends before the work
        file = folder.source.with_name("providers.toml")
        file.write_text(f'[[provider]]\nname = "one"\nbase_url = "{provider.url}"\nmodel = "m"\nconcurrency = 8\n')
        process = await started(folder, theirs, *(["nohup"] if nohup else []))
        asyncio.get_running_loop().add_reader(ours, os.read, ours, 65536)
        await folder.until(process, 10)
        asyncio.get_running_loop().remove_reader(ours)
        os.close(ours)
        async with asyncio.timeout(PATIENCE):
            code = await process.wait()
        if nohup:
            assert code == 0
        else:
            assert code == 1
            assert folder.journaled() == provider.calls.total() < 200
            provider.latency = 0.05
            assert (await folder.run(provider.url, "--model=m")).code == 0
        file.unlink()
        right(folder, 200)
        assert set(provider.calls.values()) == {1}

"""Work that is waited for at the start, while a signal may come."""

import asyncio

import pytest

from sidecar.runtime.signals import done_or_stopped


async def test_the_wait_ends_with_the_work_or_with_the_stop() -> None:
    """Whichever is first; work that failed is done as well, and work that goes on is left alone."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    await done_or_stopped(None, stop)
    work, failed, endless = loop.create_future(), loop.create_future(), loop.create_future()
    loop.call_soon(work.set_result, None)
    await done_or_stopped(work, stop)
    loop.call_soon(failed.set_exception, ImportError("no such module"))
    await done_or_stopped(failed, stop)
    with pytest.raises(ImportError):
        await failed
    loop.call_soon(stop.set)
    await done_or_stopped(endless, stop)
    assert not endless.done()
    assert len(asyncio.all_tasks()) == 1

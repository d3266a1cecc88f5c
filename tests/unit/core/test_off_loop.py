"""Large values are worked on beside the loop, small ones on it."""

import threading

import pytest

from sidecar.core.off_loop import THREAD_BYTES, off_loop


async def test_only_large_values_go_to_the_thread() -> None:
    """And all to the same one: several would take the GIL in turns, and the loop would wait for each."""
    here = threading.current_thread()
    assert await off_loop(THREAD_BYTES - 1, threading.current_thread) is here
    threads = {await off_loop(THREAD_BYTES, threading.current_thread) for _ in range(3)}
    assert len(threads) == 1
    assert here not in threads


async def test_what_the_work_raises_is_raised() -> None:
    """With its own type."""
    with pytest.raises(ZeroDivisionError):
        await off_loop(THREAD_BYTES, lambda: 1 // 0)

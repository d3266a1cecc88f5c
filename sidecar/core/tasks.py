"""Tasks whose end may have no waiter."""

import asyncio
from typing import Any


def silence(task: "asyncio.Task[Any]") -> None:
    """Look at the task's failure once it has ended, since asyncio logs one that nobody has looked at.

    A waiter that is cancelled in the moment the task fails never looks, nor one that cancels the task. Other waiters
    get the failure all the same.
    """
    task.add_done_callback(_look)


def _look(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()

"""An event loop whose clock jumps: a scene of half an hour takes a tenth of a second and always goes the same way.

No task waits for a socket here, so whenever no callback is ready, the next timer is due.
"""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, Unpack

Args = TypeVarTuple("Args")
Params = ParamSpec("Params")
Result = TypeVar("Result")


class _JumpingSelector(selectors.SelectSelector):
    """Waits by moving the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("every task waits, and no timer is set: the scene would never end")
            self.now += max(0.0, timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """`time()` is the scene's clock, in seconds."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Args]], Result], *args: *Args
    ) -> asyncio.Future[Result]:
        """Run a thread's work at once, in no time, since the clock would jump while a thread works."""
        future: asyncio.Future[Result] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001 - the future carries it to the caller
            future.set_exception(exc)
        return future


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` in virtual time."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


def in_virtual_time(test: Callable[Params, Coroutine[Any, Any, None]]) -> Callable[Params, None]:
    """Run a test of a module in virtual time; its fixtures and parameters stay as they are."""

    @functools.wraps(test)
    def scene(*args: Params.args, **named: Params.kwargs) -> None:
        run(test(*args, **named))

    return scene

"""Port for the progress of a long run. The commands decide how progress looks."""

from contextlib import AbstractContextManager
from typing import Protocol


class ProgressPort(Protocol):
    """Port: the count of finished steps, and lines for people."""

    def step(self, count: int = 1) -> None:
        """Add `count` finished steps."""
        ...

    def say(self, text: str) -> None:
        """Show one line at once."""
        ...

    def conclude(self, text: str, *, failed: bool) -> None:
        """Show the last line, in which a failure stands out."""
        ...

    def aside(self, wire: int) -> AbstractContextManager[None]:
        """Keep off the screen during the block, which writes replies to `wire`, if `wire` is a terminal."""
        ...

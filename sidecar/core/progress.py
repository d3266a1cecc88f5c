"""Port for the progress of a long run. The commands decide how progress looks."""

from typing import Protocol


class ProgressPort(Protocol):
    """Port: the count of finished steps, and lines for people."""

    def step(self, count: int = 1) -> None:
        """Add `count` finished steps."""
        ...

    def say(self, text: str) -> None:
        """Show one line at once."""
        ...

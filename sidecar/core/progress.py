"""What a long run tells whoever watches it. How that looks is the commands' business."""

from typing import Protocol


class ProgressPort(Protocol):
    """Progress, and what a person should know meanwhile."""

    def step(self, count: int = 1) -> None:
        """So many more are done."""
        ...

    def say(self, text: str) -> None:
        """One line, now."""
        ...

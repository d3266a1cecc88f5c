"""Faults that a check over many files found, as an assertion shows them: all of them, one a line."""

from collections.abc import Sequence


def listed(faults: Sequence[str]) -> str:
    return "\n".join([f"{len(faults)} found:", *faults])

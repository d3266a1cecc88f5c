"""Size of the long tests: a little by default, all of it with TEST_SCALE=1, which `make test-all` sets."""

import os
from typing import Final

SCALE: Final = float(os.environ.get("TEST_SCALE", "0"))
"""Share of the whole, from 0 to 1; `.ci/run` takes a tenth."""


def scaled(least: int, whole: int) -> int:
    """Return the share of `whole` that is wanted, and at least `least`."""
    return max(least, round(whole * SCALE))

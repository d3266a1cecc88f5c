"""Settings of Python's garbage collector for a server: nearly everything is freed by counting references.

Cycles come from failures, whose tracebacks hold frames. With the default of 700 new objects a collection ran once in
some twenty requests, and took a tenth of their CPU.
"""

import gc
from typing import Final

YOUNG: Final = 10_000
"""New objects, less those that are gone, that begin a collection of the young ones: those of some hundred requests."""
MIDDLE: Final = 10
OLD: Final = 10
"""Collections of the younger generation after which an older one is collected too."""


def rarely() -> None:
    """Exclude what the start left from every later collection, and collect rarely from now on."""
    gc.collect()
    rarely_from_now()


def rarely_from_now() -> None:
    """Do as `rarely` without a last collection: for a process of one request, the start's garbage costs less."""
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    gc.enable()

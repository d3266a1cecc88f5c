"""Imports of the one-shot process: what its libraries import and mostly never use is loaded at its first use.

A server imports as usual.
"""

import sys
from typing import Final

from sidecar.runtime.late_module import LATE, LateModule, loaded

_UNKNOWN: Final = {
    "decimal": {"Decimal": type("Decimal", (), {})},
    "uuid": {"UUID": type("UUID", (), {}), "SafeUUID": type("SafeUUID", (), {"unknown": None})},
}
"""Types that msgspec asks for when it is imported, to write and read them. No value of ours has one."""
_REFUSED: Final = "typing_extensions"


def import_late() -> None:
    """Have the modules that `late_module.LATE` names loaded at their first use."""
    import concurrent  # noqa: PLC0415 - a server has no use for it here

    for name, known in LATE.items():
        if name not in sys.modules:
            late = sys.modules[name] = LateModule(name, **known)
            if "__all__" in known:  # a package that takes all of it takes the module's own name from there, too
                late.__dict__[name.rpartition(".")[2]] = late
    # `import concurrent.futures` gives its user the package, which gets its attribute from a real import alone.
    concurrent.__dict__["futures"] = sys.modules["concurrent.futures"]


def import_all() -> None:
    """Load what stand-ins lie for: a process that turns out to be a server will use much of it."""
    for module in list(sys.modules.values()):
        if isinstance(module, LateModule):
            loaded(module)


def import_msgspec(*, late: bool = False) -> None:
    """Import msgspec without `typing_extensions`, which takes half of its import and a megabyte.

    msgspec tries that module and goes on without it, as Python has its names from 3.11 on. `late`: without the modules
    of types that nothing here uses, too.
    """
    if _REFUSED in sys.modules:
        return
    unknown = [LateModule(name, **types) for name, types in _UNKNOWN.items() if late and name not in sys.modules]
    sys.modules.update({one.__name__: one for one in unknown})
    sys.modules[_REFUSED] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401, PLC0415 - not before this moment
    finally:
        del sys.modules[_REFUSED]
        for one in unknown:  # another importer gets the module
            del sys.modules[one.__name__]

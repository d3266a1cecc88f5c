"""Modules that the one-shot process's libraries import and mostly never use: each is loaded at its first use.

A stand-in lies in `sys.modules` until something of the module is asked for; then the import system loads the module
in its place, under its own locks. What is used at every start is answered by the stand-in itself.
"""

import os
import sys
from types import FunctionType, ModuleType
from typing import Any, Final

_CO_COROUTINE: Final = 0x80
"""Flag of the code of a coroutine function (inspect.CO_COROUTINE)."""


_LIES: Final = "_lies_in_sys_modules"


class LateModule(ModuleType):
    """Stand-in of a module, which is loaded when a name is asked for that the stand-in does not know."""

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known, **{_LIES: True})

    def __getattr__(self, name: str) -> Any:
        if name == "__path__":  # the import system's question whether this is a package
            raise AttributeError(name)
        return getattr(loaded(self), name)


def loaded(late: LateModule) -> ModuleType:
    """Return the module itself, from now on in the stand-in's place."""
    name = late.__name__
    # One thread alone takes the stand-in away; others find it there for a moment.
    if late.__dict__.pop(_LIES, False) and sys.modules.get(name) is late:
        del sys.modules[name]
    while True:
        __import__(name)
        if (module := sys.modules[name]) is not late:
            return module


def _is_coroutine_function(function: object) -> bool:
    """Answer for functions, as asyncio asks for every handler of a signal."""
    if type(function) is FunctionType:
        return bool(function.__code__.co_flags & _CO_COROUTINE)
    inspect = sys.modules["inspect"]
    found: bool = (loaded(inspect) if isinstance(inspect, LateModule) else inspect).iscoroutinefunction(function)
    return found


def _system() -> str:
    return os.uname().sysname


LATE: Final[dict[str, dict[str, Any]]] = {
    "asyncio.sslproto": {},  # asyncio, for TLS only
    "inspect": {"iscoroutinefunction": _is_coroutine_function},  # asyncio, dataclasses
    "ipaddress": {},  # urllib.parse, for addresses in brackets
    "linecache": {},  # traceback
    "platform": {"system": _system},  # uuid
    "ssl": {"SSLSocket": type("SSLSocket", (), {})},  # asyncio; without the module no socket is one
    "subprocess": {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3},  # asyncio
    "textwrap": {},  # msgspec, for schemas
}
"""Modules with the answers of their stand-ins."""
_REFUSED: Final = "typing_extensions"


def import_late() -> None:
    """Have the modules of `LATE` loaded at their first use."""
    for name, known in LATE.items():
        if name not in sys.modules:
            sys.modules[name] = LateModule(name, **known)


def import_msgspec() -> None:
    """Import msgspec without `typing_extensions`, which takes half of its import and a megabyte.

    msgspec tries that module and goes on without it, as Python has its names from 3.11 on.
    """
    if _REFUSED in sys.modules:
        return
    sys.modules[_REFUSED] = None  # type: ignore[assignment]
    try:
        import msgspec  # noqa: F401, PLC0415 - not before this moment
    finally:
        del sys.modules[_REFUSED]

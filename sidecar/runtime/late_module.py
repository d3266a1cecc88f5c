"""Stand-ins for modules, each loaded at its first use, and their answers to what is asked for at every start.

A stand-in lies in `sys.modules` until something of the module is asked for; then the import system loads the module
in its place, under its own locks.
"""

import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, Final

_LIES: Final = "_lies_in_sys_modules"
_THEN: Final = "_then"
_PACKAGES: Final = frozenset({"concurrent.futures", "logging"})


class LateModule(ModuleType):
    """Stand-in of a module, which is loaded when a name is asked for that the stand-in does not know."""

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        self.__dict__.update(known, **{_LIES: True})

    def __getattr__(self, name: str) -> Any:
        if name == "__path__" and self.__name__ not in _PACKAGES:  # the import system's question for a package
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
            break
    if then := late.__dict__.pop(_THEN, None):
        then()
    return module


def when_loaded(name: str, then: Callable[[], None]) -> None:
    """Call `then` once the module is there: at once, or behind the stand-in's first use."""
    module = sys.modules.get(name)
    if isinstance(module, LateModule):
        module.__dict__[_THEN] = then
    else:
        then()


_CO_COROUTINE: Final = 0x80
"""Flag of the code of a coroutine function (inspect.CO_COROUTINE)."""
_WARNING: Final = 30
"""The level of a warning (logging.WARNING), the lowest that a one-shot process logs."""


def _is_coroutine_function(function: object) -> bool:
    """Answer for functions, as asyncio asks for every handler of a signal."""
    if type(function) is FunctionType:
        return bool(function.__code__.co_flags & _CO_COROUTINE)
    inspect = sys.modules["inspect"]
    found: bool = (loaded(inspect) if isinstance(inspect, LateModule) else inspect).iscoroutinefunction(function)
    return found


class LateLogger:
    """Logger that loads `logging` for the first warning; what is below is dropped, as the logger itself would do."""

    def __init__(self, name: str) -> None:
        self.name = name

    def debug(self, *_: Any, **_named: Any) -> None:
        """Drop a line."""

    info = debug

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - a logger's method
        """Return whether a line of this level is written."""
        return level >= _WARNING and bool(self.__getattr__("isEnabledFor")(level))

    def __getattr__(self, name: str) -> Any:
        logging = sys.modules["logging"]
        module: Any = loaded(logging) if isinstance(logging, LateModule) else logging
        return getattr(module.getLogger(self.name), name)


def _of(module: str, *names: str) -> dict[str, Any]:
    """Return functions of `module` that load it when they are called."""
    return {name: _late_function(module, name) for name in names}


def _exported_by(module: str, *names: str) -> dict[str, Any]:
    """Return the same for all that a `*` imports, the module's own name included."""
    return {"__all__": (*names, module.rpartition(".")[2]), **_of(module, *names)}


def _late_function(module: str, name: str) -> Callable[..., Any]:
    def call(*args: Any, **named: Any) -> Any:
        found = sys.modules[module]
        return getattr(loaded(found) if isinstance(found, LateModule) else found, name)(*args, **named)

    return call


def _passed_on_from(native: str) -> dict[str, Any]:
    """Return what a module takes from another one in C; none where Python lacks that."""
    try:
        module = __import__(native)
    except ImportError:
        return {}
    return {name: value for name, value in vars(module).items() if name[0] != "_"}


class _NoSubprocess:
    """Base of asyncio's transports of child processes, which no one-shot process starts."""


LATE: Final[dict[str, dict[str, Any]]] = {
    "__future__": {"annotations": None},  # msgspec; the compiler alone uses it
    "array": {},  # socket, for descriptors that are passed on
    "asyncio.base_subprocess": {"BaseSubprocessTransport": _NoSubprocess},
    "asyncio.sslproto": {},  # asyncio, for TLS only
    "asyncio.staggered": {},  # asyncio, for names with several addresses
    "asyncio.subprocess": _exported_by("asyncio.subprocess", "create_subprocess_exec", "create_subprocess_shell"),
    "asyncio.taskgroups": _exported_by("asyncio.taskgroups", "TaskGroup"),
    "asyncio.threads": _exported_by("asyncio.threads", "to_thread"),
    "concurrent.futures": {word: word for word in ("FIRST_COMPLETED", "FIRST_EXCEPTION", "ALL_COMPLETED")},  # asyncio
    "datetime": _passed_on_from("_datetime"),  # msgspec
    "inspect": {"iscoroutinefunction": _is_coroutine_function},  # asyncio, dataclasses
    "ipaddress": {},  # urllib.parse, for addresses in brackets
    "linecache": {},  # asyncio
    "logging": {"getLogger": LateLogger, "DEBUG": 10, "INFO": 20, "WARNING": _WARNING, "ERROR": 40},  # asyncio, ours
    "msgspec._json_schema": _of("msgspec._json_schema", "schema", "schema_components"),
    "msgspec.inspect": {},  # msgspec, for schemas
    "msgspec.toml": {},
    "msgspec.yaml": {},
    "signal": _passed_on_from("_signal"),  # asyncio
    "ssl": {"SSLSocket": type("SSLSocket", (), {})},  # asyncio; without the module no socket is one
    "subprocess": {"PIPE": -1, "STDOUT": -2, "DEVNULL": -3},  # asyncio
    "traceback": _of("traceback", "extract_stack"),  # asyncio
}
"""Modules with the answers of their stand-ins."""

"""Private names of libraries: each one that the product leans on is listed, and missed by name when it is gone."""

import ast
import contextlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from functools import cache
from itertools import chain
from types import ModuleType

import pytest

from tests.support.paths import ROOT

LEANED_ON = {
    "aiohttp.base_protocol.BaseProtocol": {"_buffer_paused", "_loop"},
    "aiohttp.client_proto.ResponseHandler": {"_payload"},
    "aiohttp.connector.BaseConnector": {"_factory", "_get"},
    "aiohttp.connector.TCPConnector": {"_create_connection"},
    "aiohttp.http_writer": {"_serialize_headers"},
    "aiohttp.web_protocol": {"_ErrInfo"},
    "aiohttp.web_protocol.RequestHandler": {
        "_close",
        "_current_request",
        "_force_close",
        "_handler_waiter",
        "_keepalive",
        "_keepalive_handle",
        "_keepalive_timeout",
        "_make_error_handler",
        "_manager",
        "_messages",
        "_msg_queue_resume_size",
        "_next_keepalive_close_time",
        "_parser",
        "_process_keepalive",
        "_request_count",
        "_request_factory",
        "_request_handler",
        "_request_in_progress",
        "_resume_reading_if_drained",
        "_task_handler",
        "_upgraded",
        "_waiter",
    },
    "aiohttp.web_request.BaseRequest": {"_cache", "_headers", "_message", "_payload"},
    "aiohttp.web_response.StreamResponse": {"_send_headers_immediately"},
    "aiohttp.streams.StreamReader": {"_buffer", "_buffer_offset", "_read_nowait"},
    "aiohttp.web_server.Server": {"_kwargs", "_loop", "_make_request"},
    "arq.worker.Worker": {"_poll_iteration", "_queue_read_offset", "_release_sem_dec_counter_on_complete"},
    "os": {"_exit"},
    "redis.asyncio.connection.UnixDomainSocketConnection": {"_connect", "_reader", "_writer"},
}
"""By the module or class that has them: names that its makers may take away without a word."""
OURS = ("sidecar", "worker")


def private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name != "_"


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the product, parsed, by its name."""
    found = {}
    for path in sorted(chain.from_iterable((ROOT / package).rglob("*.py") for package in OURS)):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(path.read_text())
    return found


def stored(tree: ast.AST) -> set[str]:
    """Names that a piece of code defines: functions, classes, variables, attributes."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(node.attr)
    return names


@cache
def private_names(owner: type | ModuleType) -> frozenset[str]:
    """Private names of a module, or of a class itself, those that its methods give to its instances included."""
    names = set(vars(owner))
    if isinstance(owner, type):
        with contextlib.suppress(OSError, TypeError):  # a class that was not written in Python has no source
            names |= stored(ast.parse(textwrap.dedent(inspect.getsource(owner))))
    return frozenset(filter(private, names))


def full_name(owner: type) -> str:
    return f"{owner.__module__}.{owner.__qualname__}"


def foreign(owner: type) -> bool:
    """Whether a class is neither the product's nor one of the language's own types."""
    top = owner.__module__.partition(".")[0]
    return top not in (*OURS, "builtins", "typing", "abc", "msgspec")


def inherited() -> Iterator[tuple[str, str]]:
    """Private names in our classes that a library's class has, whether they are read, set or defined anew."""
    for name, tree in trees().items():
        for node in tree.body:
            if not isinstance(node, ast.ClassDef) or not node.bases:
                continue
            used = stored(node) | {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
            for base in filter(foreign, getattr(importlib.import_module(name), node.name).__mro__):
                yield from ((full_name(base), one) for one in used & private_names(base))
                used -= private_names(base)


def reached_for() -> Iterator[tuple[str, str]]:
    """Private names that are defined nowhere in the product: read from whatever has them, or imported."""
    known = set().union(*map(stored, trees().values())) | {name for _, name in inherited()}
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and private(node.attr) and node.attr not in known:
                yield ast.unparse(node.value), node.attr
            elif isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] not in OURS:
                names = [*node.module.split("."), *(alias.name for alias in node.names)]
                yield from ((node.module, name) for name in names if private(name))


def owner_of(where: str) -> type | ModuleType:
    """Return a module, or a class in one, by its full name."""
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.import_module(where)
    module, _, name = where.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


@pytest.mark.parametrize(
    ("where", "name"), [(where, name) for where, names in LEANED_ON.items() for name in sorted(names)]
)
def test_a_private_name_is_there(where: str, name: str) -> None:
    """A new release of a library that took a name away fails here, by that name, and not under load."""
    assert name in private_names(owner_of(where)), f"{where}.{name} is gone"


def test_every_private_name_in_use_is_listed() -> None:
    """Nobody leans on a library's inside without this list; a name that is no longer in use leaves the list."""
    found: dict[str, set[str]] = {}
    for where, name in chain(inherited(), reached_for()):
        found.setdefault(where, set()).add(name)
    assert found == LEANED_ON

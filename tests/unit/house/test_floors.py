"""The house: which module may import which, one place for each outside library, and what is imported late."""

import ast
import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.faults import listed
from tests.support.paths import ROOT

CORE = {"core"}
MIDDLE = CORE | {"config", "engine", "runtime"}
WALLS = {
    "core": CORE,
    "config": CORE | {"config"},
    "engine": CORE | {"config", "engine"},
    "runtime": CORE | {"runtime"},
    "provider": MIDDLE | {"provider"},
    "http": MIDDLE | {"http"},
    "stdio": MIDDLE | {"stdio"},
    "usage": MIDDLE | {"usage"},
    "batch": MIDDLE | {"batch"},
    "jobs": MIDDLE | {"jobs"},
    "metrics": MIDDLE | {"metrics"},
    "tracing": MIDDLE | {"tracing"},
    "processes": MIDDLE | {"processes"},
    "demo": CORE | {"demo"},
    "rehearse": MIDDLE | {"rehearse"},
    "moodle": MIDDLE | {"moodle"},
    "doctor": MIDDLE | {"provider", "http", "stdio", "batch", "jobs", "usage", "moodle", "doctor"},
}
"""What each folder may import of the product; wiring, cli and worker may import anything below them."""
ONE_PLACE = {
    "openai": ("sidecar.provider.openai_sdk",),
    "httpx2": ("sidecar.provider.openai_sdk",),
    "aiohttp": ("sidecar.http", "sidecar.demo", "sidecar.provider.aiohttp", "sidecar.rehearse.caller"),
    "azure": ("sidecar.provider.entra",),
    "uvloop": ("sidecar.wiring", "sidecar.demo.command"),
    "semantic_text_splitter": ("sidecar.engine.splitter",),
    "arq": ("sidecar.jobs", "worker"),
    "redis": ("sidecar.jobs", "worker"),
    "tqdm": ("sidecar.cli",),
    "sqlite3": ("sidecar.usage", "sidecar.runtime.day_file"),
    "markdown_it": ("sidecar.engine.formats",),
    "nh3": ("sidecar.engine.formats",),
    "aiohappyeyeballs": ("sidecar.provider.stdlib.connect",),
    "pydantic": ("sidecar.http.openapi",),
    "prometheus_client": ("sidecar.metrics.collector",),
    "opentelemetry": ("sidecar.tracing",),
}
NOWHERE = {"pickle", "marshal", "shelve"}


@functools.cache
def modules() -> dict[str, Path]:
    found = {}
    for package in ("sidecar", "worker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports(path: Path) -> frozenset[str]:
    names = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(names)


def imported_names() -> Iterator[tuple[str, str]]:
    """Every module of the product with each name that it imports."""
    for name, path in modules().items():
        for imported in sorted(imports(path)):
            yield name, imported


def folder(name: str) -> str:
    """Return the folder of the product that a module lives in, or the name of a file beside the folders."""
    parts = name.split(".")
    return parts[1] if parts[0] == "sidecar" and len(parts) > 1 else ""


def test_a_folder_imports_what_its_wall_lets_through() -> None:
    """Core knows nothing above it, no capability knows another, and what two need sinks."""
    faults = [
        f"{name} imports {imported}"
        for name, imported in imported_names()
        if folder(name) in WALLS and folder(imported) not in WALLS[folder(name)] | {"", "__version__"}
    ]

    assert not faults, listed(faults)


def test_every_folder_has_its_wall() -> None:
    """A new folder says what it may import; only the command line and the wiring are above all walls."""
    folders = {folder(name) for name in modules() if name.count(".") > 1}
    assert folders <= WALLS.keys() | {"cli"}


def needed(name: str) -> set[str]:
    """Modules that a module imports; a package's own file counts only where something of it is named."""
    found = {other for other in imports(modules()[name]) if other in modules()} - {name}
    return {other for other in found if not any(inner.startswith(f"{other}.") for inner in found)}


def test_there_are_no_circles() -> None:
    """Modules that import each other are one thought in two files."""
    graph = {name: needed(name) for name in modules()}
    waiting, done = dict(graph), set[str]()
    while ready := [name for name, needs in waiting.items() if needs <= done]:
        done |= set(ready)
        for name in ready:
            del waiting[name]
    assert not waiting, sorted(waiting)


def belongs(name: str, library: str) -> bool:
    """Return whether a module may import a library."""
    places = () if library in NOWHERE else ONE_PLACE.get(library, (name,))
    return any(name == place or name.startswith(place + ".") for place in places)


def test_one_outside_library_one_place() -> None:
    """A library is known where it belongs and nowhere else."""
    faults = [
        f"{name} imports {imported}"
        for name, imported in imported_names()
        if not belongs(name, imported.partition(".")[0])
    ]

    assert not faults, listed(faults)


IO = {"socket", "ssl", "http", "subprocess", "threading", "pathlib", "urllib.request"}


def test_the_lower_floors_do_no_io() -> None:
    """Neither sockets nor processes nor files, but for the settings' own files."""
    faults = [
        f"{name} imports {imported}"
        for name, imported in imported_names()
        if folder(name) in {"core", "config", "engine"} and imported in IO
    ]

    assert not faults, listed(faults)


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_one_shot_process_pays_for_nothing_it_does_not_use() -> None:
    """Engine, light adapter and stdio door load no server, no SDK, no pydantic, no tokenizer."""
    loaded = loaded_by("import sidecar.cli.main, sidecar.cli.program, sidecar.stdio.process, sidecar.oneshot")
    assert not loaded & {
        "openai",
        "aiohttp",
        "pydantic",
        "httpx2",
        "uvloop",
        "semantic_text_splitter",
        "redis",
        "arq",
        "sqlite3",
        "markdown_it",
        "nh3",
        "aiohappyeyeballs",
        "argparse",
        "dataclasses",
        "hashlib",
    }
    assert not loaded & {"sidecar.config.tokens", "sidecar.engine.quotas"}


def test_the_server_pays_for_no_models() -> None:
    """What describes the interface is a file to the server: pydantic comes with the SDK alone, if at all."""
    loaded = loaded_by("import sidecar.http.app, sidecar.http.server.server, sidecar.http.routes.openapi")
    assert not loaded & {"pydantic", "pydantic_core", "openai", "sidecar.http.openapi.document"}


def test_the_server_pays_for_metrics_at_the_first_scrape() -> None:
    """A server that nobody scrapes never loads the library."""
    loaded = loaded_by("import sidecar.wiring, sidecar.http.server.server, sidecar.publishing")
    assert not {name for name in loaded if name.startswith(("prometheus_client", "sidecar.metrics.collector"))}


def test_without_tracing_nobody_pays_for_it() -> None:
    """Server and worker load nothing of OpenTelemetry, nor of its exporter."""
    loaded = loaded_by("import sidecar.wiring, sidecar.http.server.server, sidecar.jobs.worker.handler")
    assert not {name.partition(".")[0] for name in loaded} & {"opentelemetry", "google", "requests", "urllib3"}
    assert "sidecar.tracing" not in loaded


def test_html_is_paid_for_by_the_first_answer() -> None:
    """A server whose callers want the provider's own words loads neither reader nor cleaner."""
    loaded = loaded_by("import sidecar.wiring, sidecar.http.server.server, sidecar.jobs.collect, sidecar.batch.runner")
    assert not loaded & {"markdown_it", "nh3", "mdurl"}


def test_a_wrong_setting_is_said_before_anything_is_loaded() -> None:
    """The command line knows its settings without an event loop."""
    loaded = loaded_by("import sidecar.cli.main, sidecar.cli.program, sidecar.cli.flags")
    assert not loaded & {"asyncio", "aiohttp", "openai", "http.client"}


@pytest.mark.parametrize("name", ["batch", "collect", "enqueue", "rehearse"])
def test_a_command_pays_for_nothing_before_it_is_at_work(name: str) -> None:
    """A wrong call needs no provider's library, and only a terminal needs a bar."""
    assert not loaded_by(f"import sidecar.cli.{name}") & {"openai", "aiohttp", "tqdm", "uvloop"}


def test_packages_have_no_utils() -> None:
    """A file's name says what lives in it."""
    assert not [name for name in modules() if name.rpartition(".")[2] in {"utils", "helpers", "misc", "common"}]


SIDE_BY_SIDE = {"sidecar.engine.engine", "sidecar.engine.completions", "sidecar.engine.background"}


@pytest.mark.parametrize("name", sorted(SIDE_BY_SIDE))
def test_engine_completions_and_background_stand_side_by_side(name: str) -> None:
    """Each stands on the kernel and the shared parts; none knows another, nor the service that holds all three."""
    assert not imports(modules()[name]) & (SIDE_BY_SIDE | {"sidecar.engine.service"})

"""The house: which module may import which, one place for each outside library, and what is imported late."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FLOORS = [
    ("sidecar.core", 0),
    ("sidecar.engine", 1),
    ("sidecar.edges", 2),
    ("sidecar.wiring", 3),
    ("worker", 4),
    ("sidecar.cli.flags", 4),
    ("sidecar.cli", 4),
    ("sidecar.cli.main", 4),
    ("sidecar.__main__", 5),
]
ONE_PLACE = {
    "openai": ("sidecar.provider.openai_sdk",),
    "httpx2": ("sidecar.provider.openai_sdk",),
    "aiohttp": ("sidecar.http", "sidecar.demo", "sidecar.provider.openai_sdk"),
    "uvloop": ("sidecar.wiring", "sidecar.demo.command"),
    "semantic_text_splitter": ("sidecar.engine.splitter",),
    "arq": ("sidecar.jobs", "worker"),
    "redis": ("sidecar.jobs", "worker"),
    "tqdm": ("sidecar.cli",),
}
NOWHERE = {"pickle", "marshal", "shelve"}


def modules() -> dict[str, Path]:
    found = {}
    for package in ("sidecar", "worker"):
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def floor(name: str) -> int | None:
    return max((level for prefix, level in FLOORS if name == prefix or name.startswith(prefix + ".")), default=None)


@pytest.mark.parametrize("name", modules())
def test_a_file_imports_its_own_floor_or_below(name: str) -> None:
    """Words know nothing above them, the engine no edge, the edges no wiring."""
    level = floor(name)
    if level is None:
        return
    for imported in imports(modules()[name]):
        other = floor(imported)
        assert other is None or other <= level, f"{name} imports {imported}"


@pytest.mark.parametrize("name", modules())
def test_one_outside_library_one_place(name: str) -> None:
    """A library is known where it belongs and nowhere else."""
    for imported in imports(modules()[name]):
        top = imported.partition(".")[0]
        assert top not in NOWHERE
        if top in ONE_PLACE:
            assert any(name == place or name.startswith(place + ".") for place in ONE_PLACE[top]), f"{name}: {imported}"


@pytest.mark.parametrize("name", [name for name in modules() if name.startswith(("sidecar.core", "sidecar.engine"))])
def test_the_lower_floors_do_no_io(name: str) -> None:
    """Neither sockets nor processes nor files, but for the settings' own files."""
    assert not imports(modules()[name]) & {
        "socket",
        "ssl",
        "http",
        "subprocess",
        "threading",
        "pathlib",
        "urllib.request",
    }


def loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_one_shot_process_pays_for_nothing_it_does_not_use() -> None:
    """Engine, light adapter and stdio door load no server, no SDK, no pydantic, no tokenizer."""
    loaded = loaded_by("import sidecar.wiring, sidecar.cli.main, sidecar.provider.stdlib.client, sidecar.stdio.server")
    assert not loaded & {"openai", "aiohttp", "pydantic", "httpx2", "uvloop", "semantic_text_splitter", "redis", "arq"}


def test_a_wrong_setting_is_said_before_anything_is_loaded() -> None:
    """The command line knows its settings without an event loop."""
    assert not loaded_by("import sidecar.cli.main") & {"asyncio", "aiohttp", "openai", "http.client"}


@pytest.mark.parametrize("name", ["batch", "collect", "enqueue"])
def test_a_command_pays_for_nothing_before_it_is_at_work(name: str) -> None:
    """A wrong call needs no provider's library, and only a terminal needs a bar."""
    assert not loaded_by(f"import sidecar.cli.{name}") & {"openai", "aiohttp", "tqdm", "uvloop"}


def test_packages_have_no_utils() -> None:
    """A file's name says what lives in it."""
    assert not [name for name in modules() if name.rpartition(".")[2] in {"utils", "helpers", "misc", "common"}]

"""A checkout on a machine with stand-ins for Python's venv and pip, for the start scripts.

PATH holds the tools the scripts may use and no others. The stand-in Python notes every install, makes a command that
tells how it was started, and leaves all else to the real one. A real install is what `make test` itself starts with.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT

TOOLS = ["sh", "cat", "cp", "cut", "dirname", "find", "ln", "mkdir", "mv", "readlink", "rm", "sha256sum", "sort", "tee"]
PYTHON = """#!/bin/sh
case "$*" in
-V) echo "Python {version}" ;;
"-c import ensurepip, venv") {venv} ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
"-m pip install "*)
    echo "$*" >>"{notes}"
    [ ! -p "{gate}" ] || cat "{gate}"
    [ ! -e "{broken}" ] || {{ cat "{broken}" >&2; exit 1; }}
    case "$*" in *--no-deps*) cp "{command}" "${{0%/*}}/openai-moodle-sidecar" ;; esac
    ;;
*) exec "{real}" "$@" ;;
esac
"""
COMMAND = """
import json, os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print(json.dumps({"pid": os.getpid(), "args": sys.argv[1:], "cwd": os.getcwd()}), flush=True)
if "--wait" in sys.argv:
    signal.sigwait({signal.SIGTERM})
    print("terminated")
sys.exit(2 if "--fail" in sys.argv else 0)
"""


class Site:
    """A checkout in a folder with a space in its name, on a machine with nothing else on PATH."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.tree = base / "a site"
        self.bin = base / "bin"
        self.notes = base / "notes"
        self.gate = base / "gate"
        self.broken = base / "broken"
        ignore = shutil.ignore_patterns(".*", "tests", "benchmarks", "docs", "__pycache__", "*.egg-info", "build")
        shutil.copytree(ROOT, self.tree, ignore=ignore)
        self.bin.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found, tool
            (self.bin / tool).symlink_to(found)
        (base / "command.py").write_text(COMMAND)
        self.executable(base / "command", f'#!/bin/sh\nexec "{sys.executable}" "{base}/command.py" "$@"\n')

    def python(self, name: str = "python3", version: str = "3.11.9", *, venv: bool = True) -> Path:
        """Put a Python of that version on PATH."""
        text = PYTHON.format(
            version=version,
            venv="true" if venv else "false",
            notes=self.notes,
            gate=self.gate,
            broken=self.broken,
            command=self.base / "command",
            real=sys.executable,
        )
        return self.executable(self.bin / name, text)

    @staticmethod
    def executable(path: Path, text: str) -> Path:
        path.write_text(text)
        path.chmod(0o755)
        return path

    def popen(
        self, *args: str, script: Path | None = None, cwd: Path | None = None, **env: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [str(script or self.tree / "start-server.sh"), *args],
            env={"PATH": str(self.bin), **env},
            cwd=cwd or self.base,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def start(self, *args: str, **more: Any) -> "subprocess.CompletedProcess[str]":
        with self.popen(*args, **more) as process:
            out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def installs(self) -> list[str]:
        """Return what pip was called with since the last look, a line for each call."""
        lines = self.notes.read_text().splitlines() if self.notes.exists() else []
        self.notes.unlink(missing_ok=True)
        return lines

    def append(self, name: str, text: str) -> None:
        with (self.tree / name).open("a") as file:
            file.write(text)


def told(result: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    """Return what the command wrote about its start."""
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


@contextlib.contextmanager
def installing(site: Site) -> Iterator["subprocess.Popen[str]"]:
    """Start with a pip that stands still until the block is left."""
    os.mkfifo(site.gate)
    with site.popen() as process:
        with site.gate.open("w"):  # opens once pip stands at the gate
            site.gate.unlink()
            yield process
        process.communicate(timeout=60)

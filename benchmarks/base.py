"""An older build to measure beside this one: a revision of this repository, in a folder and environment of its own."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rig import ROOT


class Build(NamedTuple):
    """An installed build: its name, its folder and its Python."""

    name: str
    root: Path
    python: str


THIS = Build("this build", ROOT, sys.executable)


@contextlib.contextmanager
def builds(revision: str = os.environ.get("BASE", "")) -> Iterator[list[Build]]:
    """Yield this build and, with BASE=<revision> in the environment, that revision's, installed as users install it."""
    if not revision:
        yield [THIS]
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, "base")
        subprocess.run(["git", "-C", str(ROOT), "worktree", "add", "--detach", str(root), revision], check=True)
        try:
            subprocess.run(["sh", "scripts/venv.sh", "run"], cwd=root, check=True)
            yield [THIS, Build(revision, root, str(root / ".venv/bin/python"))]
        finally:
            subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(root)], check=True)

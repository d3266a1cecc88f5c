"""What CI compares the cost of a request with: the release before this commit, and one line where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT

SCRIPTS = ("base.py", "bench_cost.py", "bench_release.py", "cost_provider.py", "rig.py")


class Checkout:
    """A folder with the benchmark's scripts, and with a history of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "benchmarks").mkdir()
        (folder / "sidecar").mkdir()
        for name in SCRIPTS:
            shutil.copy(ROOT / "benchmarks" / name, folder / "benchmarks")

    def git(self, *words: str) -> str:
        person = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main")
        env = os.environ | {"GIT_CONFIG_GLOBAL": os.devnull}
        done = subprocess.run(
            ["git", "-C", str(self.folder), *person, *words], env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, version: str, more: str = "") -> str:
        (self.folder / "sidecar/__init__.py").write_text(f'__version__ = "{version}"\n{more}')
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "x")
        return self.git("log", "-1", "--format=%h")

    def run(self, *words: str, path: str = os.environ["PATH"]) -> str:
        env = {"PATH": path, "HOME": str(self.folder)}
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder / "benchmarks",
            env=env,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def last(self) -> str:
        return self.run("-c", "import bench_release; print(*bench_release.last_release(), sep='|')")


def test_the_last_release_is_the_tag_or_the_version_before_this_commit(tmp_path: Path) -> None:
    """A release's own commit is compared with the release before it."""
    checkout = Checkout(tmp_path)
    checkout.git("init", "-q")
    first = checkout.commit("1.0.0")
    assert checkout.last() == "|", "nothing comes before the first commit"
    checkout.commit("1.0.0", "x = 1\n")
    second = checkout.commit("1.1.0")
    assert checkout.last() == f"1.0.0 ({first})|{first}"
    checkout.commit("1.1.0", "y = 1\n")
    assert checkout.last() == f"1.1.0 ({second})|{second}"
    checkout.git("tag", "v1.1.0", second)
    assert checkout.last() == "v1.1.0|v1.1.0"


def test_without_a_history_one_line_says_so(tmp_path: Path) -> None:
    """A checkout without its history, or a machine without git, fails no build."""
    said = Checkout(tmp_path).run("bench_release.py", path="/nonexistent")
    assert said == "no last release in this history to compare with"


def test_ci_ends_with_the_tests() -> None:
    """What reads the end of the output finds pytest's closing line there."""
    lines = (ROOT / ".ci/run").read_text("utf-8").splitlines()
    assert lines[-1].startswith("make test")
    assert ".venv-dev/bin/python benchmarks/bench_release.py || true" in lines

"""What systemd itself says of the units in deploy/: it reads them offline, with a command that is there."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
UNITS = sorted(path.name for path in DEPLOY.iterdir() if path.suffix in {".service", ".socket"})
INSTALLED = "/opt/openai-moodle-sidecar/.venv/bin/openai-moodle-sidecar"
EXPOSED = 20
"""Tenths of systemd's own measure of what a service could do to its machine, at most; its word for 2.0 is OK."""

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The units, as if the command were installed."""
    for name in UNITS:
        (tmp_path / name).write_text((DEPLOY / name).read_text().replace(INSTALLED, "/bin/true"))
    return tmp_path


def analyzed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], cwd=folder, capture_output=True, text=True, check=False)


def test_systemd_has_nothing_to_say_about_the_units(folder: Path) -> None:
    """No unknown key, no value it ignores, no dependency that cannot be."""
    result = analyzed(folder, "verify", *(f"./{name}" for name in UNITS))
    said = [line for line in result.stderr.splitlines() if "openai-moodle-sidecar" in line]
    assert (result.returncode, said) == (0, [])


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_systemd_finds_the_services_hardened(folder: Path, name: str) -> None:
    """By its own measure."""
    result = analyzed(folder, "security", "--offline=true", f"--threshold={EXPOSED}", f"./{name}")
    assert result.returncode == 0, result.stdout.splitlines()[-1]

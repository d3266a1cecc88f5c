"""What systemd itself says of the units in deploy/: it reads them offline, with a command that is there."""

import shlex
import shutil
import signal
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


@pytest.mark.parametrize("name", [name for name in UNITS if name.endswith(".service")])
def test_a_reload_never_ends_a_service(name: str) -> None:
    """The signal is sent only where PROVIDERS_FILE is set; else the reload fails, and the service goes on."""
    [line] = [line for line in (DEPLOY / name).read_text().splitlines() if line.startswith("ExecReload=")]
    command = shlex.split(line.partition("=")[2].replace("$$", "$"))
    for file, ended, code in (("", None, 1), ("/etc/providers.toml", -signal.SIGHUP, 0)):
        with subprocess.Popen(["sleep", "60"]) as service:
            env = {"MAINPID": str(service.pid), "PROVIDERS_FILE": file}
            assert subprocess.run(command, env=env, check=False).returncode == code
            try:
                assert (service.wait(10) if ended else service.poll()) == ended
            finally:
                service.kill()

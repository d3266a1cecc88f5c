"""Real PHP for tests: scripts run as processes, and a command as it is installed on a site. No promises here."""

import asyncio
import json
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import ROOT

PATIENCE = 60.0
PHP = shutil.which("php") or "php"
STRICT = ("-d", "error_reporting=-1", "-d", "display_errors=stderr", "-d", "log_errors=0")


def _lacking() -> str:
    if not shutil.which("php"):
        return "PHP is not installed (Debian: apt install php-cli php-curl)"
    loaded = subprocess.run([PHP, "-m"], capture_output=True, text=True, check=False).stdout.split()
    return "" if "curl" in loaded else "PHP has no curl (Debian: apt install php-curl)"


LACKING = _lacking()
needs_php = pytest.mark.skipif(bool(LACKING), reason=LACKING)


async def php(*words: str | Path, text: str | bytes = "", env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """Run a script in an environment of `env` alone; return exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        PHP, *STRICT, *map(str, words), env=env or {}, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    try:
        async with asyncio.timeout(PATIENCE):
            out, err = await process.communicate(text.encode() if isinstance(text, str) else text)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def drive(
    do: str,
    new: dict[str, Any] | None,
    *,
    options: tuple[str, ...] = (),
    psr4: bool = False,
    env: dict[str, str] | None = None,
    **given: Any,
) -> Any:
    """Return the result of `do` with `given` from our communicator, made with `new`; PHP reports no error."""
    task = json.dumps({"new": new, "do": do, "with": given, "psr4": psr4})
    code, out, err = await php(*options, ROOT / "tests/php/drive.php", text=task, env=env)
    assert (code, err) == (0, ""), (code, out, err)
    return json.loads(out)


def command(path: Path, *flags: str) -> Path:
    """Install the sidecar's command at `path`, by a link as on a site, with `flags` after those of the caller."""
    target = script(path.with_name("target-" + path.name), f"sys.exit(main([*sys.argv[1:], *{list(flags)!r}]))")
    path.symlink_to(target)
    return path


def script(path: Path, body: str) -> Path:
    """Write an executable Python script with `sys`, `os`, `json`, `time` and the sidecar's `main` imported."""
    path.write_text(
        f"#!{sys.executable}\nimport json, os, sys, time\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from sidecar.cli.main import main\n{body}\n"
    )
    path.chmod(0o755)
    return path

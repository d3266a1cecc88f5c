"""What the house asks of files that are not Python, and of CI."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shell_scripts_are_clean() -> None:
    """shellcheck finds nothing to say."""
    scripts = [ROOT / "start-server.sh", ROOT / ".ci/run", *sorted((ROOT / "scripts").glob("*.sh"))]
    result = subprocess.run(["shellcheck", *scripts], capture_output=True, text=True, check=False)

    assert result.stdout == ""
    assert result.returncode == 0


@pytest.mark.parametrize("ci", ["", "true"])
@pytest.mark.parametrize(
    "source",
    [
        "import pytest\n\n@pytest.mark.skip(reason='why')\ndef test_it(): pass\n",
        "import pytest\n\ndef test_it():\n    pytest.skip('why')\n",
        "import pytest\n\npytest.skip('why', allow_module_level=True)\n",
    ],
    ids=["marked", "inside", "whole file"],
)
def test_a_skipped_test_fails_in_ci_only(tmp_path: Path, source: str, ci: str) -> None:
    """Where nobody can lack a tool, nothing is skipped unseen."""
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "test_it.py").write_text(source)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env={"PATH": os.environ["PATH"], "CI": ci},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    closing = result.stdout.splitlines()[-1]
    assert ("skipped" not in closing) is bool(ci)
    assert (result.returncode in {1, 2}) is bool(ci)

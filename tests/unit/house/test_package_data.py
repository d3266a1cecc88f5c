"""Files that are no Python and that the product reads come with the package."""

import tomllib
from typing import Any

from tests.support.paths import ROOT


def test_every_file_that_is_no_python_is_shipped() -> None:
    """A page or script that only the checkout has is missing on every machine but ours."""
    pyproject: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    folder = ROOT / "sidecar"
    shipped = {
        path for pattern in pyproject["tool"]["setuptools"]["package-data"]["sidecar"] for path in folder.glob(pattern)
    }
    found = {path for path in folder.rglob("*") if path.is_file() and path.suffix not in {".py", ".pyc"}}
    assert found == shipped
    assert folder / "http/dashboard/page.html" in found

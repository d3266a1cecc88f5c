"""A folder for an embedded Valkey."""

import tempfile
from collections.abc import Iterator

import pytest


@pytest.fixture
def folder() -> Iterator[str]:
    """A short path: a unix socket's has a limit."""
    with tempfile.TemporaryDirectory(prefix="sidecar") as path:
        yield f"{path}/state"

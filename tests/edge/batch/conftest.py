"""A folder with a batch's input and output."""

from pathlib import Path

import pytest

from tests.support.batch_folder import Folder


@pytest.fixture
async def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)

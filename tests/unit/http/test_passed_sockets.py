"""What is said about passed sockets and about open files: whose they are, and what is done where they are too few."""

import os

import pytest

from sidecar.config.load import take_passed_sockets
from sidecar.core.errors import ConfigError
from sidecar.http.server.listener import connection_limit

OURS = str(os.getpid())


@pytest.mark.parametrize(
    ("variables", "count"),
    [
        ({}, 0),
        ({"LISTEN_FDS": "1"}, 0),
        ({"LISTEN_PID": OURS}, 0),
        ({"LISTEN_PID": OURS, "LISTEN_FDS": ""}, 0),
        ({"LISTEN_PID": OURS, "LISTEN_FDS": "1"}, 1),
        ({"LISTEN_PID": OURS, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "ai:jobs"}, 2),
        ({"LISTEN_PID": str(os.getppid()), "LISTEN_FDS": "1"}, 0),
    ],
)
def test_sockets_count_for_the_process_they_were_meant_for(variables: dict[str, str], count: int) -> None:
    """A descriptor 3 that was meant for a parent is something else here (sd_listen_fds(3))."""
    assert take_passed_sockets(dict(variables)) == count


@pytest.mark.parametrize("pid", [OURS, "1"], ids=["ours", "another"])
def test_no_child_learns_of_passed_sockets(pid: str) -> None:
    """Whatever they say, they are gone; everything else stays."""
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "LISTEN_PIDFDID": "1", "PATH": "/bin"}
    take_passed_sockets(environ)
    assert environ == {"PATH": "/bin"}


def test_a_count_that_is_none_is_a_clear_fault() -> None:
    """The administrator reads which variable is wrong."""
    with pytest.raises(ConfigError, match=r"^LISTEN_FDS=all: must be a whole number"):
        take_passed_sockets({"LISTEN_PID": OURS, "LISTEN_FDS": "all"})


@pytest.mark.parametrize("concurrency", [1, 8, 64, 10_000])
def test_provider_calls_have_descriptors_whatever_callers_hold(concurrency: int) -> None:
    """Two for each that may run, and some for the process itself, are never given to callers."""
    limit = 65_536
    assert connection_limit(limit, concurrency) + 2 * concurrency + 64 == limit


def test_too_few_open_files_are_a_clear_fault() -> None:
    """It says what is needed, what there is, and two ways out, of which each is enough."""
    with pytest.raises(
        ConfigError, match=r"CONCURRENCY=64: needs 208 open files and this process may have 128.* 24 or"
    ):
        connection_limit(128, 64)
    assert connection_limit(208, 64) == connection_limit(128, 24) == 16


def test_no_concurrency_is_advised_where_none_would_do() -> None:
    """At 70 open files nothing helps but more of them."""
    with pytest.raises(ConfigError, match=r"\(ulimit -n, LimitNOFILE=\)$"):
        connection_limit(70, 1)

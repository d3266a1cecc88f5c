"""Variables of a service manager: whose they are, and that no child sees them."""

import os

import pytest

from sidecar.config.load import environment_for_child, load, take_service_manager

OURS = str(os.getpid())


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, ("", 0.0)),
        ({"NOTIFY_SOCKET": " "}, ("", 0.0)),
        ({"NOTIFY_SOCKET": "/run/systemd/notify"}, ("/run/systemd/notify", 0.0)),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "30000000"}, ("@x", 30.0)),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": OURS}, ("@x", 0.5)),
        ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, ("@x", 0.0)),
        *(
            ({"NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": text}, ("@x", 0.0))
            for text in ("", "soon", "-1", "1.5", "٣", "9" * 30)
        ),
    ],
)
def test_a_manager_is_found_and_no_child_learns_of_it(variables: dict[str, str], found: tuple[str, float]) -> None:
    """A child that reported as well would be taken for the service; a watchdog of no sense is none."""
    environ = variables | {"PATH": "/bin"}
    assert take_service_manager(environ) == found
    assert environ == {"PATH": "/bin"}


def test_a_worker_that_is_started_has_none_of_it() -> None:
    """The embedded worker is a process of the server, not a service."""
    env = {"OPENAI_API_KEY": "k", "NOTIFY_SOCKET": "@x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": OURS}
    assert not environment_for_child(load({}, None, env), env).keys() & (env.keys() - {"OPENAI_API_KEY"})

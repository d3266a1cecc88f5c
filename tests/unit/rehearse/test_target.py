"""Promises of the address: this machine only, unless knowingly and with a token; no secret in it."""

import pytest

from sidecar.core.errors import ConfigError
from sidecar.rehearse.target import checked, own_address


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("http://127.77.0.1/ai", "http://127.77.0.1"),
        ("http://localhost:8081/ai/", "http://localhost:8081"),
        ("http://[::1]:8081", "http://[::1]:8081"),
        ("http://[::ffff:127.0.0.1]:8081", "http://[::ffff:127.0.0.1]:8081"),
    ],
)
def test_this_machine_is_allowed(url: str, base: str) -> None:
    """In every spelling, and as the plugin's variable has it."""
    assert checked(url, token="", knowing=False) == base


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.7:8081", "https://moodle.example/ai", "http://localhost.example", "http://127.0.0.1.example"],
)
def test_another_machine_needs_intent_and_a_token(url: str) -> None:
    """Neither alone is enough."""
    for token, knowing, words in [("", False, "--i-know"), ("t", False, "--i-know"), ("", True, "SIDECAR_TOKEN")]:
        with pytest.raises(ConfigError, match=words):
            checked(url, token=token, knowing=knowing)
    assert checked(url, token="t", knowing=True) == url.removesuffix("/ai")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8081", "ftp://127.0.0.1", "http://", "http://127.0.0.1:x"])
def test_no_address_is_a_fault(url: str) -> None:
    """Named with what is wanted."""
    with pytest.raises(ConfigError, match="must be an http:// or https:// address"):
        checked(url, token="", knowing=False)


@pytest.mark.parametrize("url", ["http://u:canary@127.0.0.1:8081", "http://127.0.0.1/?key=canary"])
def test_a_secret_in_the_address_is_refused_and_not_shown(url: str) -> None:
    """It would be in the process list."""
    with pytest.raises(ConfigError) as caught:
        checked(url, token="", knowing=False)
    assert "SIDECAR_TOKEN" in caught.value.faults[0]
    assert "canary" not in caught.value.faults[0]


def test_the_settings_address_is_reached_from_here() -> None:
    """A server on all addresses is on the loopback address too."""
    assert own_address("0.0.0.0", 8080) == "http://127.0.0.1:8080"
    assert own_address("::", 8080) == "http://[::1]:8080"
    assert own_address("127.77.0.1", 80) == "http://127.77.0.1:80"

"""Misspelled names: an error in the env file, a warning in the environment, silence about other programs' names."""

from pathlib import Path

import pytest

from sidecar.config.load import environment_for_child, ignored_variables, load
from sidecar.core.errors import ConfigError

KEY = {"OPENAI_API_KEY": "sk-test"}
MISTAKES = [
    ("OPENAI_BASEURL", "OPENAI_BASE_URL"),
    ("OPENAI_API_BASE", "OPENAI_BASE_URL"),
    ("SIDECAR_TOKENS", "SIDECAR_TOKEN"),
    ("OPENAI_TIMEOUT", "REQUEST_TIMEOUT"),
    ("OPENAI_APIKEY", "OPENAI_API_KEY"),
    ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID"),
    ("OPENAI_MAX_TOKENS", "MAX_TOKENS"),
    ("SIDECAR_LOG_LEVEL", "LOG_LEVEL"),
    ("OPENAI_SIDECAR_HTTP_TIMOUT", "OPENAI_SIDECAR_HTTP_TIMEOUT"),
    ("LOGLEVEL", "LOG_LEVEL"),
    ("AZURE_OPENAI_ENDPOINT", "OPENAI_BASE_URL"),
    ("BASE_URL", "OPENAI_BASE_URL"),
    ("API_KEY", "OPENAI_API_KEY"),
    ("MODEL", "OPENAI_MODEL"),
]
FOREIGN = """
    PATH HOME HOST HOSTNAME HOSTTYPE USER LOGNAME LANG LC_ALL TZ TERM SHELL PWD OLDPWD SHLVL MAIL EDITOR
    PAGER INVOCATION_ID JOURNAL_STREAM SYSTEMD_EXEC_PID CREDENTIALS_DIRECTORY STATE_DIRECTORY NOTIFY_SOCKET LISTEN_PID
    XDG_STATE_HOME
    HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY FTP_PROXY SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE PYTHONPATH
    PYTHONUNBUFFERED PIP_INDEX_URL AZURE_TENANT_ID AZURE_CLIENT_ID AZURE_CLIENT_SECRET REDIS_HOST REDIS_PORT
    REDIS_PASSWORD CACHE_DIR WEB_CONCURRENCY PAGE_SIZE OPENAI_LOG OPENAI_WEBHOOK_SECRET MOODLE_REDIS_URL
    OPENAI_SIDECAR_PORT OPENAI_SIDECAR_SERVICE_HOST OPENAI_SIDECAR_PORT_8081_TCP_ADDR SIDECAR_SERVICE_PORT_HTTP
    OPENAI_SIDECAR_HTTP_URL OPENAI_SIDECAR_CONNECT_TIMEOUT POSTGRES_HOST KUBERNETES_PORT SIDECAR_PORT
""".split()  # noqa: SIM905 - words, to be read


@pytest.mark.parametrize(("written", "meant"), MISTAKES)
def test_a_misspelled_name_in_the_env_file_stops_the_start(tmp_path: Path, written: str, meant: str) -> None:
    """Key and texts would go to the default host in silence. The line and the right name are told, the value is not."""
    file = tmp_path / "env"
    file.write_text(f"# ours\n{written}=canary\n")
    with pytest.raises(ConfigError) as raised:
        load({}, str(file), KEY)
    [fault] = raised.value.faults
    assert f"line 2: {written} is no setting" in fault
    assert fault.endswith(f"write {meant}")
    assert "canary" not in fault


def test_a_name_in_lower_case_in_the_env_file_is_a_mistake_too(tmp_path: Path) -> None:
    """Nothing reads it."""
    file = tmp_path / "env"
    file.write_text("openai_model=x\nport=1\n")
    with pytest.raises(ConfigError) as raised:
        load({}, str(file), KEY)
    assert [fault.rpartition(" ")[2] for fault in raised.value.faults] == ["OPENAI_MODEL", "PORT"]


def test_other_programs_names_may_stand_in_the_env_file(tmp_path: Path) -> None:
    """systemd passes the same file on; a blank value is no mistake, whatever its name."""
    file = tmp_path / "env"
    names = [name for name in FOREIGN if not name.startswith(("OPENAI_SIDECAR_", "SIDECAR_")) and name != "HOST"]
    file.write_text("".join(f"{name}=1\n" for name in names) + "https_proxy=http://p:1\nOPENAI_BASEURL=\n")
    assert load({}, str(file), KEY).proxies["https"] == "http://p:1"


@pytest.mark.parametrize(("written", "meant"), MISTAKES)
def test_a_misspelled_variable_is_warned_of(written: str, meant: str) -> None:
    """It stops nothing, since other programs share the environment. A name beside the right one does no harm."""
    load({}, None, KEY | {written: "canary"})
    [found] = ignored_variables({}, None, {written: "canary"})
    assert (found.name, found.meant) == (written, meant)
    assert "canary" not in found.advice
    assert ignored_variables({}, None, {written: "canary", meant: "1"}) == []
    assert ignored_variables({}, None, {written: " "}) == []


def test_the_right_name_in_the_env_file_counts_as_well(tmp_path: Path) -> None:
    """Then nobody misses the variable."""
    file = tmp_path / "env"
    file.write_text("OPENAI_BASE_URL=http://there\n")
    assert ignored_variables({}, str(file), {"OPENAI_API_BASE": "http://there"}) == []


def test_other_programs_variables_are_no_noise() -> None:
    """Those of shells, systemd, Kubernetes, OpenAI's SDK, and common names in lower case."""
    names = [*FOREIGN, "Port", "port", "model", "openai_sidecar_port_8081_tcp"]
    assert ignored_variables({}, None, dict.fromkeys(names, "1")) == []


@pytest.mark.parametrize("written", ["openai_base_url", "OpenAI_BaseUrl"])
def test_a_variable_of_ours_in_lower_case_is_warned_of(written: str) -> None:
    """Nothing reads it, and texts go to the default host; no other program's begins so."""
    [found] = ignored_variables({}, None, {written: "http://there"})
    assert (found.name, found.meant) == (written, "OPENAI_BASE_URL")


@pytest.mark.parametrize("written", ["OPENAI_KEY", "API_KEY", "openai_api_key", "OPENAI_API_KYE"])
def test_a_missing_key_is_told_with_the_variable_that_was_meant_for_it(written: str) -> None:
    """The warning of other misspelled variables comes after the start, and there is none without a key."""
    with pytest.raises(ConfigError) as raised:
        load({}, "/dev/null", {written: "sk-canary", "OPENAI_TIMEOUT": "5"})
    [missing, meant] = raised.value.faults
    assert missing.startswith("OPENAI_API_KEY: required")
    assert meant == f"{written} is no setting of the sidecar; write OPENAI_API_KEY"


def test_a_name_of_ours_that_is_like_nothing_is_warned_of_without_a_guess() -> None:
    """The list is named instead."""
    [found] = ignored_variables({}, None, {"OPENAI_TEMPERATURE": "1"})
    assert (found.meant, "docs/settings.md" in found.advice) == ("", True)


def test_a_child_does_not_warn_again() -> None:
    """The parent has."""
    env = environment_for_child(load({}, None, KEY), KEY | {"OPENAI_API_BASE": "x", "HOME": "/"})
    assert (ignored_variables({}, None, env), env["HOME"]) == ([], "/")

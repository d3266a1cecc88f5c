"""Values as new operators write them: each mistake has a sentence that says what to do, and shows no key."""

from pathlib import Path

import pytest

from sidecar.config import secret_file
from sidecar.config.load import load
from sidecar.config.settings import BY_FIELD
from sidecar.core.errors import ConfigError

KEY = {"OPENAI_API_KEY": "sk-test"}


def fault(env: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as raised:
        load({}, "/dev/null", KEY | env)
    [found] = raised.value.faults
    return found


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("OPENAI_API_KEY", '"sk-canary"', "without the quotes"),
        ("SIDECAR_TOKEN", "'canary-token'", "without the quotes"),
        ("OPENAI_API_KEY", "Bearer sk-canary", "without the word Bearer"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY=sk-canary", "without NAME= before it"),
        ("OPENAI_API_KEY", "sk-canary # of the school", "a comment needs a line of its own"),
        ("OPENAI_BASE_URL", '"https://there/v1"', "without the quotes"),
        ("OPENAI_MODEL", "'gpt'", "without the quotes"),
        ("OPENAI_MODEL", "gpt # cheap", "a comment needs a line of its own"),
        ("PORT", "8080 # ours", "a comment needs a line of its own"),
        ("PORT", '"8080"', "without the quotes"),
        ("HTTP_MODE", '"true"', "without the quotes"),
        ("REDIS_URL", '"redis://:canary@there"', "without the quotes"),
        ("OPENAI_API_KEY", "${CANARY_KEY}", "the value itself"),
        ("SIDECAR_TOKEN", "$CANARY_TOKEN", "the value itself"),
        ("OPENAI_API_KEY", "<your canary key>", "the value itself"),
        ("OPENAI_MODEL", "${OPENAI_MODEL}", "the value itself"),
        ("QUEUE_BYTES", "lots", "such as 64MiB"),
        ("REQUEST_TIMEOUT", "25s", "a plain number"),
    ],
)
def test_what_was_written_for_another_reader_is_told(name: str, value: str, advice: str) -> None:
    """Quotes that stayed, a comment behind a value, a whole line in place of its value, a header's word."""
    found = fault({name: value})
    assert advice in found
    assert found.startswith(f"{name}=")
    assert "canary" not in found


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("https://api.there.org/v 1", "without spaces"),
        ("https://api.there.org/v1#canary", "without # and"),
        ("https:\\\\api.there.org\\v1", "/ in place of each backslash"),
        ("https://schüle.example/v1", "its host is written xn--schle-mva.example"),
        ("https://there.example/größe", "in ASCII letters"),
        ("https://there.example:99999/v1", "with a port from 1 to 65535"),
        ("https://there.example:0/v1", "with a port from 1 to 65535"),
        ("https://there.example:x/v1", "with a port from 1 to 65535"),
        ("api.there.org/v1", "lacks https://"),
        ("https://https://there.example", "http:// or https:// once"),
        ("https://there.example/v1/v1", "with /v1 once and not twice"),
        ("https://there.example/v1/v1/", "with /v1 once and not twice"),
        ("https://there.example/openai/v1/openai/v1", "with /openai/v1 once"),
        ("https://there.example/v1/chat/completions/chat/completions", "with /chat/completions once"),
        ("ftp://there.example", "an http:// or https:// address"),
        ("https:///v1", "an http:// or https:// address"),
        ("https://there..example/v1", "single dots"),
        ("https://th!ere.example/v1", "only letters"),
        ("https://one.example,https://two.example", "several providers stand in PROVIDERS_FILE"),
        ("https://<resource>.example/v1", "stands for the real one"),
        ("https://{resource}.example/v1", "stands for the real one"),
        ("https://there.example/v1/models", "without /models at its end"),
        ("https://there.example/v1/completions/", "without /completions at its end"),
        ("https://there.example/v1beta/openai/embeddings", "without /embeddings at its end"),
        ("https://[::1", "an http:// or https:// address"),
    ],
)
def test_an_address_with_a_slip_is_told_what_is_wrong_with_it(url: str, advice: str) -> None:
    """Each with its own sentence."""
    found = fault({"OPENAI_BASE_URL": url})
    assert advice in found
    assert "canary" not in found


@pytest.mark.parametrize(
    "url",
    [
        "https://there.example/v1/",
        "http://127.0.0.1:11434/v1",
        "http://[::1]:8000/v1",
        "https://there.example/v1beta/openai/",
        "https://there.example/v1/chat/completions",
        "https://there.example/models",
        "https://models_1.there.example./v1",
        "https://there.example/v1/v1beta",
        "https://gateway.example/v1/account/openai/openai",
        "https://there.example/openai/deployments/gpt?api-version=2024-10-21",
    ],
)
def test_addresses_that_work_are_taken(url: str) -> None:
    """A slash at the end included."""
    assert load({}, "/dev/null", KEY | {"OPENAI_BASE_URL": url}).openai_base_url == url


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("OPENAI_API_KEY=sk-canary\n", "without NAME= before it"),
        ("export SCHOOL_KEY='sk-canary'\n", "without NAME= before it"),
        ("api_key=sk-canary\n", "without NAME= before it"),
        ("OPENAI_API_KEY: sk-canary\n", "without NAME= before it"),
        ('"sk-canary"\n', "written without the quotes"),
        ("sk-canary\nsk-canary-too\n", "one line"),
        ("# of the school\nsk-canary\n", "without a comment"),
        ("sk-canary # of the school\n", "without a comment"),
        ("sk canary\n", "without spaces"),
    ],
)
def test_a_key_file_holds_the_key_alone(tmp_path: Path, text: str, advice: str) -> None:
    """The file is named, and nothing is said of a key that is missing."""
    file = tmp_path / "key"
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load({}, "/dev/null", {"OPENAI_API_KEY_FILE": str(file)})
    [found] = raised.value.faults
    assert found.startswith(f"OPENAI_API_KEY_FILE={file}: the text in it must be ")
    assert advice in found
    assert "canary" not in found


@pytest.mark.parametrize(
    ("copied", "advice"),
    [(False, "write the value into it"), (True, "the file that LoadCredential= in the unit names")],
)
def test_an_empty_key_file_says_where_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copied: bool, advice: str
) -> None:
    """The one under /run is systemd's copy, made blank where the file itself is missing."""
    (tmp_path / "key").write_text(" \n")
    monkeypatch.setattr(secret_file, "_CREDENTIALS", str(tmp_path) if copied else "/run/credentials/")
    with pytest.raises(ConfigError) as raised:
        load({}, "/dev/null", {"OPENAI_API_KEY_FILE": f"{tmp_path}/key"})
    [found] = raised.value.faults
    assert found.startswith(f"OPENAI_API_KEY_FILE={tmp_path}/key: the file is empty; ")
    assert advice in found


@pytest.mark.parametrize("key", ["sk-proj_A-b", "QUJD_REVG=", "a=b", "QUJDREVGRw==", "my_key:0af", "a$B"])
def test_real_keys_are_taken(key: str) -> None:
    """Some end in =, or have one."""
    assert load({}, "/dev/null", {"OPENAI_API_KEY": key}).openai_api_key == key


def test_a_providers_file_has_the_same_eyes(tmp_path: Path) -> None:
    """For addresses and for files of keys."""
    key, file = tmp_path / "key", tmp_path / "providers.toml"
    key.write_text("OPENAI_API_KEY=sk-canary")
    file.write_text(
        f'[[provider]]\nname="a"\nmodel="m"\nbase_url="https://there.example/v1/v1"\napi_key_file="{key}"\n'
    )
    with pytest.raises(ConfigError) as raised:
        load({}, "/dev/null", {"PROVIDERS_FILE": str(file)})
    assert ["once and not twice" in raised.value.faults[0], "without NAME=" in raised.value.faults[1]] == [True, True]


def test_limits_and_defaults_are_told_as_people_write_them() -> None:
    """128MiB and 25, where a program would say 134217728 and 25.0."""
    assert "MAX_BODY_BYTES=4MiB: must be at most QUEUE_BYTES (1MiB)" in fault({"QUEUE_BYTES": "1MiB"})
    assert "from 1KiB to 1TiB" in fault({"QUEUE_BYTES": "0"})
    shown = {field: BY_FIELD[field].shown_default for field in ("queue_bytes", "request_timeout", "queue_size")}
    assert shown == {"queue_bytes": "128MiB", "request_timeout": "25", "queue_size": "2048"}

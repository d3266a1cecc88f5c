"""Settings: precedence, blanks, files, faults all at once, and nothing secret shown."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.load import environment_for_child, load
from sidecar.config.settings import BY_FIELD, SETTINGS, Settings
from sidecar.core.errors import ConfigError
from sidecar.jobs.redis import connect

KEY = {"OPENAI_API_KEY": "sk-test"}


def read(env: dict[str, str] | None = None, /, **flags: str) -> Settings:
    return load(flags, None, KEY | (env or {}))


def faults(env: dict[str, str] | None = None, /, **flags: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(flags, None, env or {})
    return raised.value.faults


def test_the_seeds_defaults() -> None:
    """The document the project was created from names them; callers rely on them."""
    settings = read()
    assert settings.openai_base_url == "https://ai.kivoyo.com/api"
    assert settings.openai_model == "adorsys"
    assert (settings.max_tokens, settings.summarize_threshold) == (1000, 2000)
    assert (settings.http_mode, settings.port, settings.host) == (False, 8080, "127.0.0.1")


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    """The order of the contract, each step once."""
    file = tmp_path / "env"
    file.write_text("MAX_TOKENS=2\nPORT=2\nOPENAI_MODEL=file\n")
    settings = load({"max_tokens": "4"}, str(file), KEY | {"MAX_TOKENS": "3", "PORT": "3"})
    assert (settings.max_tokens, settings.port, settings.openai_model) == (4, 3, "file")
    assert settings.summarize_threshold == 2000


@pytest.mark.parametrize("blank", ["", " ", "\r", " \t\r\n"])
def test_blank_means_unset(blank: str) -> None:
    """Compose passes unset variables as blank strings."""
    settings = load({"model": None, "max_tokens": blank}, None, KEY | {"MAX_TOKENS": blank, "HTTP_MODE": blank})
    assert (settings.max_tokens, settings.http_mode) == (1000, False)


def test_outer_white_space_is_dropped() -> None:
    """A trailing space or carriage return from a file edited on Windows is no fault."""
    assert read({"PORT": "8081\r", "OPENAI_MODEL": " gpt "}).port == 8081


def test_all_faults_are_reported_together() -> None:
    """One start shows everything that is wrong, each with its variable, value and what is allowed."""
    found = faults({"PORT": "99999", "MAX_TOKENS": "many", "LOG_FORMAT": "xml", "HOST": "nowhere"})
    assert len(found) == 5
    assert "PORT=99999: must be a whole number from 0 to 65535 (flag --port)" in found
    assert any(fault.startswith("MAX_TOKENS=many: must be") for fault in found)
    assert any(fault.startswith("LOG_FORMAT=xml: must be text or json") for fault in found)
    assert any(fault.startswith("OPENAI_API_KEY: required") for fault in found)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if s.secret], ids=lambda s: s.name)
def test_a_secrets_value_is_never_shown(setting: object) -> None:
    """Not even when it is wrong."""
    name = getattr(setting, "name", "")
    assert not any("hunter2" in fault for fault in faults({name: "hunter2 with spaces"}))


def test_an_address_with_a_password_is_not_shown() -> None:
    """A base URL may carry credentials."""
    assert not any("hunter2" in fault for fault in faults(KEY | {"OPENAI_BASE_URL": "ftp://me:hunter2@host/"}))


def test_secrets_can_come_from_files(tmp_path: Path) -> None:
    """Docker secrets and systemd credentials are files; a value given directly goes before."""
    file = tmp_path / "key"
    file.write_text("sk-from-file\n")
    assert load({}, None, {"OPENAI_API_KEY_FILE": str(file)}).openai_api_key == "sk-from-file"
    assert read({"OPENAI_API_KEY_FILE": str(file)}).openai_api_key == "sk-test"
    assert read({"SIDECAR_TOKEN_FILE": str(file)}).sidecar_token == "sk-from-file"


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"], ids=["missing", "empty", "binary"])
def test_a_secret_file_that_gives_nothing_is_a_fault(tmp_path: Path, content: bytes | None) -> None:
    """Missing, empty or unreadable: it is named."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    assert any(f"OPENAI_API_KEY_FILE={file}" in fault for fault in faults({"OPENAI_API_KEY_FILE": str(file)}))


def test_the_env_file_is_forgiving_and_exact(tmp_path: Path) -> None:
    """Comments, blank lines, `export`, quotes and CRLF are understood; anything else is named by its line."""
    file = tmp_path / "env"
    file.write_text('# comment\r\n\r\nexport PORT=81\r\nOPENAI_MODEL="a b"\r\n  MAX_TOKENS = 7 \r\n')
    settings = load({}, str(file), KEY)
    assert (settings.port, settings.openai_model, settings.max_tokens) == (81, "a b", 7)
    file.write_text("PORT\nsecret words\n")
    with pytest.raises(ConfigError) as raised:
        load({}, str(file), KEY)
    assert [fault.partition(": ")[2] for fault in raised.value.faults] == [
        "line 1 is not NAME=value",
        "line 2 is not NAME=value",
    ]
    assert "secret words" not in str(raised.value)


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Editors on Windows write one, and nobody sees it."""
    file, key = tmp_path / "env", tmp_path / "key"
    file.write_text(f"OPENAI_API_KEY_FILE={key}\r\n", encoding="utf-8-sig")
    key.write_text("sk-from-file\r\n", encoding="utf-8-sig")
    assert load({}, str(file), {}).openai_api_key == "sk-from-file"


def test_a_named_env_file_must_be_there(tmp_path: Path) -> None:
    """A misspelt --env-file is said."""
    with pytest.raises(ConfigError, match="no such file"):
        load({}, str(tmp_path / "none"), KEY)


@pytest.mark.parametrize(
    ("limit", "timeout"), [("30", 24.0), ("60", 48.0), ("10", 5.0), ("6", 3.0), ("100", 80.0), ("25", 20.0)]
)
def test_the_deadline_follows_the_callers_own(limit: str, timeout: float) -> None:
    """Less 5 s or a fifth, whichever is more, but at least half: the answer comes before PHP gives up."""
    assert read({"OPENAI_SIDECAR_HTTP_TIMEOUT": limit}).request_timeout == timeout
    assert read({"OPENAI_SIDECAR_HTTP_TIMEOUT": limit, "REQUEST_TIMEOUT": "7"}).request_timeout == 7.0
    assert read().request_timeout == 25.0


def test_a_server_open_to_strangers_needs_a_token() -> None:
    """Beyond loopback it does not start without a token, unless told so."""
    with pytest.raises(ConfigError, match="SIDECAR_TOKEN"):
        read({"HOST": "0.0.0.0"}).check_listening()
    read({"HOST": "0.0.0.0", "SIDECAR_TOKEN": "t"}).check_listening()
    read({"HOST": "0.0.0.0", "ALLOW_UNAUTHENTICATED": "true"}).check_listening()
    for host in ("127.0.0.1", "127.77.0.1", "::1", "localhost"):
        read({"HOST": host}).check_listening()


def test_what_belongs_together_is_checked_together() -> None:
    """Settings that contradict each other are faults."""
    assert any("USER_SECRET" in fault for fault in faults(KEY | {"SEND_USER": "true"}))
    assert any("USER_SECRET" in fault for fault in faults(KEY | {"USAGE_USERS": "true"}))
    assert any("AI_REQUIRE_TOKEN" in fault for fault in faults(KEY | {"AI_REQUIRE_TOKEN": "true"}))
    assert any("QUEUE_BYTES" in fault for fault in faults(KEY | {"QUEUE_BYTES": "1MiB"}))


@pytest.mark.parametrize(
    ("text", "value"),
    [("64MiB", 64 * 1024**2), ("5k", 5120), ("4194304", 4194304), ("1 gb", 1024**3), ("8MB", 8 * 1024**2)],
)
def test_sizes_have_units(text: str, value: int) -> None:
    """As people write them."""
    assert read({"CACHE_BYTES": text}).cache_bytes == value


@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", "\u0661", "0x10", "10 000", "", "NaN"])
def test_numbers_are_numbers(text: str) -> None:
    """What other programs might read as a number is not guessed."""
    if text:
        assert faults(KEY | {"MAX_TOKENS": text})


def test_proxies_follow_the_custom() -> None:
    """HTTPS_PROXY in either case, HTTP_PROXY only in lower case, as curl does it."""
    settings = read({"HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "http://evil:1", "no_proxy": "localhost"})
    assert settings.proxies == {"https": "http://p:1", "no": "localhost"}


def test_the_env_file_may_name_the_proxy_in_capitals(tmp_path: Path) -> None:
    """No request's header gets there; the environment's own name comes first."""
    file = tmp_path / "env"
    file.write_text("HTTP_PROXY=http://p:1\n")
    assert load({}, str(file), KEY).proxies == {"http": "http://p:1"}
    assert load({}, str(file), KEY | {"http_proxy": "http://q:2"}).proxies == {"http": "http://q:2"}


def test_every_setting_has_its_field_and_flag() -> None:
    """One table is the source of variables, fields, flags and help."""
    derived = {"proxies", "ca_file", "openai_api_key_file", "providers", "tokens"}
    assert set(Settings.__struct_fields__) - derived == set(BY_FIELD)
    assert len({setting.option for setting in SETTINGS}) == len(SETTINGS)
    assert {"--api-key", "--base-url", "--model", "--max-tokens", "--summarize-threshold", "--http-mode", "--port"} <= {
        setting.option for setting in SETTINGS
    }


@given(st.dictionaries(st.sampled_from([s.name for s in SETTINGS]), st.text(st.characters(exclude_characters="\x00"))))
def test_no_text_is_a_crash(env: dict[str, str]) -> None:
    """Whatever stands in the environment, the outcome is settings or a list of faults in one line each."""
    env = {name: value for name, value in env.items() if not BY_FIELD[name.lower()].secret}
    try:
        load({}, None, env)
    except ConfigError as exc:
        assert all("\n" not in fault and len(fault) < 500 for fault in exc.faults)


@pytest.mark.parametrize(
    ("name", "value"),
    [("OPENAI_BASE_URL", "ftp://host?api-key=hunter2"), ("EXTRA_BODY", '{"api_key": "hunter2"')],
)
def test_what_may_carry_a_key_is_not_shown(name: str, value: str) -> None:
    """A query string or JSON for the provider may hold one."""
    assert not any("hunter2" in fault for fault in faults(KEY | {name: value}))


def test_a_child_finds_the_same_settings_in_its_environment(tmp_path: Path) -> None:
    """Each source's values arrive, whatever else the environment says; only a key that may change stays in its file."""
    secret = tmp_path / "secret"
    secret.write_text("from-a-file\n")
    around = {
        "OPENAI_API_KEY_FILE": str(secret),
        "OPENAI_SIDECAR_HTTP_TIMEOUT": "17",
        "EXTRA_BODY": '{"a": "ü", "b": [1.5, null]}',
        "https_proxy": "http://proxy:3128",
        "NO_PROXY": "near",
        "SSL_CERT_FILE": "/ca.pem",
        "HOME": "/home/moodle",
        "PATH": "/bin",
        "LISTEN_FDS": "1",
    }
    settings = load({"max_tokens": "12", "cache_ttl": "0.5", "html_safe": "true"}, None, around)
    env = environment_for_child(settings, around)
    assert load({}, "/dev/null", env) == settings
    assert env["PATH"] == "/bin"
    assert not {"OPENAI_API_KEY", "OPENAI_SIDECAR_HTTP_TIMEOUT", "NO_PROXY", "LISTEN_FDS"} & env.keys()


def test_what_is_said_instead_is_the_last_to_be_heard() -> None:
    """`--jobs` means the embedded Redis only where no other is set; a blank one is none."""
    fallbacks = {"REDIS_URL": "embedded"}
    assert load({}, None, KEY, fallbacks=fallbacks).redis_url == "embedded"
    assert load({}, None, KEY | {"REDIS_URL": " "}, fallbacks=fallbacks).redis_url == "embedded"
    assert load({}, None, KEY | {"REDIS_URL": "redis://there"}, fallbacks=fallbacks).redis_url == "redis://there"


@pytest.mark.parametrize(
    "address",
    [
        "redis://:p%40ss@there:6379/3",
        "redis://there?db=3",
        "unix:///run/valkey.sock?db=3",
        "rediss://there/0?ssl_cert_reqs=none",
        "rediss://there?ssl_certfile=/a.pem&ssl_keyfile=/a.key&ssl_ca_certs=/ca.pem&ssl_check_hostname=no",
    ],
)
def test_an_address_of_redis_may_say_which_database_and_how_it_is_trusted(address: str) -> None:
    """And the client takes every one of them."""
    settings = load({}, None, KEY | {"REDIS_URL": address})
    assert settings.redis_url == address
    pool = connect(settings).connection_pool
    pool.connection_class(**pool.connection_kwargs)


@pytest.mark.parametrize(
    "options",
    ["db=x", "db=-1", "decode_responses=true", "ssl_cert_reqs=none", "protocol=x", "retry=3", "foo=bar&db=1"],
)
@pytest.mark.parametrize("scheme", ["redis", "unix"])
def test_other_options_in_an_address_of_redis_are_faults(scheme: str, options: str) -> None:
    """The client fails on them when it is first used, or reads with them what is no longer what was written."""
    found = faults(KEY | {"REDIS_URL": f"{scheme}://:hunter2@there/0?{options}"})
    assert [fault.partition(":")[0] for fault in found] == ["REDIS_URL=(not shown)"]
    assert "hunter2" not in str(found)


def test_an_option_of_tls_is_one_of_its_values() -> None:
    """A misspelt one does not turn the check off."""
    assert faults(KEY | {"REDIS_URL": "rediss://there?ssl_cert_reqs=never"})
    assert faults(KEY | {"REDIS_URL": "rediss://there?ssl_ca_certs=ca.pem"})


def test_tokens_of_entra_need_no_key_and_choose_the_sdk() -> None:
    """Unless PROVIDER_CLIENT names a client; without them the client is aiohttp."""
    entra = load({}, None, {"AZURE_AUTH": "entra"})
    assert (entra.openai_api_key, entra.client, entra.authentication) == ("", "openai", "entra")
    assert load({}, None, {"AZURE_AUTH": "entra", "PROVIDER_CLIENT": "aiohttp"}).client == "aiohttp"
    assert (load({}, None, KEY).client, load({}, None, KEY).authentication) == ("aiohttp", "key")
    assert load({}, None, KEY | {"PROVIDER_CLIENT": "openai"}).client == "openai"


def test_the_file_of_a_key_is_remembered_where_the_key_came_from_it(tmp_path: Path) -> None:
    """A key that a stronger source gives does not change with a file."""
    file = tmp_path / "key"
    file.write_text("sk-from-file")
    found = load({}, None, {"OPENAI_API_KEY_FILE": str(file)})
    assert (found.openai_api_key, found.openai_api_key_file) == ("sk-from-file", str(file))
    assert found.authentication == "key file"
    assert load({}, None, KEY | {"OPENAI_API_KEY_FILE": str(file)}).openai_api_key_file == ""
    assert load({"openai_api_key": "k"}, None, {"OPENAI_API_KEY_FILE": str(file)}).openai_api_key_file == ""

"""The file of PROVIDERS_FILE: what it may say, and every mistake told at once with its line and field."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.load import load
from sidecar.config.providers import ProviderSettings
from sidecar.config.providers_file import read_providers
from sidecar.config.settings import Settings
from sidecar.config.toml_lines import Lines
from sidecar.core.errors import ConfigError
from sidecar.provider.authentication import credentials_of
from sidecar.provider.endpoint import endpoint
from sidecar.providers import keys_of

GOOD = """
[[provider]]
name = "eu"
base_url = "https://eu.example/v1"
model = "large"
api_key_file = "KEY"
concurrency = 16
classes = ["interactive", "background"]
extra_body = { reasoning_effort = "low" }

[[provider]]
name = "local"
base_url = "http://127.0.0.1:8000/v1"
model = "small"
priority = 2
client = "openai"
"""


def write(folder: Path, text: str) -> str:
    key = folder / "key"
    key.write_text("sk-canary\n")
    file = folder / "providers.toml"
    file.write_text(text.replace("KEY", str(key)))
    return str(file)


def settings_with(folder: Path, text: str, **more: str) -> Settings:
    return load({}, "/dev/null", {"PROVIDERS_FILE": write(folder, text)} | more)


def faults(folder: Path, text: str, **more: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        settings_with(folder, text, **more)
    return [fault.replace(f"PROVIDERS_FILE={folder}/providers.toml", "FILE") for fault in caught.value.faults]


def test_a_file_names_providers(tmp_path: Path) -> None:
    """What a table leaves out comes from the settings, and no other key is needed."""
    found = settings_with(tmp_path, GOOD, CONCURRENCY="9", EXTRA_BODY='{"seed": 1}').providers
    eu, local = found
    assert (eu.name, eu.api_key, eu.concurrency, eu.priority, eu.client) == ("eu", "sk-canary", 16, 1, "auto")
    assert eu.classes == {"interactive", "background"}
    assert eu.extra_body == {"reasoning_effort": "low"}
    assert (local.api_key, local.concurrency, local.priority, local.client) == ("", 9, 2, "openai")
    assert local.classes == {"interactive", "background", "jobs"}
    assert local.extra_body == {"seed": 1}


def test_a_key_is_never_shown(tmp_path: Path) -> None:
    """Not in the repr, not where it stands in the place of its file; the settings know it as a secret."""
    settings = settings_with(tmp_path, GOOD)
    assert "canary" not in repr(settings.providers)
    assert "sk-canary" in settings.secrets
    told = faults(tmp_path, GOOD.replace('"KEY"', '"sk-canary"').replace('model = "small"', 'api_key = "sk-canary"'))
    assert told
    assert "canary" not in str(told)


MANY = """# one mistake a line
[[provider]]
name = "eu"
base_url = "https://user:secret@eu.example/v1#x"
modle = "large"
note = '''
concurrency = 5
[[provider]]
'''
concurrency = 0
[provider.extra_body]
when = 2026-01-01
priority = 3

[[provider]] # the second
name = "eu"
base_url = "ftp://x"
model = ""
classes = [
  "jobs",
  "night",
]
api_key_file = "/nonexistent"
priority = true
client = "sdk"
[other]
x = 1
"""


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    """Together with those of the variables; texts inside strings and tables are no fields."""
    told = faults(tmp_path, MANY, PORT="x")
    assert told[0].startswith("PORT=x")
    assert [fault.split(":")[0] for fault in told[1:]] == [
        "FILE, line 2",
        "FILE, line 4",
        "FILE, line 5",
        "FILE, line 6",
        "FILE, line 10",
        "FILE, line 11",
        "FILE, line 16",
        "FILE, line 17",
        "FILE, line 18",
        "FILE, line 19",
        "FILE, line 23",
        "FILE, line 24",
        "FILE, line 25",
        "FILE, line 26",
    ]
    assert told[1] == "FILE, line 2: model: required in every [[provider]]"
    assert told[3] == "FILE, line 5: modle: no such field; did you mean model?"
    assert told[5] == "FILE, line 10: concurrency=0: must be a whole number from 1 to 10000"
    assert told[7] == "FILE, line 16: name=eu: must differ from the one in line 3"
    assert "secret" not in str(told)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "FILE: must have 1 to 32 [[provider]] tables"),
        ("provider = 5", "FILE, line 1: provider: must be written as [[provider]]"),
        ("\n[provider]\nname = 'x'", "FILE, line 2: provider: must be written as [[provider]]"),
        ("\nname = \n", "FILE: Invalid value (at line 2, column 8)"),
        (GOOD.replace("priority = 2", 'classes = ["background"]'), "FILE: no provider has the class jobs"),
        ("#" * 70_000, "FILE: larger than 64 KiB"),
    ],
)
def test_a_file_without_sense_is_refused(tmp_path: Path, text: str, fault: str) -> None:
    """A class without a provider would fail each of its requests, so it is a mistake at the start."""
    assert faults(tmp_path, text)[0].startswith(fault)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    """As any setting that names a file."""
    with pytest.raises(ConfigError, match="No such file"):
        load({}, "/dev/null", {"PROVIDERS_FILE": f"{tmp_path}/none.toml"})


@given(text=st.text(max_size=200) | st.text("[]provider=\n\"'a,{}#1. ", max_size=200))
def test_any_text_is_a_fault_or_a_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file holds, nothing but faults comes of it."""
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    told: list[str] = []
    found = read_providers(str(file), {"concurrency": 1, "client": "aiohttp", "extra_body": {}}, told)
    assert bool(found) != bool(told)


fields = st.dictionaries(
    st.from_regex("[a-z]{1,8}", fullmatch=True),
    st.sampled_from(["1", '"x = 2"', "'''\n[[provider]]\ny = 1\n'''", "[\n1,\n2,\n]", "{ a = 1 }"]),
    min_size=1,
    max_size=5,
)


@given(tables=st.lists(fields, min_size=1, max_size=4))
def test_lines_are_those_of_the_fields(tables: list[dict[str, str]]) -> None:
    """However many lines values have, and whatever stands in them."""
    text, expected = "", {}
    for index, table in enumerate(tables):
        text += "\n[[provider]]  # here\n"
        for key, value in table.items():
            expected[index, key] = text.count("\n") + 1
            text += f"{key} = {value}\n"
    lines = Lines(text, "provider")
    assert {where: lines.of(*where) for where in expected} == expected


def test_keys_know_the_models(tmp_path: Path) -> None:
    """Two processes with one file share answers; another model never gives an answer of this one."""
    keys = [keys_of(settings_with(tmp_path, text)).of_request for text in (GOOD, GOOD, GOOD.replace("large", "huge"))]
    from sidecar.core.contract import Request

    request = Request(action="analyze", content="text")
    first, second, other = (key(request) for key in keys)
    assert first == second != other
    alone = keys_of(load({}, "/dev/null", {"OPENAI_API_KEY": "x", "OPENAI_MODEL": "large"})).of_request(request)
    assert alone != first


def test_the_text_of_a_provider_names_it_only() -> None:
    """For logs."""
    one = ProviderSettings(
        name="eu", base_url="x", model="m", api_key="canary", concurrency=1, client="", extra_body={}
    )
    assert repr(one) == "<ProviderSettings eu>"


def test_a_token_goes_to_azure_alone(tmp_path: Path) -> None:
    """AZURE_AUTH=entra, and OpenAI's organization, are no business of the other providers in the file."""
    key = tmp_path / "key"
    key.write_text("sk-own\n")
    file = tmp_path / "providers.toml"
    hosts = {"azure": "x.openai.azure.com", "keyed": "y.openai.azure.com", "other": "openai.azure.com.example.org"}
    tables = [
        f'[[provider]]\nname = "{name}"\nbase_url = "https://{host}/v1"\nmodel = "m"' for name, host in hosts.items()
    ]
    tables[1] += f'\napi_key_file = "{key}"'
    file.write_text("\n".join(tables))
    settings = load({}, "/dev/null", {"PROVIDERS_FILE": str(file), "AZURE_AUTH": "entra", "OPENAI_ORG_ID": "org-1"})
    own = {one.name: settings.at(one) for one in settings.providers}
    assert {name: one.azure_auth for name, one in own.items()} == {"azure": "entra", "keyed": "auto", "other": "auto"}
    assert {one.openai_org_id for one in own.values()} == {""}


def test_each_provider_has_its_own_way_to_show_its_key(tmp_path: Path) -> None:
    """A gateway that wants `api-key` stands beside one that wants a bearer token; AZURE_AUTH is what others have."""
    key = tmp_path / "key"
    key.write_text("sk-own\n")
    auths = {"gateway": "key", "bearer": "auto", "behind": "entra", "other": None}
    tables = [
        f'[[provider]]\nname = "{name}"\nbase_url = "https://{name}.example.org/v1"\nmodel = "m"\n'
        + (f'api_key_file = "{key}"\n' if auth != "entra" else "")
        + (f'azure_auth = "{auth}"\n' if auth else "")
        for name, auth in auths.items()
    ]
    file = tmp_path / "providers.toml"
    file.write_text("".join(tables))
    headers = {}
    settings = load({}, "/dev/null", {"PROVIDERS_FILE": str(file), "AZURE_AUTH": "key"})
    for one in settings.providers:
        own = settings.at(one)
        if own.azure_auth != "entra":
            headers[one.name] = credentials_of(own, endpoint(own.openai_base_url))._header
    assert {one.name: settings.at(one).authentication for one in settings.providers} == {
        "gateway": "key file",
        "bearer": "key file",
        "behind": "entra",
        "other": "key file",
    }
    assert headers == {"gateway": "api-key", "bearer": "Authorization", "other": "api-key"}


def test_a_token_and_a_key_are_a_contradiction(tmp_path: Path) -> None:
    """Told with the line, as every mistake."""
    key = tmp_path / "key"
    key.write_text("sk-own\n")
    file = tmp_path / "providers.toml"
    file.write_text(
        '[[provider]]\nname = "a"\nbase_url = "https://a/v1"\nmodel = "m"\n'
        f'api_key_file = "{key}"\nazure_auth = "entra"\n'
    )
    with pytest.raises(ConfigError, match="line 6: azure_auth=entra: must not stand beside an api_key_file"):
        load({}, "/dev/null", {"PROVIDERS_FILE": str(file)})

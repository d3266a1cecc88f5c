"""The file of TOKENS_FILE: what it may say, and every mistake told at once with its line and field."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.config.load import load, with_tokens
from sidecar.config.tokens import EVERYDAY, NamedToken, TokensFile, hash_of, read_tokens
from sidecar.core.errors import ConfigError
from sidecar.core.quotas import Quota
from tests.support.paths import ROOT

HASH, OTHER = hash_of("one"), hash_of("two")
GOOD = f"""
time_zone = "Europe/Berlin"

[site]
requests_per_minute = 600
tokens_per_day = 5_000_000

[user]
requests_per_minute = 10
at_once = 2

[[token]]
name = "physics"
hash = "{HASH}"
at_once = 50
routes = ["ai", "openai"]
traffic = "background"

[token.user]
requests_per_minute = 5

[[token]]
name = "chemistry"
hash = "{OTHER}"
user = {{ at_once = 1 }}
"""


def read(folder: Path, text: str) -> tuple[TokensFile, list[str]]:
    file = folder / "tokens.toml"
    file.write_text(text)
    faults: list[str] = []
    found = read_tokens(str(file), faults)
    return found, [fault.replace(f"TOKENS_FILE={file}", "FILE") for fault in faults]


def test_a_file_names_tokens_and_limits(tmp_path: Path) -> None:
    """What is left out is not limited, and a token without routes is for everything but what operators see."""
    found, faults = read(tmp_path, GOOD)
    physics, chemistry = found.tokens
    assert not faults
    assert (found.time_zone, found.site) == ("Europe/Berlin", Quota(requests_per_minute=600, tokens_per_day=5_000_000))
    assert found.user == Quota(requests_per_minute=10, at_once=2)
    assert (physics.name, sorted(physics.routes), physics.background) == ("physics", ["ai", "openai"], True)
    assert (physics.quota, physics.user) == (Quota(at_once=50), Quota(requests_per_minute=5))
    assert (chemistry.routes, chemistry.background, chemistry.quota) == (EVERYDAY, False, Quota())
    assert chemistry.user == Quota(at_once=1)
    assert f"sha256:{physics.digest.hex()}" == HASH


def test_the_documents_file_is_one(tmp_path: Path) -> None:
    """What docs/tokens.md shows can be copied."""
    [example] = re.findall("```toml\n(.*?)```", (ROOT / "docs/tokens.md").read_text(), re.DOTALL)
    found, faults = read(tmp_path, example)
    assert not faults
    assert [token.name for token in found.tokens] == ["physics", "night-reports"]


def test_a_blank_file_limits_nobody(tmp_path: Path) -> None:
    """Tokens may come later, on SIGHUP."""
    assert read(tmp_path, "") == (TokensFile(), [])


MANY = f"""# one mistake a line
time_zone = "Europe/Berlim"
extra = 1
[site]
requests_per_minute = 0
at_one = 5
[user]
tokens_per_day = "many"
[[token]]
name = "x y"
hash = "oms_canary"
route = ["ai"]
[token.user]
at_once = true
[[token]]
name = "b"
routes = ["door"]
traffic = "jobs"
user = 5
[[token]]
name = "b"
hash = "{HASH}"
[[token]]
name = "c"
hash = "{HASH}"
"""


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    """Also in the tables within, and a token that stands in the place of its hash is not shown."""
    found, faults = read(tmp_path, MANY)
    assert found == TokensFile()
    assert [fault.split(" must be ")[0] for fault in faults] == [
        'FILE, line 2: time_zone="Europe/Berlim":',
        "FILE, line 3: extra: no such field; the fields are site, user, time_zone, token",
        "FILE, line 5: site.requests_per_minute=0:",
        "FILE, line 6: site.at_one: no such field; did you mean at_once?",
        'FILE, line 8: user.tokens_per_day="many":',
        'FILE, line 10: name="x y":',
        "FILE, line 11: hash=(not shown):",
        "FILE, line 12: route: no such field; did you mean routes?",
        "FILE, line 14: user.at_once=true:",
        "FILE, line 15: hash: required in every [[token]]",
        'FILE, line 17: routes=["door"]:',
        'FILE, line 18: traffic="jobs":',
        "FILE, line 19: user:",
        "FILE, line 21: name=b: must differ from the one in line 16",
        "FILE, line 25: hash=(not shown): must differ from the one in line 22",
    ]
    assert "canary" not in str(faults)


def test_too_many_tokens_are_a_mistake(tmp_path: Path) -> None:
    """Each request is compared with all of them."""
    text = "".join(f'[[token]]\nname = "n{number}"\nhash = "{hash_of(str(number))}"\n' for number in range(257))
    assert read(tmp_path, text)[1] == ["FILE: must have at most 256 [[token]] tables"]


@given(text=st.text(max_size=200) | st.text("[]tokensiteuser=\n\"'a,{}#1. ", max_size=200))
def test_any_text_is_a_fault_or_a_file(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Whatever a file holds, nothing but faults comes of it."""
    file = tmp_path_factory.getbasetemp() / "any_tokens.toml"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    faults: list[str] = []
    found = read_tokens(str(file), faults)
    assert not faults or found == TokensFile()
    assert all("\n" not in fault for fault in faults)


def test_only_who_wants_the_file_reads_it(tmp_path: Path) -> None:
    """A process that PHP starts may not be allowed to read the file, and works without it."""
    settings = load({}, "/dev/null", {"OPENAI_API_KEY": "x", "TOKENS_FILE": f"{tmp_path}/none.toml"})
    assert settings.tokens is None
    with pytest.raises(ConfigError, match="No such file"):
        with_tokens(settings)


def test_named_tokens_are_tokens_to_the_settings(tmp_path: Path) -> None:
    """With them, and nothing else, the sidecar may listen beyond loopback and require one on /ai."""
    file = tmp_path / "tokens.toml"
    env = {"OPENAI_API_KEY": "x", "TOKENS_FILE": str(file), "HOST": "0.0.0.0", "AI_REQUIRE_TOKEN": "true"}
    file.write_text(GOOD)
    with_tokens(load({}, "/dev/null", env)).check_listening()
    file.write_text("[user]\nat_once = 1")
    with pytest.raises(ConfigError, match="SIDECAR_TOKEN"):
        with_tokens(load({}, "/dev/null", env)).check_listening()


def test_the_text_of_a_token_names_it_only() -> None:
    """For logs."""
    assert repr(NamedToken(name="physics", digest=b"x")) == "<NamedToken physics>"


PROVIDERS = """
[[provider]]
name = "eu-west"
base_url = "https://eu.example.org/v1"
model = "m"

[[provider]]
name = "us"
base_url = "https://us.example.org/v1"
model = "m"
classes = ["interactive"]
"""


NONE = "none of these has the class"


def with_providers(folder: Path, tokens: str, providers: str = PROVIDERS) -> list[str]:
    """Return the faults of a start with both files."""
    (folder / "providers.toml").write_text(providers)
    (folder / "tokens.toml").write_text(tokens)
    environ = {"TOKENS_FILE": f"{folder}/tokens.toml", "OPENAI_API_KEY": "k"}
    if providers:
        environ = {"TOKENS_FILE": f"{folder}/tokens.toml", "PROVIDERS_FILE": f"{folder}/providers.toml"}
    try:
        with_tokens(load({}, "/dev/null", environ))
    except ConfigError as exc:
        return [fault.partition("tokens.toml, ")[2] for fault in exc.faults]
    return []


def table(*lines: str) -> str:
    return "\n".join(("[[token]]", 'name = "physics"', f'hash = "{HASH}"', *lines))


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (('providers = ["eu-west"]',), ""),
        (('providers = ["us", "eu-west", "us"]',), ""),
        (('providers = ["us"]', 'routes = ["ai", "openai"]'), ""),
        (('providers = ["us"]', 'routes = ["status"]'), ""),
        (('providers = ["us"]',), f"{NONE} jobs; name one that has, or leave jobs out of routes"),
        (('providers = ["us"]', 'routes = ["ai"]', 'traffic = "background"'), f"{NONE} background; name one that has"),
        (('providers = ["eu_wset"]',), "PROVIDERS_FILE has no provider eu_wset; did you mean eu-west?"),
        (('providers = ["asia", "us"]',), "PROVIDERS_FILE has no provider asia; it has eu-west, us"),
    ],
)
def test_a_token_names_providers_of_the_other_file(tmp_path: Path, lines: tuple[str, ...], fault: str) -> None:
    """Those that have the classes of its routes; a name that is unknown is a mistake, told with the nearest one."""
    expected = [f"line 4: providers: {fault}"] if fault else []
    assert with_providers(tmp_path, table(*lines)) == expected


def test_names_of_providers_need_a_file_that_has_them(tmp_path: Path) -> None:
    """Without PROVIDERS_FILE no provider has a name, and the only one would get every text."""
    [fault] = with_providers(tmp_path, table('providers = ["eu"]'), "")
    assert fault == "line 4: providers: needs PROVIDERS_FILE, where the providers have names"


@pytest.mark.parametrize("value", ["[]", '"eu-west"', '["a b"]', "[1]"])
def test_providers_are_a_list_of_names(tmp_path: Path, value: str) -> None:
    """An empty list is no way to say "all"."""
    [fault] = with_providers(tmp_path, table(f"providers = {value}"))
    assert fault.startswith("line 4: providers=")

"""What every client promises about the key that a call carries, and about the other headers of an account."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from sidecar.core.errors import UpstreamAuth
from sidecar.provider import entra
from sidecar.provider.base import HttpUpstream
from tests.support.scripted_provider import (
    KEY,
    Adapter,
    call,
    canned,
    completed,
    every_adapter,
    failing,
    http,
    opened,
    refused,
    soon,
)

pytestmark = every_adapter
AZURE = "http://school.openai.azure.com/openai/deployments/mini?api-version=2024-10-21"
"""An address of Azure's without TLS, so that a proxy of the test can answer for it."""


def looked_at_now(upstream: HttpUpstream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next call look at the key's file."""
    monkeypatch.setattr(upstream._credentials, "_next_look", 0.0)


async def test_a_key_at_azure_goes_in_azures_header(adapter: Adapter) -> None:
    """Deployments there refuse a key as a bearer token."""
    async with canned() as provider, opened(adapter, AZURE, http_proxy=f"127.0.0.1:{provider.port}") as upstream:
        assert (await completed(upstream)).text == "Hello."
    [heard] = provider.received
    assert heard.line.startswith("POST http://school.openai.azure.com/openai/deployments/mini/chat/completions?api-")
    assert heard.headers["api-key"] == KEY
    assert "authorization" not in heard.headers


@pytest.mark.parametrize(("auth", "header"), [("key", "api-key"), ("auto", "authorization")])
async def test_elsewhere_azures_header_is_a_setting(adapter: Adapter, auth: str, header: str) -> None:
    """A gateway before Azure has an address of its own."""
    async with canned() as provider, opened(adapter, provider.url, AZURE_AUTH=auth) as upstream:
        await completed(upstream)
    [heard] = provider.received
    assert [name for name in ("api-key", "authorization") if name in heard.headers] == [header]


async def test_organization_and_project_are_named(adapter: Adapter) -> None:
    """Both headers go out where they are set, and neither where they are blank."""
    named = {"OPENAI_ORG_ID": "org-1", "OPENAI_PROJECT_ID": "proj-2"}
    async with canned() as provider:
        async with opened(adapter, provider.url, **named) as upstream:
            await completed(upstream)
        async with opened(adapter, provider.url) as upstream:
            await completed(upstream)
    with_both, without = (heard.headers for heard in provider.received)
    assert (with_both["openai-organization"], with_both["openai-project"]) == ("org-1", "proj-2")
    assert not [name for name in without if name.startswith("openai-")]


async def test_a_key_that_changes_in_its_file_is_used(
    adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Written anew or replaced by another file, it counts for the next call after the look; no restart is needed."""
    file = tmp_path / "key"
    file.write_text("sk-first\n")
    named = {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": str(file)}
    async with canned() as provider, opened(adapter, provider.url, **named) as upstream:
        await completed(upstream)
        file.write_text("sk-the-second\n")
        await completed(upstream)
        looked_at_now(upstream, monkeypatch)
        await completed(upstream)
        (tmp_path / "new").write_text("sk-third\n")
        (tmp_path / "new").replace(file)
        looked_at_now(upstream, monkeypatch)
        await completed(upstream)
    shown = [heard.headers["authorization"] for heard in provider.received]
    assert shown == ["Bearer sk-first", "Bearer sk-first", "Bearer sk-the-second", "Bearer sk-third"]


@pytest.mark.parametrize("wrong", [None, "", "two words", "\udcff"])
async def test_a_file_that_is_wrong_leaves_the_key_as_it_was(
    adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: str | None
) -> None:
    """Missing, empty, no key or no text: calls go on, and a good file counts again."""
    file = tmp_path / "key"
    file.write_text("sk-first\n")
    named = {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": str(file)}
    async with canned() as provider, opened(adapter, provider.url, **named) as upstream:
        file.unlink()
        if wrong is not None:
            file.write_text(wrong, errors="surrogateescape")
        looked_at_now(upstream, monkeypatch)
        await completed(upstream)
        file.write_text("sk-second\n")
        looked_at_now(upstream, monkeypatch)
        await completed(upstream)
    assert [heard.headers["authorization"] for heard in provider.received] == ["Bearer sk-first", "Bearer sk-second"]


async def test_keys_from_a_file_are_in_no_error(
    adapter: Adapter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the key in use nor the one before it, which calls in flight may carry."""
    file = tmp_path / "key"
    file.write_text("first-canary-zzz")
    named = {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": str(file)}
    answers = refused("No: first-canary-zzz.", 500), refused("No: second-canary-yyy.", 500)
    async with canned(*answers) as provider, opened(adapter, provider.url, **named) as upstream:
        file.write_text("second-canary-yyy")
        looked_at_now(upstream, monkeypatch)
        for _ in answers:
            assert "canary" not in str(await failing(upstream))


async def test_a_refused_key_is_looked_for_at_once(adapter: Adapter, tmp_path: Path) -> None:
    """The next call takes the key that the file holds by now, within the second too; streams as well."""
    file = tmp_path / "key"
    file.write_text("sk-old")
    named = {"OPENAI_API_KEY": "", "OPENAI_API_KEY_FILE": str(file)}
    no = refused("Wrong key.", 401)
    async with canned(no, no, http()) as provider, opened(adapter, provider.url, **named) as upstream:
        assert type(await failing(upstream)) is UpstreamAuth
        file.write_text("sk-newer")
        with pytest.raises(UpstreamAuth):
            await anext(upstream.stream(call(), deadline=soon()))
        file.write_text("sk-the-newest")
        await completed(upstream)
    shown = [heard.headers["authorization"] for heard in provider.received]
    assert shown == ["Bearer sk-old", "Bearer sk-newer", "Bearer sk-the-newest"]


class Token(NamedTuple):
    token: str
    expires_on: int


class Identity:
    """A credential that gives its tokens one after the other, and then none."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = list(tokens)
        self.scopes: list[str] = []

    def get_token(self, *scopes: str) -> Token:
        self.scopes += scopes
        if not self._tokens:
            raise OSError("canary")
        return self._tokens.pop(0)


async def test_a_token_of_entra_stands_in_for_the_key(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a bearer token, fetched once, without any key in the settings."""
    identity = Identity([Token("token-1", 2**40)])
    monkeypatch.setattr(entra, "_default_credential", lambda: identity)
    named = {"OPENAI_API_KEY": "", "AZURE_AUTH": "entra", "http_proxy": ""}
    async with canned() as provider:
        named["http_proxy"] = f"127.0.0.1:{provider.port}"
        async with opened(adapter, AZURE, **named) as upstream:
            await completed(upstream)
            await completed(upstream)
    assert [heard.headers["authorization"] for heard in provider.received] == ["Bearer token-1"] * 2
    assert not [heard for heard in provider.received if "api-key" in heard.headers]
    assert identity.scopes == ["https://cognitiveservices.azure.com/.default"]


async def test_no_token_is_told_as_such(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent, and the sentence says where to look, without the words of the cause."""
    monkeypatch.setattr(entra, "_default_credential", lambda: Identity([]))
    async with canned() as provider, opened(adapter, provider.url, OPENAI_API_KEY="", AZURE_AUTH="entra") as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.retryable) == (UpstreamAuth, False)
    assert "Entra ID gave no token" in str(failure)
    assert "canary" not in str(failure)
    assert not provider.received


async def test_a_refused_token_names_the_role(adapter: Adapter, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no key to check; what is missing is the identity's role."""
    monkeypatch.setattr(entra, "_default_credential", lambda: Identity([Token("token-1", 2**40)]))
    named = {"OPENAI_API_KEY": "", "AZURE_AUTH": "entra"}
    async with canned(refused("No.", 401)) as provider, opened(adapter, provider.url, **named) as upstream:
        failure = await failing(upstream)
    assert (type(failure), failure.status) == (UpstreamAuth, 401)
    assert "Cognitive Services OpenAI User" in str(failure)


async def test_cookies_are_neither_taken_nor_sent(adapter: Adapter) -> None:
    """A cookie would tie calls of different users together."""
    async with canned(http(Set_Cookie="a=b; Path=/")) as provider, opened(adapter, provider.url) as upstream:
        await completed(upstream)
        await completed(upstream)
    assert not [heard for heard in provider.received if "cookie" in heard.headers]


async def test_a_refusal_with_odd_headers_is_still_read(adapter: Adapter) -> None:
    """A charset that is no text, an encoding that is none and a redirect to nowhere change nothing."""
    odd = {"Content_Type": "application/json; charset=zip", "Content_Encoding": "gzip", "Location": "http://[::"}
    answers = [
        http({"error": {"message": "x", "code": "insufficient_quota"}}, status, **odd) for status in (429, 302, 400)
    ]
    async with canned(*answers) as provider, opened(adapter, provider.url) as upstream:
        assert [(await failing(upstream)).status for _ in answers] == [429, 302, 400]

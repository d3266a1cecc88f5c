"""Named tokens that allow some providers only, where several processes serve."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import Answer, Sidecar, post
from tests.support.limited_sidecar import TOKENS, providers_file, token_table
from tests.support.serving_pair import several

V1 = "/v1/chat/completions"
SHARED = f"{V1}?action=summarize"
ALLOWED = {"physics": {"eu"}, "chemistry": {"asia", "us"}}


def texts(upstream: HeldUpstream) -> list[str]:
    return [str(call.messages[-1]["content"]) for call in upstream.calls]


async def ask(sidecar: Sidecar, path: str, token: str, text: str, **fields: Any) -> Answer:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": text}]}
    if path == "/ai":
        body = {"action": "chat", "content": text}
    headers = (f"Authorization: Bearer {TOKENS[token]}", "Connection: close")
    request = post(json.dumps(body | fields).encode(), *headers, path=path)
    return await sidecar.fetch(request, described="stream" not in fields)


@pytest.mark.parametrize(("path", "fields"), [("/ai", {}), (V1, {}), (V1, {"stream": True}), (SHARED, {})])
async def test_a_tokens_texts_go_to_its_providers_only(tmp_path: Path, path: str, fields: dict[str, Any]) -> None:
    """Whichever process has the request, whole or streamed; an answer is shared with no token of other providers."""
    upstreams = {name: HeldUpstream(text=f"Said in {name}.") for name in ("eu", "us", "asia")}
    file = tmp_path / "tokens.toml"
    tables = [token_table(token, f"providers = {json.dumps(sorted(names))}") for token, names in ALLOWED.items()]
    file.write_text("\n".join([*tables, token_table("gone")]))
    places = providers_file(tmp_path, *upstreams)
    async with several(upstreams=upstreams, TOKENS_FILE=str(file), PROVIDERS_FILE=places) as service:
        for number in range(4):
            for end in service.sidecars:
                for token in (*ALLOWED, "gone"):
                    assert (await ask(end, path, token, f"{token} {number} {id(end)}", **fields)).status == 200
        for token in ALLOWED:
            assert (
                await ask(service.sidecars[0], path, token, f"one text of {sorted(ALLOWED)}", **fields)
            ).status == 200
    for name, upstream in upstreams.items():
        seen = {text.partition(" ")[0] for text in texts(upstream)} & ALLOWED.keys()
        assert seen <= {token for token, names in ALLOWED.items() if name in names}
    shared = {name for name, upstream in upstreams.items() if any("one text" in text for text in texts(upstream))}
    assert "eu" in shared
    assert shared & ALLOWED["chemistry"]

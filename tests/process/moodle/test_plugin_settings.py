"""Promises of the Moodle plugin about its settings: the address let through, the session's lock, and the test line."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import running
from tests.support.moodle_plugin import SHAPES, Shape, acted, driven, failure
from tests.support.paths import ROOT
from tests.support.php import PATIENCE, PHP, STRICT, needs_php
from tests.support.scripted_provider import canned, completion, http

pytestmark = needs_php

PLACEMENT = {"methodname": "aiplacement_courseassist_summarise_text", "args": {"prompttext": "Hello"}}
SERVICE = "/lib/ajax/service.php"


async def test_an_address_may_end_as_it_was_copied() -> None:
    """One address to configure; what is none, or could carry a secret, counts as not set."""
    base = "http://127.0.0.1:8081"
    ends = ["", "/", "/v1", "/v1/", "/ai", "/v1/chat/completions", "/chat/completions//"]
    others = {
        " https://Sidecar.example/base/v1 ": "https://Sidecar.example/base",
        "http://[::1]:8081/ai": "http://[::1]:8081",
        "127.0.0.1:8081": "",
        "file:///etc/passwd": "",
        "http://": "",
        "http://user:secret@127.0.0.1": "",
        "http://127.0.0.1/?action=x": "",
        "http://127.0.0.1/#x": "",
        "http://a b/": "",
        "": "",
    }
    came = await driven("bases", [base + end for end in ends] + list(others))
    assert came == [base] * len(ends) + list(others.values())


@pytest.mark.parametrize("shape", SHAPES)
async def test_without_an_address_the_provider_is_not_offered(shape: Shape) -> None:
    """Moodle then shows no button, rather than one that fails."""
    assert [(await driven("offered", shape=shape, url=url))[1] for url in ("", "words", "http://h:1")] == [
        False,
        False,
        True,
    ]


async def test_exactly_the_configured_address_is_let_through() -> None:
    """Every other one is Moodle's to judge, however near it is."""
    allowed = "http://127.0.0.1:8081/v1/chat/completions"
    through = [allowed, f"{allowed}?action=x", "HTTP://127.0.0.1:8081/v1/chat/completions"]
    not_through = [
        "http://127.0.0.1:8081/",
        "http://127.0.0.1:8081/status",
        "http://127.0.0.1:8082/v1/chat/completions",
        "http://127.0.0.2:8081/v1/chat/completions",
        "https://127.0.0.1:8081/v1/chat/completions",
        "http://user@127.0.0.1:8081/v1/chat/completions",
        f"{allowed}/../../status",
        "//127.0.0.1:8081/v1/chat/completions",
        "",
    ]
    came = await driven("blocked", {"allowed": allowed, "urls": [*through, *not_through]})
    assert came == [False] * len(through) + [True] * len(not_through)
    usual = await driven("blocked", {"allowed": "http://h/v1", "urls": ["http://h:80/v1", "http://elsewhere.example/"]})
    assert usual == [False, False]
    assert await driven("blocked", {"allowed": "", "urls": ["", "http://127.0.0.1/"]}) == [True, True]


async def test_neither_a_redirect_nor_a_proxy_gets_the_text() -> None:
    """The sidecar is near; both would take text and token elsewhere."""
    async with canned(http({}, 307, Location="/elsewhere"), http(completion()), close=True) as server:
        url = f"http://127.0.0.1:{server.port}"
        dead = {"http_proxy": "http://127.0.0.1:1", "https_proxy": "http://127.0.0.1:1"}
        came = await acted({}, {}, url=url, env=dead)
        assert [heard.line.split()[1].partition("?")[0] for heard in server.received] == ["/v1/chat/completions"] * 2
    assert [answer["success"] for answer in came] == [False, True]


async def test_the_session_is_released_only_where_no_write_is_lost() -> None:
    """In a request of AI placements' calls alone, since other calls and other pages may write to it afterwards."""
    other = {"methodname": "core_user_set_user_preferences", "args": {}}
    safe = [(SERVICE, [PLACEMENT]), (SERVICE, [PLACEMENT, PLACEMENT])]
    unsafe: list[tuple[str, Any]] = [
        (SERVICE, [PLACEMENT, other]),
        (SERVICE, [other, PLACEMENT]),
        (SERVICE, [{"methodname": ["aiplacement_x"]}]),
        (SERVICE, ["aiplacement_x"]),
        (SERVICE, [{"methodname": "aiplacement_chat_ask"}]),
        (SERVICE, [{"methodname": "aiplacement_x\n"}]),
        (SERVICE, []),
        (SERVICE, None),
        ("/lib/ajax/service-nologin.php", [PLACEMENT]),
        ("/local/chat/ajax.php", [PLACEMENT]),
        ("", [PLACEMENT]),
    ]
    came = await driven("safe", [(script, json.dumps(body)) for script, body in safe + unsafe] + [(SERVICE, "{")])
    assert came == [True] * len(safe) + [False] * (len(unsafe) + 1)


@asynccontextmanager
async def php_site(folder: Path, **config: Any) -> AsyncIterator[str]:
    """Run PHP's web server with one page, which opens a session as Moodle does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    env = {"SESSIONS": str(folder), "CONFIG": json.dumps(config), "PHP_CLI_SERVER_WORKERS": "2"}
    words = (*STRICT, "-S", address, "-t", str(ROOT / "tests/php/plugin/site"))
    process = await asyncio.create_subprocess_exec(
        PHP, *words, env=env, stderr=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while b"started" not in await process.stderr.readline():
                pass
            yield f"http://{address}{SERVICE}"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # its workers too
        await process.communicate()


@pytest.mark.parametrize("release", [True, False])
async def test_the_same_person_s_next_page_does_not_wait(tmp_path: Path, release: bool) -> None:
    """With real PHP sessions; with the setting off it waits, as with Moodle's own provider."""
    upstream = HeldUpstream(held=True)
    async with running(upstream) as sidecar, aiohttp.ClientSession(raise_for_status=True) as person:
        url = f"http://{sidecar.listening.host}:{sidecar.listening.port}"
        async with php_site(tmp_path, url=url, releasesession=str(int(release))) as page:
            call = asyncio.ensure_future(person.post(page, json=[PLACEMENT]))
            await upstream.reached()
            next_page = asyncio.ensure_future(person.get(page))
            if release:
                opened = await (await next_page).json()
                assert opened["pages"] == 2  # what was written before the call is there
            upstream.gate.set()
            ended = await (await call).json()
            opened = await (await next_page).json()
    assert ended["answer"] == "An answer."
    assert (opened["opened"] < ended["ended"]) is release


async def test_the_test_line_says_what_is_wrong() -> None:
    """Whether it is set, reached, a sidecar, takes the token, and which model answers, with nothing to wait for."""
    async with running(SIDECAR_TOKEN="right", OPENAI_MODEL="model<1>") as sidecar:
        url = f"http://{sidecar.listening.host}:{sidecar.listening.port}"
        ok = await driven("status", url=f"{url}/v1", token="right")
        assert ok == "The sidecar is reached. Answers come from: model&lt;1&gt;"
        assert "does not accept the token" in await driven("status", url=url, token="wrong")
        sidecar.service.admission.draining = True
        assert "is stopping" in await driven("status", url=url, token="right")
    assert "No sidecar is reached" in await driven("status", url=url, token="right")
    assert "No address is set" in await driven("status", url="")
    async with canned(http(b"<html>", Content_Type="text/html"), failure("not_found", 404), close=True) as server:
        for _ in range(2):
            said = await driven("status", url=f"http://127.0.0.1:{server.port}")
            assert "Something else than a sidecar" in said
    listed = {"object": "list", "data": [{"id": f"m{n}"} for n in range(9)]}
    down = {"ready": True, "checks": {"server": "ok", "provider": "down"}}
    async with canned(http(listed), http(down), close=True) as server:
        said = await driven("status", url=f"http://127.0.0.1:{server.port}")
        assert said.endswith("does not answer at the moment: m0, m1, m2, m3, m4, …")

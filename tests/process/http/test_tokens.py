"""Named tokens and limits with the real command: read again on SIGHUP, remembered over a kill, and never shown."""

import asyncio
import contextlib
import io
import json
import signal
import sqlite3
from pathlib import Path
from typing import Any

from sidecar.cli.main import main
from sidecar.demo.provider import Demo
from tests.support.canaries import ALL, KEY, TEXT, USER, arguments_of
from tests.support.http_sidecar import Answer, post
from tests.support.server_process import Served, served

V1 = "/v1/chat/completions"


def new_token(name: str, file: Path) -> str:
    """Make a token with its lines in `file`; return it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["token", "new", name, "--file", str(file)]) == 0
    return out.getvalue().splitlines()[2]


def environment(demo: Demo, folder: Path, **more: str) -> dict[str, str]:
    file, state = str(folder / "tokens.toml"), str(folder / "state")
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{demo.url}/v1",
        "TOKENS_FILE": file,
        "STATE_DIR": state,
        "LOG_LEVEL": "debug",
    } | more


async def ask(server: Served, token: str, user: str = USER, text: str = TEXT) -> Answer:
    body = json.dumps({"messages": [{"role": "user", "content": text}], "user": user}).encode()
    return await server.fetch(post(body, f"Authorization: Bearer {token}", "Connection: close", path=V1))


def saved(file: Path) -> bool:
    """Return whether the file has a number of the day that a kill cannot take back."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as reader:
            return bool(reader.execute("SELECT 1 FROM spent").fetchone())
    except sqlite3.OperationalError:  # not there yet, or locked
        return False


def mistakes(server: Served) -> list[Any]:
    return [line["fault"] for line in server.log if line["event"] == "tokens_kept"]


async def test_the_file_is_read_again_and_a_bad_one_changes_nothing(demo: Demo, tmp_path: Path) -> None:
    """SIGHUP: a new token opens, a removed one closes; mistakes are lines of the log, with line and field."""
    file = tmp_path / "tokens.toml"
    physics = new_token("physics", file)
    first = file.read_text()
    async with served(**environment(demo, tmp_path)) as server:
        chemistry = new_token("chemistry", file)
        both = file.read_text()
        assert [(await ask(server, token)).status for token in (physics, chemistry)] == [200, 401]
        server.process.send_signal(signal.SIGHUP)
        await server.event("tokens_read", tokens=["physics", "chemistry"])
        assert (await ask(server, chemistry)).status == 200
        for text, faults in (
            ("[user]\nat_once = 0\n[site]\nat_one = 1\n" + both, 2),
            ("[user]\nat_once = 1\n", 1),  # without a token every caller would be let in
        ):
            file.write_text(text)
            already = len(mistakes(server))
            server.process.send_signal(signal.SIGHUP)
            await server.until(lambda _, wanted=already + faults: len(mistakes(server)) == wanted)  # type: ignore[misc]
            assert (await ask(server, chemistry)).status == 200
        assert "line 2: user.at_once=0" in mistakes(server)[0]
        assert "line 4: site.at_one: no such field" in mistakes(server)[1]
        file.write_text(first.replace("[[token]]", "[[token]]\nrequests_per_minute = 1"))
        server.process.send_signal(signal.SIGHUP)
        await server.event("tokens_read", after=len(server.log) - 1, tokens=["physics"])
        assert [(await ask(server, chemistry)).status, (await ask(server, physics)).status] == [401, 200]
        assert (await ask(server, physics)).status == 429
        assert server.process.returncode is None


async def test_the_days_tokens_survive_a_kill(demo: Demo, tmp_path: Path) -> None:
    """But for its last second."""
    (tmp_path / "tokens.toml").write_text("[user]\ntokens_per_day = 5\n")
    physics = new_token("physics", tmp_path / "tokens.toml")
    env, file = environment(demo, tmp_path), tmp_path / "state" / "limits.sqlite3"
    async with served(**env) as server:
        assert [(await ask(server, physics)).status for _ in range(2)] == [200, 429]
        async with asyncio.timeout(20):
            while not saved(file):  # noqa: ASYNC110 - another process writes
                await asyncio.sleep(0.02)
        server.process.kill()
        await server.ended()
    async with served(**env) as server:
        refused = await ask(server, physics)
        assert (refused.status, refused.json["error"]["code"]) == (429, "limited")
        assert int(refused.headers["retry-after"]) > 60 or b"second" in refused.body
        assert (await ask(server, physics, user="somebody else")).status == 200


async def test_no_token_is_in_log_or_refusal(demo: Demo, tmp_path: Path) -> None:
    """Through every way to send one, right and wrong, and every refusal; nor is a user, in the state file either."""
    file = tmp_path / "tokens.toml"
    file.write_text("[user]\ntokens_per_day = 1000\nrequests_per_minute = 2\n")
    secret = new_token("physics", file)
    env = environment(demo, tmp_path, AI_REQUIRE_TOKEN="true", SIDECAR_TOKEN="canaryTOKEN4712")
    async with served(**env) as server:
        said = b""
        body = json.dumps({"action": "chat", "content": TEXT, "user_id": USER}).encode()
        for token in [secret] * 3 + [secret + "x", "canaryTOKEN4712"]:
            answer = await ask(server, token)
            said += answer.body if answer.status != 200 else b""
            for header in (f"Authorization: Bearer {token}", f"api-key: {token}"):
                for path in ("/ai", "/jobs", "/jobs/status"):
                    answer = await server.fetch(post(body, header, "Connection: close", path=path))
                    said += b"" if answer.json["success"] else answer.body
        said += (await server.get("/status")).body
        server.process.send_signal(signal.SIGHUP)
        await server.event("tokens_read", after=len(server.log) - 1)
        arguments = arguments_of(server.process.pid)
        server.process.terminate()
        assert await server.ended() == 0
        log = server.raw
    assert b'"token":"physics"' in log.replace(b" ", b"")
    assert b'"limited"' in said
    state = (tmp_path / "state" / "limits.sqlite3").read_bytes()
    for canary in (*ALL, secret, secret.removeprefix("oms_")):
        for place in (log, said, arguments, state):
            assert canary.encode() not in place

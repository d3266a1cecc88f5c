"""Checks from PHP's side: the address that the plugin calls, and the command that it starts without an answer."""

import asyncio
import os
import pwd
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from sidecar import __version__
from sidecar.config import addresses
from sidecar.config.provenance import shown_url
from sidecar.core import remedies
from sidecar.doctor import interpreter
from sidecar.doctor.findings import Finding, State
from sidecar.doctor.http_check import Response, fetch

URL: Final = "http://127.0.0.1:8081/ai"
"""Address that the deployed communicator calls by default (CONTRACT, "Who calls")."""
COMMAND: Final = "/bitnami/moodle/openai-sidecar/openai-moodle-sidecar"
_SECONDS: Final = 20.0
_URL: Final = "plugin's URL"
_MATCH: Final = "OPENAI_SIDECAR_HTTP_URL in PHP's pool must be the address in the log's line `listening`"
_LINK: Final = "link the installed command there (docs/moodle.md, The deployed plugin, step 3)"


async def address(url: str, source: str) -> Finding:
    """Check that the server at `url` understands the plugin, by an invalid request that costs nothing."""
    shown = f"{shown_url(url)} ({source or 'the default of the plugin'})"
    try:
        addresses.url(url)
    except ValueError as exc:
        return Finding(_URL, "failed", f"{shown}: must be {exc}", _MATCH)
    response = await fetch(url, body=b"{}")
    if isinstance(response, Response):
        state, what, do = _verdict(response)
        return Finding(_URL, state, f"{shown}: {what}", do)
    # A configured address must work; the plugin's default is only a guess at the address that this site uses.
    what = f"{shown}: {response}, so PHP starts a process for each click"
    return Finding(_URL, "failed" if source else "warning", what, _MATCH)


def _verdict(response: Response) -> tuple[State, str, str]:
    code = response.json.get("code")
    if code == "invalid_request" and response.status == 200:
        return "ok", "the sidecar understands it", ""
    if code == "invalid_request":
        how = "STRICT_STATUS=false: to the plugin any error status is a dead server"
        return "failed", f"failures have an error status ({response.status})", how
    if code == "unauthorized":
        how = "put the token into the plugin's URL (http://moodle:TOKEN@…), or unset AI_REQUIRE_TOKEN on loopback"
        return "failed", "the token is asked for, and the plugin sends none", how
    if code == "wrong_host":
        how = "add the name in that URL to ALLOWED_HOSTS of the server, or call 127.0.0.1"
        return "failed", "the sidecar does not serve that host name (421), so PHP starts a process for each click", how
    if code == "shutting_down":
        return "warning", "the sidecar is draining", remedies.RESTART
    return "failed", f"what answers is not the sidecar's /ai ({response.status})", _MATCH


class _Ended(NamedTuple):
    code: int | None
    out: str
    err: str


async def command(path: str, *, named: bool, user: str) -> AsyncIterator[Finding]:
    """Check that the command runs as PHP would start it: with an empty environment, as `user` if one is named."""
    bad: State = "failed" if named else "warning"
    try:
        identity = _identity(user)
    except KeyError:
        yield Finding("plugin's command", "failed", f"there is no user {user} here", "name PHP's user with --php-user")
        return
    if identity and os.geteuid() != 0 and identity["user"] != os.geteuid():
        yield Finding("plugin's command", "note", f"only root can try it as {user}", "run the doctor as root")
        identity = {}
    if not os.access(path, os.F_OK):
        what = f"there is nothing at {path}: where HTTP fails, so does every request"
        yield Finding("plugin's command", bad, what, _LINK)
        return
    ended = await _run(path, identity, "--version")
    if ended.code != 0:
        found = interpreter.obstacle(Path(path), _user(identity))
        what = f"{path} does not run" + (f": {found[0]}" if found else _cause(ended))
        yield Finding("plugin's command", "failed", what, found[1] if found else f"see why: env -i {path} --version")
        return
    if ended.out.split() != ["openai-moodle-sidecar", __version__]:
        what = f"{path} is {ended.out.strip() or 'another program'}, and this is {__version__}"
        yield Finding("plugin's command", "warning", what, _LINK)
    ended = await _run(path, identity, text="{}\n")
    if ended.code == 0 and _reply(ended.out).get("code") == "invalid_request":
        yield Finding(
            "plugin's command", "ok", f"{path} answers{f' as {user}' if identity else ''}, with an empty environment"
        )
        return
    how = f"its settings belong into the env file, readable by PHP's user: echo '{{}}' | env -i {path}"
    yield Finding("plugin's command", "failed", f"{path} gives no reply with an empty environment{_cause(ended)}", how)


def _user(identity: dict[str, Any]) -> interpreter.User:
    return interpreter.User(identity["user"], identity["extra_groups"]) if identity else interpreter.me()


def _identity(user: str) -> dict[str, Any]:
    if not user:
        return {}
    found = pwd.getpwnam(user)
    groups = os.getgrouplist(found.pw_name, found.pw_gid)
    return {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": groups}


def _cause(ended: _Ended) -> str:
    if ended.code is None:
        return f": {ended.err}"
    return f" (exit code {ended.code})" + (f": {' '.join(ended.err.split())}" if ended.err else "")


def _reply(text: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}


async def _run(path: str, identity: dict[str, Any], *words: str, text: str = "") -> _Ended:
    if identity and os.geteuid() != 0:
        identity = {}
    try:
        process = await asyncio.create_subprocess_exec(
            path, *words, env={}, cwd="/", stdin=PIPE, stdout=PIPE, stderr=PIPE, **identity
        )
    except OSError as exc:
        return _Ended(None, "", exc.strerror or "it cannot be started")
    try:
        async with asyncio.timeout(_SECONDS):
            out, err = await process.communicate(text.encode())
    except TimeoutError:
        return _Ended(None, "", f"it does not end within {_SECONDS:.0f} seconds")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _Ended(process.returncode, out.decode("utf-8", "replace"), err.decode("utf-8", "replace"))

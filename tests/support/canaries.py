"""Secrets that a test looks for wherever they must not be, and every fault of the demo provider. No promises here."""

import asyncio
import json
from pathlib import Path

from sidecar.demo.provider import Demo
from tests.support.http_sidecar import head
from tests.support.metrics_page import scrape
from tests.support.server_process import Served

KEY = "sk-canaryKEY4711secret"
TOKEN = "canaryTOKEN4712"
SECRET = "canarySECRET4713"
TEXT = "canaryTEXT4714 of a pupil"
USER = "canaryUSER4715"
SECRETS = (KEY, TOKEN, SECRET)
ALL = (*SECRETS, "canaryTEXT4714", USER)
PATIENCE = 60.0
"""Seconds; a breaker is open for one or two, and a busy machine answers late."""
TROUBLES = [
    "",
    "status=400",
    "status=401",
    "status=404",
    "status=429",
    "status=500",
    "status=503",
    "quota=true",
    "no_max_tokens=true",
    "cut=before",
    "cut=headers",
    "cut=body",
    *(
        f"garbage={kind}"
        for kind in ("html", "text", "empty", "truncated", "nocontent", "refusal", "huge", "wrongtypes")
    ),
    "api_key=other",
    "stall=1",
]


def environment(demo: Demo) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": f"{demo.url}/v1",
        "SIDECAR_TOKEN": TOKEN,
        "AI_REQUIRE_TOKEN": "true",
        "SEND_USER": "true",
        "USER_SECRET": SECRET,
        "LOG_LEVEL": "debug",
        "OPENAI_LOG": "debug",
        "PYTHONASYNCIODEBUG": "1",
        "REQUEST_TIMEOUT": "2",
    }


def request(trouble: str, action: str = "chat") -> bytes:
    content = f"{TEXT} [demo {trouble}]" if trouble else TEXT
    return json.dumps({"action": action, "content": content, "context": TEXT * 200, "user_id": USER}).encode()


def arguments_of(pid: int) -> bytes:
    """Return what the process list shows."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def processes_below(pid: int) -> bytes:
    """Return what the process list shows of a process and of all below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return arguments_of(pid) + b"".join(processes_below(int(child)) for child in children)


async def operators_pages(server: Served) -> bytes:
    """Return what operators are shown: the status, and the metrics in both formats, with request ids."""
    raws = (head(path="/status", method="GET"), scrape(), scrape(path="/metrics?exemplars=true", openmetrics=True))
    pages = [await server.fetch(raw) for raw in raws]
    assert [page.status for page in pages] == [200, 200, 200]
    assert b"# {request_id=" in pages[-1].body
    return b"".join(page.body for page in pages)


async def answered(server: Served, raw: bytes) -> None:
    """Return after one good answer: the breaker is closed again, so that the next fault reaches the provider."""
    async with asyncio.timeout(PATIENCE):
        while True:
            body = (await server.fetch(raw)).body
            if b'"success":true' in body or b'"choices"' in body:
                return
            await asyncio.sleep(0.05)

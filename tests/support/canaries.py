"""Secrets that a test looks for wherever they must not be, and every fault of the demo provider. No promises here."""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from sidecar.demo.provider import Demo
from tests.support.http_sidecar import head
from tests.support.metrics_page import scrape
from tests.support.process_family import children
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
NOBODY = 65534
_READ = """
for pid in "$@"; do
  find /proc/$pid -maxdepth 1 -type f -perm -004 -exec cat {} +
  cat /proc/$pid/task/*/comm
  ls -l /proc/$pid/fd /proc/$pid/map_files
done
cat /proc/net/unix
ls -l /dev/shm
exit 0
"""
"""A script that writes what another user can read of processes, and the names of Unix sockets and shared memory."""


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


async def seen_by_others(server: Served) -> bytes:
    """Return what users of this machine can read of a server and its serving processes, as one of them."""
    pids = [server.process.pid, *children(server)]
    other = NOBODY if os.geteuid() == 0 else None
    process = await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _READ, "sh", *map(str, pids)),
        user=other,
        group=other,
        extra_groups=None if other is None else [],
        cwd="/",
        env={"PATH": os.defpath},
        stdout=PIPE,
        stderr=DEVNULL,
    )
    seen, _ = await process.communicate()
    assert all(f"Pid:\t{pid}\n".encode() in seen for pid in pids)
    return seen


def shared_memory(server: Served) -> bytes:
    """Return what the processes of a server share in memory, with its names: the block, where there are several."""
    said = b""
    for pid in (server.process.pid, *children(server)):
        said += Path(f"/proc/{pid}/maps").read_bytes()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            name = str(entry.readlink())
            said += name.encode() + (entry.read_bytes() if name.startswith("/memfd:") else b"")
    return said


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

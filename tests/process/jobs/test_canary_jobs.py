"""No key, token, password or text of a user in what server, worker, Valkey and commands of jobs say or show."""

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from sidecar.demo.options import Options
from sidecar.demo.server import serve
from tests.support.canaries import operators_pages, processes_below
from tests.support.embedded_jobs import family, of_process
from tests.support.http_sidecar import Caller, head, post
from tests.support.metrics_page import scrape
from tests.support.paths import ROOT
from tests.support.ports import free_port
from tests.support.server_process import PATIENCE, Served, served
from tests.support.valkey import valkey

KEY = "sk-canaryKEY4711secret"
TOKEN = "canaryTOKEN4712"
PASSWORD = "canaryPASSWORD4713"
TEXT = "canaryTEXT4714 of a pupil"
USER = "canaryUSER4715"
ALL = (KEY, TOKEN, PASSWORD, "canaryTEXT4714", USER)
BEARER = f"Authorization: Bearer {TOKEN}"
TROUBLES = (
    *("", "status=400", "status=404", "status=500", "cut=body"),
    *("garbage=html", "garbage=truncated", "garbage=huge"),
)


def request(trouble: str) -> dict[str, str]:
    content = f"{TEXT} [demo {trouble}]" if trouble else TEXT
    return {"action": "chat", "content": content, "context": TEXT * 200, "user_id": USER}


def asking(value: object, path: str = "/jobs") -> bytes:
    return post(json.dumps(value).encode(), BEARER, path=path)


def clean(said: bytes) -> None:
    for canary in ALL:
        assert canary.encode() not in said


async def test_server_worker_and_valkey_keep_every_secret() -> None:
    """Through the provider's troubles, refusals at the door, a worker that is killed and a stop."""
    with tempfile.TemporaryDirectory(prefix="canary") as folder:
        async with serve(Options()) as demo:
            env = {
                "OPENAI_API_KEY": KEY,
                "OPENAI_BASE_URL": f"{demo.url}/v1",
                "SIDECAR_TOKEN": TOKEN,
                "REDIS_URL": "embedded",
                "STATE_DIR": folder,
                "LOG_LEVEL": "debug",
                "PYTHONASYNCIODEBUG": "1",
                "SHUTDOWN_GRACE": "1",
                "WORKER_METRICS_PORT": str(free_port()),
                "USAGE_FILE": f"{folder}/usage.db",
                "USAGE_USERS": "true",
                "USER_SECRET": "canary",
            }
            async with served(**env) as server:
                await server.event("workers_alive")
                jobs = [request(trouble) for trouble in TROUBLES]
                answer = await server.fetch(asking({"jobs": jobs}))
                assert answer.status == 202, answer.body
                ids = [job["job_id"] for job in answer.json["jobs"]]
                await server.until(lambda log: sum(line["event"] == "job" for line in log) >= len(TROUBLES))
                said = b""
                # An answer is the asker's; a failure is for everybody's eyes.
                for job in (await server.fetch(asking({"job_ids": ids}, "/jobs/status"))).json["jobs"]:
                    said += b"" if job["status"] == "complete" else json.dumps(job).encode()
                for raw in (
                    post(json.dumps(jobs[0]).encode(), path="/jobs"),
                    post(json.dumps(jobs[0]).encode(), f"Authorization: Bearer {TOKEN}x", path="/jobs"),
                    asking({"jobs": [jobs[0], {"action": "canaryTEXT4714", "content": TEXT}]}),
                    asking({"jobs": [jobs[0], {"action": "chat", "content": {"canaryTEXT4714": TEXT}}]}),
                    asking({"jobs": "canaryTEXT4714"}),
                    asking({"job_ids": [TEXT, 7]}, "/jobs/status"),
                    post(b"\xff canaryTEXT4714", BEARER, path="/jobs"),
                    head(BEARER, path="/jobs/canaryTEXT4714", method="GET"),
                    head(BEARER, path="/jobs/canaryTEXT4714?user_id=canaryUSER4715", method="DELETE"),
                    head(BEARER, path="/jobs/canaryTEXT4714/canaryTEXT4714", method="GET"),
                ):
                    refused = await server.fetch(raw)
                    assert refused.status >= 400
                    said += refused.body
                assert (await server.fetch(post(json.dumps(request("")).encode()))).json["success"]
                said += await operators_pages(server) + await worker_pages(server)
                said += processes_below(server.process.pid)
                said += of_process(family(folder)["valkey"], "environ")
                worker = of_process(family(folder)["worker"], "environ")
                server.process.terminate()
                assert await server.ended() == 0
        written = [Path(folder, name).read_bytes() for name in ("valkey.log", "usage.db")]  # noqa: ASYNC240 - pages
        assert b"summarize" in written[1] or b"chat" in written[1]
        clean(server.raw + said + b"".join(written))
        # The worker needs the key, in the one place that only its own user and root can read.
        assert KEY.encode() in worker
        assert USER.encode() not in worker
        assert {line["code"] for line in server.log if line["event"] == "job"} >= {"ok", "upstream_error"}


async def worker_pages(server: Served) -> bytes:
    """Return the metrics of the server's own worker."""
    address = (await server.event("metrics"))["url"].removeprefix("http://").removesuffix("/metrics")
    said = b""
    for openmetrics in (True, False):
        async with await Caller.connect(*address.split(":")) as caller:
            await caller.send(scrape(path="/metrics?exemplars=true", openmetrics=openmetrics))
            said += (await caller.receive()).body
    assert b'code="upstream_error",lane="night"' in said
    return said


async def test_the_commands_keep_every_secret() -> None:
    """A worker, enqueue, collect, batch and the doctor, on a Redis with a password, a wrong one and none."""
    with tempfile.TemporaryDirectory(prefix="canary") as folder:
        path = Path(folder, "night.jsonl")
        path.write_text(f"{json.dumps(request(''))}\n")  # noqa: ASYNC240 - a line
        wrong = Path(folder, "wrong.jsonl")
        wrong.write_text(f'{{"action": "canaryTEXT4714", "content": "{TEXT}"}}\n{TEXT}\n')  # noqa: ASYNC240 - two
        async with valkey("--requirepass", PASSWORD) as server, serve(Options()) as demo:
            right = server.url.replace("unix://", f"unix://:{PASSWORD}@")
            said = b""
            for url in (right, right.replace(PASSWORD, f"{PASSWORD}x"), right.replace(".sock", ".none")):
                env = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{demo.url}/v1", "REDIS_URL": url}
                for words in (
                    ("worker", "--check"),
                    ("enqueue", str(path)),
                    ("enqueue", str(wrong)),
                    ("collect", "--no-wait", str(wrong)),
                    ("collect", "--no-wait", str(path)),
                    ("batch", str(wrong), str(Path(folder, "out.jsonl"))),
                    ("doctor",),
                ):
                    process = await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "sidecar", *words),
                        cwd=ROOT,
                        env=env,
                        stdin=DEVNULL,
                        stdout=PIPE,
                        stderr=PIPE,
                    )
                    async with asyncio.timeout(PATIENCE):
                        out, err = await process.communicate()
                    assert b"Traceback" not in err
                    said += out + err
        clean(said)

"""Promises of php/ about jobs, and of the cron script: real PHP, sidecar, Valkey and worker.

A server that says what a test wrote stands in only where the promise is about one that is not right.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.errors import UpstreamAuth
from sidecar.jobs.store import JobStore
from sidecar.jobs.worker.lease import Run, Runs
from tests.support.paths import ROOT
from tests.support.php import drive, needs_php, php
from tests.support.scripted_provider import CannedProvider, canned, http
from tests.support.server_process import Served, served
from tests.support.valkey import valkey
from tests.support.workers import CountingProvider, counting_provider, jobs_of, lecture, worker

pytestmark = needs_php

CRON = ROOT / "php/cron_summarize.php"
TOKEN = "sesame-token"
PATIENCE = 60.0


class Site:
    """A sidecar with jobs, as a Moodle site has it, and a look into its Valkey."""

    def __init__(self, sidecar: Served, store: JobStore, provider: CountingProvider) -> None:
        self.sidecar = sidecar
        self.store = store
        self.provider = provider
        self.url = f"http://{sidecar.host}:{sidecar.port}/ai"
        self.new: dict[str, Any] = {"url": self.url, "timeout": 30.0, "token": TOKEN}
        self.env = {"OPENAI_SIDECAR_HTTP_URL": self.url, "OPENAI_SIDECAR_TOKEN": TOKEN}

    async def run(self, job_id: str) -> Run:
        """A run of the job, as a worker begins it."""
        redis: Any = self.store.redis
        gen = await redis.hget(self.store.names.job(job_id), "gen")
        return await Runs(self.store, keep_seconds=600).begin(f"{job_id}.{gen.decode()}")


@asynccontextmanager
async def site(*, workers: int = 0, **named: str) -> AsyncIterator[Site]:
    """The site, with so many workers."""
    async with valkey() as server, counting_provider() as provider, AsyncExitStack() as stack:
        env = {
            "OPENAI_API_KEY": "sk-canary",
            "OPENAI_BASE_URL": provider.url,
            "REDIS_URL": server.url,
            "SIDECAR_TOKEN": TOKEN,
            **named,
        }
        sidecar = await stack.enter_async_context(served(**env))
        for _ in range(workers):
            await (await stack.enter_async_context(worker(**env))).event("working")
        yield Site(sidecar, await stack.enter_async_context(jobs_of(REDIS_URL=server.url)), provider)


def jobs(*entries: Mapping[str, object], status: int = 200) -> bytes:
    return http({"success": True, "jobs": list(entries)}, status)


def queued(*ids: str) -> bytes:
    return jobs(*({"job_id": name, "status": "queued"} for name in ids), status=202)


def complete(name: str) -> dict[str, object]:
    return {"job_id": name, "status": "complete", "success": True, "data": f"Summary of {name}: Ä <b>"}


def refused(code: str, status: int) -> bytes:
    return http({"success": False, "error": "No.", "code": code}, status)


def new(server: CannedProvider, **more: Any) -> dict[str, Any]:
    return {"url": f"http://127.0.0.1:{server.port}/ai", "timeout": 20.0, **more}


def asked(server: CannedProvider) -> list[tuple[str, Any]]:
    return [(heard.line.split()[1], heard.json) for heard in server.received]


async def test_texts_become_jobs_in_their_order() -> None:
    """A bare text is summarized; every other request is sent as it is; the token goes along; twice is free."""
    async with site() as moodle:
        asked = ["Text with ä.", {"action": "chat", "content": "Why?", "user_id": 7, "context": "Rivers."}]
        came = await drive("enqueue", moodle.new, requests=asked)
        assert [job["status"] for job in came["jobs"]] == ["queued", "queued"]
        assert came["failure"] is None
        ids = [job["id"] for job in came["jobs"]]
        text, chat = [(await moodle.run(name)).request for name in ids]
        assert (text.action, text.content) == ("summarize", "Text with ä.")
        assert (chat.action, chat.content, chat.context, chat.user_id) == ("chat", "Why?", "Rivers.", "7")
        again = await drive("enqueue", moodle.new, requests=asked)
        assert [(job["id"], job["status"]) for job in again["jobs"]] == [(name, "in_progress") for name in ids]


@pytest.mark.parametrize("where", ["/ai", "/ai/", "/", "", "/ai?x=1", "/base/ai"])
async def test_the_jobs_are_next_to_ai(where: str) -> None:
    """One URL to configure, in whatever form it was written."""
    async with canned(queued("a"), close=True) as server:
        url = f"http://127.0.0.1:{server.port}{where}"
        assert len((await drive("enqueue", {"url": url}, requests=["x"]))["jobs"]) == 1
    assert asked(server)[0][0] == ("/base/jobs" if "base" in where else "/jobs")


async def test_more_than_a_thousand_go_in_parts() -> None:
    """The sidecar takes a thousand at once; what was taken before a refusal is told beside it."""
    async with site(JOB_QUEUE_SIZE="1200") as moodle:
        came = await drive("enqueue", moodle.new, requests=[f"text {n}" for n in range(1500)])
        assert len(came["jobs"]) == len({job["id"] for job in came["jobs"]}) == 1000
        assert came["failure"] == "overloaded"
        assert "full" in came["error"]
        ids = [job["id"] for job in came["jobs"]]
        told = await drive("status", moodle.new, ids=[*ids, "f" * 32])
        assert [job["id"] for job in told["jobs"]] == [*ids, "f" * 32]
        assert [job["status"] for job in told["jobs"]] == ["queued"] * 1000 + ["unknown"]


@pytest.mark.parametrize(("code", "named"), [("unauthorized", {}), ("jobs_unavailable", {"REDIS_URL": ""})])
async def test_a_sidecar_that_takes_no_jobs_says_why(code: str, named: dict[str, Any]) -> None:
    """A wrong token, or no Redis; no process is started for it."""
    async with site(**named) as moodle:
        new = moodle.new if named else moodle.new | {"token": "wrong"}
        for came in (await drive("enqueue", new, requests=["a"]), await drive("status", new, ids=["a"])):
            assert (came["jobs"], came["failure"]) == ([], code)
            assert came["error"]


async def test_one_wrong_text_is_named() -> None:
    """All or nothing; the sentence says which."""
    async with site() as moodle:
        came = await drive("enqueue", moodle.new, requests=["a", "b", " "])
        assert (came["jobs"], came["failure"]) == ([], "invalid_request")
        assert "jobs[2]" in came["error"]


@pytest.mark.parametrize("verb", ["enqueue", "status"])
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (http(b"<h1>Not found</h1>", 404), "sidecar_bad_reply"),
        (http({"success": True}), "sidecar_bad_reply"),
        (b"", "sidecar_no_reply"),
    ],
)
async def test_a_failure_is_typed_and_starts_no_process(verb: str, answer: bytes, code: str) -> None:
    """Jobs have no other way in: without them the answer is no."""
    async with canned(answer, close=True) as server:
        given: dict[str, Any] = {"requests" if verb == "enqueue" else "ids": ["a"]}
        came = await drive(verb, new(server), **given)
    assert (came["jobs"], came["failure"]) == ([], code)


async def test_a_reply_that_lost_a_job_is_not_believed() -> None:
    """Two texts, one id: whose it is cannot be known."""
    async with canned(queued("a"), close=True) as server:
        came = await drive("enqueue", new(server), requests=["x", "y"])
    assert (came["jobs"], came["failure"]) == ([], "sidecar_bad_reply")


async def test_each_id_has_its_status() -> None:
    """In the order of the question, twice where it was asked twice; what the sidecar does not know is unknown."""
    async with site() as moodle:
        a, b, c = [job["id"] for job in (await drive("enqueue", moodle.new, requests=["a", "b", "c"]))["jobs"]]
        await (await moodle.run(a)).complete("Ä <b>")
        await (await moodle.run(b)).keep(b"one", "Part.", done=3, total=9)
        await (await moodle.run(c)).fail(UpstreamAuth())
        came = await drive("status", moodle.new, ids=[a, b, c, "d", a])
        told = [(job["id"], job["status"], job["code"], job["data"], job["partsDone"]) for job in came["jobs"]]
        assert told == [
            (a, "complete", "", "Ä <b>", 0),
            (b, "in_progress", "", "", 3),
            (c, "failed", "upstream_auth", "", 0),
            ("d", "unknown", "", "", None),
            (a, "complete", "", "Ä <b>", 0),
        ]
        assert came["jobs"][2]["error"] == str(UpstreamAuth())
        assert came["jobs"][1]["partsTotal"] == 9


async def test_collecting_waits_for_the_worker() -> None:
    """Until every job has ended, each with the answer to its own text."""
    async with site(workers=1) as moodle:
        texts = [lecture(number).content for number in range(20)]
        ids = [job["id"] for job in (await drive("enqueue", moodle.new, requests=texts))["jobs"]]
        came = await drive("collect", moodle.new, ids=ids, seconds=PATIENCE / 2, pause=0.05)
        assert came["failure"] is None
        assert [(job["id"], job["data"]) for job in came["jobs"]] == [
            (name, f"Summary of Lecture{number}x.") for number, name in enumerate(ids)
        ]
        assert all(count == 1 for count in moodle.provider.calls.values())


async def test_a_long_summary_that_takes_too_long_is_collected_later() -> None:
    """The reply has the job's id; collecting it, and asking again, give what was paid once."""
    async with site(workers=1, REQUEST_TIMEOUT="3", OFFLOAD_THRESHOLD="100") as moodle:
        moodle.provider.latency = 6.0
        said: dict[str, Any] = {"jobId": None}
        async with asyncio.timeout(PATIENCE):
            for number in range(1000):  # a busy machine's Redis may be too slow for the first one
                said = await drive("summarize", moodle.new, content=lecture(number).content)
                assert (said["success"], said["code"]) == (False, "timeout")
                if said["jobId"]:
                    break
        came = await drive("collect", moodle.new, ids=[said["jobId"]], seconds=PATIENCE / 2, pause=0.05)
        assert [(job["status"], job["data"]) for job in came["jobs"]] == [("complete", f"Summary of Lecture{number}x.")]


async def test_collecting_polls_until_all_have_ended() -> None:
    """What has ended is not asked for again; a restart of the sidecar is waited out."""
    answers = (
        jobs(complete("a"), {"job_id": "b", "status": "queued"}),
        refused("shutting_down", 503),
        b"",
        jobs(complete("b")),
    )
    async with canned(*answers, close=True) as server:
        came = await drive("collect", new(server), ids=["b", "a"], seconds=20.0, pause=0.01)
    assert [(job["id"], job["status"]) for job in came["jobs"]] == [("b", "complete"), ("a", "complete")]
    assert came["failure"] is None
    assert [body["job_ids"] for _, body in asked(server)] == [["b", "a"], ["b"], ["b"], ["b"]]


async def test_collecting_ends_in_time_or_where_waiting_cannot_help() -> None:
    """One look with no time; none after a wrong token."""
    async with canned(jobs({"job_id": "a", "status": "queued"}), close=True) as server:
        came = await drive("collect", new(server), ids=["a"], seconds=0.0)
        assert ([job["status"] for job in came["jobs"]], came["failure"]) == (["queued"], None)
        assert len(server.received) == 1
    async with canned(refused("unauthorized", 401), close=True) as server:
        came = await drive("collect", new(server), ids=["a"], seconds=20.0, pause=0.01)
        assert (came["jobs"], came["failure"]) == ([], "unauthorized")
        assert len(server.received) == 1


async def test_a_night_of_cron(tmp_path: Path) -> None:
    """Texts in, ids out, and in the morning the summaries under the names they were given; twice is paid once."""
    texts = tmp_path / "texts.jsonl"
    one, other = lecture(1).content, lecture(2).content
    lines = [{"ref": "course 1", "content": f"{one} Ä"}, {"content": other, "action": "analyze"}]
    texts.write_text(f"{json.dumps(lines[0])}\n\n{json.dumps(lines[1])}\r\n")
    async with site(workers=1) as moodle:
        code, ids, err = await php(CRON, "enqueue", texts, env=moodle.env)
        assert (code, err) == (0, "")
        told = [json.loads(line) for line in ids.splitlines()]
        assert [set(line) for line in told] == [{"ref", "job_id", "status"}, {"job_id", "status"}]
        code, summaries, err = await php(CRON, "collect", "--wait=50", text=ids, env=moodle.env)
        assert (code, err) == (0, "")
        first, second = told[0]["job_id"], told[1]["job_id"]
        assert [json.loads(line) for line in summaries.splitlines()] == [
            {"ref": "course 1", "job_id": first, "status": "complete", "data": "Summary of Lecture1x."},
            {"job_id": second, "status": "complete", "data": "Summary of Lecture2x."},
        ]
        code, again, err = await php(CRON, "enqueue", texts, env=moodle.env)
        assert (code, [json.loads(line)["status"] for line in again.splitlines()]) == (0, ["complete", "complete"])
        assert sum(moodle.provider.calls.values()) == 2


async def test_cron_says_by_its_exit_code_that_something_is_missing() -> None:
    """Every line still comes out, with why there is no summary; stderr has it in one line."""
    async with site() as moodle:
        a, b = [job["id"] for job in (await drive("enqueue", moodle.new, requests=["a", "b"]))["jobs"]]
        await (await moodle.run(a)).complete("Done.")
        await (await moodle.run(b)).fail(UpstreamAuth())
        text = "".join(json.dumps({"job_id": name}) + "\n" for name in (a, b, "c"))
        code, out, err = await php(CRON, "collect", text=text, env=moodle.env)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["status"] for line in lines] == ["complete", "failed", "unknown"]
    assert (lines[1]["code"], code, err) == ("upstream_auth", 1, "2 without a summary\n")


async def test_cron_reports_what_was_not_enqueued() -> None:
    """A refusal is one line on stderr and exit code 1, no half file that looks whole."""
    async with site(REDIS_URL="") as moodle:
        code, out, err = await php(CRON, "enqueue", text='{"content": "x"}', env=moodle.env)
    assert (code, out) == (1, "")
    said, count = err.splitlines()
    assert said.startswith("jobs_unavailable: ")
    assert count == "1 not enqueued"


@pytest.mark.parametrize(
    ("words", "text"),
    [((), ""), (("enqueue", "a", "b"), ""), (("enqueue", "--now"), ""), (("enqueue", "/no/such/file"), ""),
     (("enqueue", "/"), ""),
     (("enqueue",), '{"content": "x"}\nnonsense'), (("collect",), '{"content": "x"}')],
)  # fmt: skip
async def test_a_wrong_call_of_cron_is_one_line(words: tuple[str, ...], text: str) -> None:
    """Exit code 2 before anything is sent."""
    code, out, err = await php(CRON, *words, text=text, env={"OPENAI_SIDECAR_HTTP_URL": "http://127.0.0.1:1/ai"})
    assert (code, out, len(err.splitlines())) == (2, "", 1)

"""Promises of the summaries that the Moodle plugin makes at night: real PHP and HTTP, a database in memory."""

from collections.abc import Sequence
from typing import Any

import pytest

from tests.support.moodle_plugin import driven
from tests.support.php import needs_php
from tests.support.scripted_provider import CannedProvider, canned, completion, http

pytestmark = needs_php

PAGE = "<h3>Light &amp; sugar</h3><p>Plants use <b>light</b> to make sugar.</p><ul><li>É 3 &lt; 5</li></ul>"
SHOWN = "Light & sugar\n\nPlants use light to make sugar.\n\né 3 < 5\nLast modified: today"
BY_DAY = http(completion())
"""The answer of /v1."""


def job(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {"job_id": name, "status": status, **more}


def jobs(*entries: dict[str, Any], status: int = 200) -> bytes:
    return http({"success": True, "jobs": entries}, status)


def queued(*names: str) -> bytes:
    return jobs(*(job(name, "queued") for name in names), status=202)


def refused(code: str, status: int) -> bytes:
    return http({"success": False, "data": None, "error": "No.", "code": code}, status)


async def nights(server: CannedProvider, steps: Sequence[Any], pages: Any = None, **config: Any) -> tuple[Any, Any]:
    """Return what became of each step, and the rows at the end."""
    config |= {"url": f"http://127.0.0.1:{server.port}", "deadline": 5, "courses": config.get("courses", ["1"])}
    came, rows = await driven("nights", {"pages": pages or {1: {"content": PAGE}}, "steps": steps}, **config)
    return came, rows


def paths(server: CannedProvider) -> list[str]:
    return [heard.line.split()[1].partition("?")[0] for heard in server.received]


async def test_the_first_click_in_the_morning_costs_no_call() -> None:
    """Enqueued, collected, and served to each person once; the second time the person wants another summary."""
    done = jobs(job("j1", "complete", success=True, data="A summary."))
    async with canned(queued("j1"), jobs(job("j1", "in_progress")), done, BY_DAY, close=True) as server:
        night = [["run"], ["run"], ["run"], ["run"]]
        day: list[list[Any]] = [["click", 1, SHOWN], ["click", 1, SHOWN, 8], ["had", 1, "1003"], ["click", 1, SHOWN]]
        came, [row] = await nights(server, night + day)
        assert paths(server) == ["/jobs", "/jobs/status", "/jobs/status", "/v1/chat/completions"]
        assert server.received[0].json == {
            "jobs": [{"action": "summarize", "content": "Light & sugar\nPlants use light to make sugar.\nÉ 3 < 5"}]
        }
        assert server.received[1].json == {"job_ids": ["j1"], "format": "text"}
    assert [run["log"] for run in came[:4]] == [
        ["Pages enqueued: 1"],
        ["Summaries: 0 complete, 0 failed, 1 waiting"],
        ["Summaries: 1 complete, 0 failed, 0 waiting"],
        [],
    ]
    assert came[4:] == ["A summary.", "A summary.", None, "Hello."]
    assert (row["contextid"], row["courseid"], row["status"], row["attempts"]) == (101, 1, 1, 0)


async def test_a_changed_page_is_never_served_an_old_summary() -> None:
    """It costs a call by day, and a job in the next night; a page saved again unchanged costs neither."""
    done = [jobs(job(name, "complete", success=True, data=f"Summary {name}.")) for name in ("j1", "j2")]
    async with canned(queued("j1"), done[0], BY_DAY, queued("j2"), done[1], close=True) as server:
        steps = [["run"], ["run"], ["edit", 1, f" {PAGE} "], ["run"], ["click", 1, SHOWN]]
        steps += [["edit", 1, f"{PAGE}<p>More, and new.</p>"], ["click", 1, SHOWN, 8], ["run"], ["run"]]
        steps += [["click", 1, f"{SHOWN} More, and new.", 9]]
        came, [row] = await nights(server, steps)
        assert paths(server) == ["/jobs", "/jobs/status", "/v1/chat/completions", "/jobs", "/jobs/status"]
    assert [came[n] for n in (4, 6, 9)] == ["Summary j1.", "Hello.", "Summary j2."]
    assert row["jobid"] == "j2"


async def test_a_text_that_fails_is_left_alone_after_three_jobs() -> None:
    """Until it changes; a job that the sidecar no longer knows counts as failed."""
    failed = jobs(job("j1", "failed", success=False, error="No.", code="empty_response"))
    lost = jobs(job("j1", "unknown"))
    answers = [queued("j1"), failed, queued("j1"), lost, queued("j1"), failed, queued("j2")]
    async with canned(*answers, close=True) as server:
        came, [row] = await nights(server, [*([["run"]] * 5), ["edit", 1, "Another text."], ["run"]])
        assert paths(server) == ["/jobs", "/jobs/status"] * 3 + ["/jobs"]
    assert came[4] == {"log": [], "failed": False}
    assert (row["jobid"], row["attempts"], row["status"]) == ("j2", 0, 0)


@pytest.mark.parametrize(("code", "status"), [("jobs_unavailable", 503), ("overloaded", 503), ("unauthorized", 401)])
async def test_a_refusal_is_a_sentence_and_the_next_run_goes_on(code: str, status: int) -> None:
    """The task fails in Moodle's list of tasks, where a person sees why, but for want of room."""
    async with canned(refused(code, status), queued("j1"), close=True) as server:
        came, rows = await nights(server, [["run"], ["run"]])
        request_id = server.received[0].headers["x-request-id"]
    assert came[0]["failed"] is (code != "overloaded")
    assert came[0]["log"][-1].startswith("The sidecar took no summaries for the night: ")
    assert request_id in came[0]["log"][-1]
    assert came[1]["log"] == ["Pages enqueued: 1"]
    assert len(rows) == 1


async def test_one_text_that_is_not_taken_holds_up_no_other() -> None:
    """The sidecar refuses the whole list for one entry, so its pages go one by one, and that one is left alone."""
    no = refused("invalid_request", 400)
    pages = {n: {"content": f"Text {n}."} for n in (1, 2, 3)}
    async with canned(no, queued("j1"), no, queued("j3"), jobs(job("j1", "queued"), job("j3", "queued"))) as server:
        came, rows = await nights(server, [["run"], ["run"]], pages)
        assert [len(heard.json.get("jobs", [])) for heard in server.received] == [3, 1, 1, 1, 0]
    assert not came[0]["failed"]
    assert [(row["contextid"], row["status"], row["attempts"]) for row in rows] == [
        (101, 0, 0),
        (102, 2, 3),
        (103, 0, 0),
    ]


async def test_a_run_is_bounded_and_the_next_one_goes_on() -> None:
    """Fifty pages a request, two hundred a run; hidden pages and other courses are left out."""
    pages: dict[int, Any] = {n: {"content": f"Text {n}."} for n in range(1, 231)}
    pages[1]["visible"] = False
    pages[2]["course"] = 2
    names = [f"j{n}" for n in range(3, 231)]
    batches = [names[n : n + 50] for n in range(0, 200, 50)]
    waiting = jobs(*(job(name, "queued") for name in names[:200]))
    answers = [*(queued(*batch) for batch in batches), waiting, queued(*names[200:])]
    async with canned(*answers, close=True) as server:
        _, rows = await nights(server, [["run"], ["run"]], pages)
        assert [len(heard.json.get("jobs", [])) for heard in server.received] == [50, 50, 50, 50, 0, 28]
    assert [row["contextid"] for row in rows] == [100 + n for n in range(3, 231)]


async def test_what_is_no_longer_chosen_is_deleted_and_never_served() -> None:
    """An administrator who takes a course off the list takes its summaries back."""
    async with canned(BY_DAY, close=True) as server:
        came, rows = await nights(server, [["run"], ["click", 1, SHOWN]], courses="")
        assert paths(server) == ["/v1/chat/completions"]
    assert (came[1], rows) == ("Hello.", [])


async def test_the_browser_s_text_is_recognised_as_the_page_s() -> None:
    """Whatever the page's style makes of capitals and white space; not that of another page, or of much more."""
    formula = f"<p>{'Much text. ' * 20}</p><p>$$x^2$$</p>"
    pairs = [
        (PAGE, SHOWN),
        (PAGE, SHOWN.upper()),
        (PAGE, f"AI features {SHOWN}"),
        (f"<script>var a;</script><!-- note -->{PAGE}<style>p {{}}</style>", SHOWN),
        (formula, "Much text. " * 20 + "𝑥²"),
    ]
    others = [
        (PAGE, ""),
        (PAGE, "Plants use light."),
        (PAGE, SHOWN + " More." * 1000),
        ("", ""),
        ("<p> </p>", "x"),
        (PAGE.replace("light</b>", "water</b>"), SHOWN),
    ]
    came = await driven("of_page", [*pairs, *others])
    assert came == [True] * len(pairs) + [False] * len(others)

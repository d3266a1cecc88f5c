"""Promises of `format`: HTML for the deployed plugin, and for each caller what the caller names."""

import json
from typing import Any

import msgspec
import pytest

from tests.support.ai_requests import check_envelope
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import post, running
from tests.support.job_routes import desk, refused, text

TEXT = "A *b* a<b\nand more."
HTML = "<code hidden></code><p>A <em>b</em> a&lt;b<br>and more.</p>"
WRITTEN = {"html": HTML, "markdown": TEXT, "text": "A b a<b\nand more."}


def page(**more: Any) -> bytes:
    return post(json.dumps({"action": "summarize", "content": "A page.", **more}).encode())


async def test_the_deployed_plugin_gets_html() -> None:
    """It names no format, and its pages show HTML alone."""
    async with running(HeldUpstream(text=TEXT), FORMAT="") as sidecar:
        answer = await sidecar.fetch(page())
    check_envelope(answer)
    assert answer.json == {"success": True, "data": HTML, "error": None}


async def test_each_caller_has_a_format_and_the_call_is_shared() -> None:
    """What is shared is the provider's answer: one call serves all formats, at once and from the cache."""
    upstream = HeldUpstream(text=TEXT)
    async with running(upstream, FORMAT="") as sidecar:
        for _ in range(2):
            for name, data in [*WRITTEN.items(), (None, HTML), ("", HTML)]:
                assert (await sidecar.fetch(page(format=name))).json["data"] == data
    assert len(upstream.calls) == 1


@pytest.mark.parametrize(("name", "data"), WRITTEN.items())
async def test_the_site_has_a_format(name: str, data: str) -> None:
    """FORMAT holds for callers that name none."""
    async with running(HeldUpstream(text=TEXT), FORMAT=name) as sidecar:
        assert (await sidecar.fetch(page())).json["data"] == data
        assert (await sidecar.fetch(page(format="html"))).json["data"] == HTML


@pytest.mark.parametrize("name", ["HTML", "xml", "html ", 1, True])
async def test_an_unknown_format_is_refused(name: object) -> None:
    """With a sentence that names the field; the provider is not called."""
    upstream = HeldUpstream(text=TEXT)
    async with running(upstream) as sidecar:
        answer = await sidecar.fetch(page(format=name))
    check_envelope(answer)
    assert answer.json["code"] == "invalid_request"
    assert "format" in answer.json["error"]
    assert not upstream.calls


async def test_html_safe_means_what_it_meant() -> None:
    """A site that set it has Markdown with a space behind each `<`, as before; who names HTML has HTML."""
    async with running(HeldUpstream(text=TEXT), HTML_SAFE="true", FORMAT="") as sidecar:
        assert (await sidecar.fetch(page())).json["data"] == "A *b* a< b\nand more."
        assert (await sidecar.fetch(page(format="text"))).json["data"] == "A b a< b\nand more."
        assert (await sidecar.fetch(page(format="html"))).json["data"] == HTML


async def test_a_long_answer_is_written_too() -> None:
    """Away from the loop; as plain HTML where it is too long for Markdown."""
    for times in (1_000, 20_000):
        async with running(HeldUpstream(text="a *b*\n\n" * times), FORMAT="") as sidecar:
            data = (await sidecar.fetch(page())).json["data"]
        assert data.count("<p>") == (times if times == 1_000 else 1)
        assert data.count("b") >= times


async def test_a_result_is_read_in_any_format() -> None:
    """As the provider wrote it by default: what collects results at night stores them."""
    async with desk(FORMAT="") as routes:
        job_id = (await routes.post(text(format="html"))).json["job_id"]
        assert (await routes.post(text(format="text"))).json["job_id"] == job_id
        run = await routes.run(job_id)
        assert run.request.format is msgspec.UNSET
        await run.complete(TEXT)
        assert (await routes.say("GET", f"/jobs/{job_id}")).json["data"] == TEXT
        for name, data in WRITTEN.items():
            assert (await routes.say("GET", f"/jobs/{job_id}?format={name}")).json["data"] == data
            body = {"job_ids": [job_id], "format": name}
            assert (await routes.post(body, "/jobs/status")).json["jobs"][0]["data"] == data
        refused(await routes.say("GET", f"/jobs/{job_id}?format=xml"), 400, "invalid_request")
        refused(await routes.post({"job_ids": [job_id], "format": 1}, "/jobs/status"), 400, "invalid_request")

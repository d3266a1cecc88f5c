"""What callers hear of every answer in the corpus, by every client and on every route."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.http.server.server import serve
from sidecar.http.server.timings import Timings
from sidecar.service import service_of
from tests.support.corpus import Heard, Sample, heard_on_ai, heard_streamed, heard_whole, samples
from tests.support.event_streams import chat_request
from tests.support.http_sidecar import PATIENCE, Caller, post
from tests.support.scripted_provider import Adapter, CannedProvider, canned, every_adapter, http, opened, settings_of

SAMPLES = samples()
pytestmark = [every_adapter, pytest.mark.parametrize("sample", SAMPLES, ids=[sample.name for sample in SAMPLES])]


class Both:
    """A sidecar that listens, and the provider behind it."""

    def __init__(self, provider: CannedProvider, host: str, port: int) -> None:
        self.provider = provider
        self._address = (host, port)

    async def answer(self, sample: Sample, request: bytes) -> tuple[int, bytes]:
        """Return status and body that `request` is answered with; a call after the first gets a good answer."""
        self.provider.say(sample.answer, http())
        async with await Caller.connect(*self._address) as caller:
            await caller.send(request)
            raw = await caller.rest()
        assert len(self.provider.received) == sample.expected.calls
        head, _, body = raw.partition(b"\r\n\r\n")
        if b"chunked" in head.lower():
            body = _joined(body)
        return int(head.split(b" ")[1]), body


def _joined(chunks: bytes) -> bytes:
    body = b""
    while chunks:
        size, _, rest = chunks.partition(b"\r\n")
        body += rest[: int(size, 16)]
        chunks = rest[int(size, 16) + 2 :]
    return body


@asynccontextmanager
async def both(adapter: Adapter) -> AsyncIterator[Both]:
    async with canned(close=True) as provider, opened(adapter, provider.url) as upstream:
        settings = settings_of(provider.url, PORT="0", CACHE_TTL="0")
        async with serve(
            service_of(settings, upstream), settings, timings=Timings(linger_seconds=PATIENCE)
        ) as listening:
            yield Both(provider, listening.host, listening.port)


def check(found: Heard, expected: Heard) -> None:
    """Assert that a caller heard what the corpus says."""
    assert (found.text, found.code, found.arguments) == (expected.text, expected.code, expected.arguments)
    assert expected.says in found.says


async def test_every_answer_is_heard_as_it_should(
    adapter: Adapter, sample: Sample, caplog: pytest.LogCaptureFixture
) -> None:
    """On /ai, on /v1 whole and streamed: the text that was paid for in the shape that was wanted, or the failure.

    What a provider counted is in the log, streamed or not.
    """
    caplog.set_level(logging.INFO, "sidecar")
    expected = sample.expected
    whole = expected.whole or expected.ai
    async with both(adapter) as there:
        chat = b'{"action": "chat", "content": "What is a fraction?"}'
        _, body = await there.answer(sample, post(chat, "Connection: close"))
        check(heard_on_ai(json.loads(body)), expected.ai)
        status, body = await there.answer(sample, chat_request("Connection: close"))
        check(heard_whole(status, json.loads(body)), whole)
        status, body = await there.answer(sample, chat_request("Connection: close", stream=True))
        check(heard_streamed(status, body), expected.stream or whole)
    lines = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "answered"]
    counts = [(line["prompt_tokens"], line["completion_tokens"]) for line in lines]
    if expected.usage != (0, 0):
        assert counts == [expected.usage] * 3

"""The model's context, learned from a refusal: by itself, and through engine and splitter."""

import asyncio
import logging

import pytest

from sidecar.core.contract import Request
from sidecar.core.errors import ContextExceeded
from sidecar.core.ports import TRAFFIC, Call, Completion
from sidecar.core.reach import EVERY
from sidecar.engine.context_size import LEAST, ContextSize, ContextSizes
from sidecar.engine.limiter.pool import Pool
from sidecar.engine.limiter.provider import Provider
from sidecar.engine.limiter.trace import Trace
from sidecar.service import service_of
from tests.support.engines import request_of
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.simulated_pool import Unstored

LETTERS_A_TOKEN = 4


class NarrowUpstream(HeldUpstream):
    """A provider whose model takes texts of so many tokens, of four letters each."""

    def __init__(self, size: int) -> None:
        super().__init__(text="Short.")
        self.size = size
        self.refused = 0

    async def complete(self, call: Call, *, deadline: float) -> Completion:
        done = await super().complete(call, deadline=deadline)
        if sum(len(message["content"]) for message in call.messages) > self.size * LETTERS_A_TOKEN:
            self.refused += 1
            raise ContextExceeded(limit=self.size)
        return done


def of_one_model() -> ContextSize:
    return ContextSizes(lambda _: [""]).of(EVERY["interactive"])


async def test_a_summary_over_the_context_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    """The text is split again at the size that the refusal names; the log says which setting to correct."""
    caplog.set_level(logging.WARNING, "sidecar")
    upstream = NarrowUpstream(4000)
    service = service_of(settings_of(), upstream, clock=asyncio.get_running_loop().time)
    text = "A fraction is a part of a whole. " * 1200
    outcome = await service.engine.answer(request_of(text, "summarize"))
    assert outcome.reply.data == "Short."
    assert upstream.refused == 1
    again = await service.engine.answer(request_of(text + "More.", "summarize"))
    assert (again.reply.data, upstream.refused) == ("Short.", 1)
    lines = [record.__dict__["fields"] for record in caplog.records if record.getMessage() == "context_learned"]
    assert lines == [{"tokens": 4000, "instead_of": 16_000, "setting": "CONTEXT_TOKENS", "model": "adorsys"}]


async def test_a_model_that_a_class_never_meets_cuts_none_of_its_texts() -> None:
    """The small model's refusal of a job halves no caller's text, and a class of both models fits the smaller one."""
    small, large = NarrowUpstream(4000), NarrowUpstream(100_000)
    clock = asyncio.get_running_loop().time
    providers = [
        Provider(small, name="small", model="s", concurrency=4, traffic=frozenset({"jobs", "background"}), clock=clock),
        Provider(large, name="large", model="l", concurrency=4, traffic=frozenset({"interactive", "background"})),
    ]
    service = service_of(settings_of(), Pool(providers), clock=clock)
    text = "A fraction is a part of a whole. " * 1200
    job = Request(action="summarize", content=text)
    until = clock() + 60.0
    answer = await service.background.text(job, Unstored(), Trace(), deadline=until, background=True)
    assert (answer, small.refused) == ("Short.", 1)
    contexts = service.kernel.contexts
    assert [contexts.of(EVERY[traffic]).room(16_000) for traffic in TRAFFIC] == [16_000, 4000, 4000]
    outcome = await service.engine.answer(request_of(text, "summarize"))
    assert (outcome.reply.data, len(large.calls), large.refused) == ("Short.", 1, 0)


@pytest.mark.parametrize(
    ("named", "tried", "room"), [(4096, 16_000, 4096), (None, 16_000, 12_000), (32_000, 16_000, 12_000), (8, 1000, 750)]
)
def test_a_refusal_teaches_a_smaller_size(named: int | None, tried: int, room: int) -> None:
    """The size it names; without one, or at that very size, a quarter less."""
    size = of_one_model()
    assert size.exceeded(ContextExceeded(limit=named), tried)
    assert size.room(16_000) == room
    assert size.room(100) == 100


def test_what_another_request_learned_is_tried_first() -> None:
    """Parts side by side are refused together, and teach one lesson."""
    size = of_one_model()
    assert size.exceeded(ContextExceeded(limit=4096), 16_000)
    assert size.exceeded(ContextExceeded(limit=None), 16_000)
    assert size.room(16_000) == 4096


def test_learning_ends() -> None:
    """Below the least size there is no room for an answer."""
    size, tried = of_one_model(), 16_000
    while size.exceeded(ContextExceeded(), tried):
        tried = size.room(tried)
    assert tried >= LEAST

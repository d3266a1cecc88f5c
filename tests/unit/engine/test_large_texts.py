"""Large texts are hashed and looked through in the thread beside the loop, which serves other callers meanwhile."""

import threading

import pytest

from sidecar.core.contract import Request
from sidecar.core.off_loop import THREAD_BYTES
from sidecar.engine.answer_cache import AnswerCache, Key
from sidecar.engine.formats.formatter import Formatter
from sidecar.engine.keys import Keys
from tests.support.engines import LIMITS, code, request_of, service_over
from tests.support.held_provider import HeldUpstream

SIZES = pytest.mark.parametrize("size", [THREAD_BYTES - 1, THREAD_BYTES])


class WatchedKeys(Keys):
    """Keys that note which threads make them."""

    def __init__(self) -> None:
        super().__init__(model="m", limits=LIMITS)
        self.threads: set[threading.Thread] = set()

    def of_request(self, request: Request) -> Key[str] | None:
        self.threads.add(threading.current_thread())
        return super().of_request(request)


class WatchedText(str):  # noqa: SLOT000 - it has an attribute
    """Text that notes which threads look at it."""

    threads: set[threading.Thread]

    def isascii(self) -> bool:
        self.threads.add(threading.current_thread())
        return super().isascii()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        self.threads.add(threading.current_thread())
        return super().encode(encoding, errors)


def watched(size: int) -> WatchedText:
    text = WatchedText("a" * size)
    text.threads = set()
    return text


def only_beside(threads: set[threading.Thread]) -> bool:
    assert threads
    return threading.current_thread() not in threads


@SIZES
async def test_a_large_text_is_hashed_in_the_thread(size: int) -> None:
    """A summary's key is the hash of its whole text."""
    keys = WatchedKeys()
    assert (
        code(await service_over(HeldUpstream(), keys=keys).engine.answer(request_of("a" * size, "summarize"))) == "ok"
    )
    assert only_beside(keys.threads) == (size >= THREAD_BYTES)


@SIZES
async def test_a_large_answer_is_looked_through_in_the_thread(size: int) -> None:
    """What PHP's decoder does not take is searched for."""
    text = watched(size)
    assert code(await service_over(HeldUpstream(text=text)).engine.answer(request_of())) == "ok"
    assert only_beside(text.threads) == (size >= THREAD_BYTES)


async def test_a_large_answer_in_html_is_hashed_in_the_thread() -> None:
    """The HTML of shared answers is kept under the hash of their text."""
    text = watched(THREAD_BYTES)
    await Formatter("html", finished=AnswerCache(ttl=100.0, size=2**20)).written(text, shared=True)
    assert only_beside(text.threads)

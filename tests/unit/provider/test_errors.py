"""What a provider's refusals become: the right error, when to come back, and which of its words are quoted."""

import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RateLimited, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call
from sidecar.provider.answers.reader import read
from sidecar.provider.http_answer import Answer
from sidecar.provider.redaction import quoted

QUESTION = Call(messages=[{"role": "user", "content": "Why is the sky blue at noon?"}], max_tokens=7)
SECRET = "geheim-123456"


def failing(body: object, status: int, **headers: str) -> UpstreamFailure:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)
    with pytest.raises(UpstreamFailure) as caught:
        read(answer, QUESTION, (SECRET,))
    return caught.value


def error(message: str, *, type: str = "", code: object = None) -> dict[str, Any]:  # noqa: A002
    return {"error": {"message": message, "type": type, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind", "scope"),
    [
        (429, error("You exceeded your current quota.", type="insufficient_quota"), RateLimited, "account"),
        (429, error("x", code="insufficient_quota"), RateLimited, "account"),
        (429, error("Your billing is not set up."), RateLimited, "account"),
        (402, error("Insufficient Balance"), RateLimited, "account"),
        (400, error("x", code="billing_hard_limit_reached"), RateLimited, "account"),
        (
            429,
            error("Request too large for m on tokens per min (TPM): Limit 10, Requested 12."),
            RateLimited,
            "request",
        ),
        (401, error("x"), UpstreamAuth, "provider"),
        (400, error("x", code="invalid_api_key"), UpstreamAuth, "provider"),
        (200, error("x", code=401), UpstreamAuth, "provider"),
        (418, b"teapot", UpstreamError, "request"),
    ],
)
def test_what_waiting_cannot_cure_is_final(status: int, body: object, kind: type[UpstreamFailure], scope: str) -> None:
    """Quota, key and size are the administrator's or the caller's to mend."""
    failure = failing(body, status)
    assert (type(failure), failure.retryable, failure.scope) == (kind, False, scope)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": "9", "retry_after_ms": "250"}, 9.0),
        ({"retry_after": "9", "retry_after_ms": "soon"}, 9.0),
        ({"retry_after": "-3"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "1e99"}, 86_400.0),
        ({"retry_after": "whenever"}, None),
        ({"retry_after": "Fri, 31 Dec 1999 23:59:59 GMT"}, 0.0),
        ({}, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 529])
def test_retry_after_is_read_in_all_its_forms(status: int, headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, fractions, milliseconds, dates; nonsense is as if nothing was said."""
    assert failing(error("x"), status, **headers).retry_after == seconds


def test_a_date_to_come_back_is_the_time_until_then() -> None:
    """RFC 9110, 10.2.3."""
    wait = failing(error("x"), 429, retry_after=formatdate(time.time() + 60, usegmt=True)).retry_after
    assert wait is not None
    assert 50 < wait <= 60


@pytest.mark.parametrize("wrong", [-3600, -90, 90, 3600])
def test_a_wrong_clock_at_the_provider_changes_no_wait(wrong: int) -> None:
    """A date and a point since 1970 are read by the `Date` of the same answer, which comes from the same clock."""
    clock = time.time() + wrong
    sent = formatdate(clock, usegmt=True)
    named = failing(error("x"), 429, retry_after=formatdate(clock + 8, usegmt=True), date=sent).retry_after
    assert named == pytest.approx(8, abs=1)
    reset = str(round((clock + 8) * 1000))
    used_up = {"x_ratelimit_remaining": "0", "x_ratelimit_reset": reset, "date": sent}
    assert failing(error("x"), 429, **used_up).retry_after == pytest.approx(8, abs=1.1)


def test_a_date_without_sense_is_as_if_the_answer_had_none() -> None:
    """The own clock is the second best."""
    wait = failing(error("x"), 429, retry_after=formatdate(time.time() + 60, usegmt=True), date="noon").retry_after
    assert wait is not None
    assert 50 < wait <= 60


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, error("This model's maximum context length is 8192 tokens.")),
        (400, error("x", code="context_length_exceeded")),
        (413, b""),
        (422, error("the prompt is too long: 9 tokens > 8 maximum")),
    ],
)
def test_a_text_too_long_is_said_plainly(status: int, body: object) -> None:
    """People can shorten a text; they cannot read token counts."""
    assert str(failing(body, status)) == "The text is too long for the AI model."


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (error("The server is on fire."), "The AI provider answered with an error (500): The server is on fire."),
        ({"error": "Broken pipe."}, "The AI provider answered with an error (500): Broken pipe."),
        ({"detail": "Not today."}, "The AI provider answered with an error (500): Not today."),
        ([{"error": {"message": "Backend."}}], "The AI provider answered with an error (500): Backend."),
        ({"message": "Plain."}, "The AI provider answered with an error (500): Plain."),
        (b"<h1>Bad gateway</h1>", "The AI provider answered with an error (500)."),
        (error("<b>bold</b> & more"), "The AI provider answered with an error (500): b bold /b + more"),
    ],
)
def test_a_providers_own_words_are_quoted_shortly_and_safely(body: object, words: str) -> None:
    """In whichever shape they come; no markup reaches a browser."""
    assert str(failing(body, 500)) == words


@pytest.mark.parametrize(
    "message",
    [
        "Bad key geheim-123456 given",
        "Bad key heim-123 given",
        "Bad key sk-proj-AbCd12 given",
        "Bad key sk-a****ef given",
        "Authorization: Bearer abcdef was wrong",
        "api_key=abcdef was wrong",
        "See https://example.test/?key=abcdef for more",
        "Token abcdef0123456789abcdef0123 expired",
    ],
)
def test_nothing_like_a_key_is_quoted(message: str) -> None:
    """Whole, in part, masked, in a link or in a header."""
    quote = quoted(message, QUESTION, (SECRET,))
    for piece in ("heim-123", "AbCd", "****", "abcdef"):
        assert piece not in quote


def test_a_long_quote_is_cut() -> None:
    """A hundred and twenty characters are a sentence; more is somebody's page."""
    assert len(quoted("word " * 1000, QUESTION)) <= 120


words = st.text("abcde ", min_size=30, max_size=120).map(lambda text: " ".join(text.split()))
noise = st.text("xyz", max_size=40)


@given(words.filter(lambda text: len(text) > 26), noise, noise, st.integers(0, 1000))
def test_no_run_of_a_users_text_is_quoted(text: str, before: str, after: str, place: int) -> None:
    """Twenty-four characters in a row that the caller wrote keep the whole quote out, wherever they are."""
    start = place % (len(text) - 26)
    message = before + text[start : start + 26] + after
    content = [{"type": "text", "text": text.replace(" ", "\n ")}]
    assert quoted(message, Call(messages=[{"role": "user", "content": content}], max_tokens=1)) == ""


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("INVALID: MY PIN IS 4711 AND I LIVE IN ROME", "Invalid? My pin is 4711 and I live in Rome"),
        ("Invalid input: my pin is 4711", "my pin is 4711"),
    ],
)
def test_no_quote_repeats_what_a_user_wrote(said: str, text: str) -> None:
    """Neither in other letters nor as a short text."""
    call = Call(messages=({"role": "user", "content": text},), max_tokens=1)
    assert quoted(said, call) == ""
    parts = Call(messages=({"role": "user", "content": [{"type": "text", "text": text}]},), max_tokens=1)
    assert quoted(said, parts) == ""

"""Refusals for want of room, as real providers and gateways send them, and when to come back."""

import json
import time
from email.utils import formatdate
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.errors import RateLimited, SidecarError, UpstreamError, UpstreamFailure
from sidecar.provider.errors import failure
from sidecar.provider.http_answer import Answer
from tests.support.refusals import GEMINI, IN_A_MINUTE, QUESTION, error, refused, row

DAY: Final = 86_400.0
OPENAI: Final = (
    "Rate limit reached for gpt-4o in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1."
)
LINK: Final = " Visit https://platform.openai.com/account/billing to add a payment method."
MINUTE: Final = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": IN_A_MINUTE}


def retry_info(delay: object) -> list[dict[str, Any]]:
    return [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]


NO_ROOM: Final = [
    row("openai-rpm", 429, error(OPENAI + " Please try again in 20s." + LINK, code="rate_limit_exceeded"), {}, 20.0),
    row("openai-link-to-billing-is-no-word", 429, error("Rate limit reached." + LINK), {}, None),
    row("openai-ms", 429, error("Please try again in 840ms."), {"retry-after": "1"}, 0.84),
    row("openai-1.2s", 429, error("Please try again in 1.2s."), {"retry-after": "2"}, 1.2),
    row("openai-6m0s", 429, error("Please try again in 6m0s. Visit us."), {}, 360.0),
    row("openai-retry-after-ms", 429, error("x"), {"retry-after": "1", "retry-after-ms": "250"}, 0.25),
    row("openai-more-than-rounding", 429, error("x"), {"retry-after": "9", "retry-after-ms": "250"}, 9.0),
    row("longest-of-all", 429, error("Please try again in 30s."), {"retry-after": "9"}, 30.0),
    row("groq-2m59.56s", 429, error("Please try again in 2m59.56s. Need more? https://groq.com/billing"), {}, 179.56),
    row("groq-498-flex", 498, error("Flex tier capacity exceeded", code="capacity_exceeded"), {}, None),
    row("azure-words", 429, error("exceeded call rate limit. Please retry after 33 seconds.", code="429"), {}, 33.0),
    row("azure-apim", 429, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 7 seconds."}, {}, 7.0),
    row("gemini-litellm#9035", 429, [error(GEMINI, status="RESOURCE_EXHAUSTED", details=retry_info("40s"))], {}, 40.0),
    row("gemini-half-a-second", 429, error(GEMINI, details=retry_info("0.5s")), {}, 0.5),
    row("gemini-words", 429, error(GEMINI + "\nPlease retry in 39.837460529s."), {}, 39.837460529),
    row("gemini-minute", 429, error(GEMINI + " GenerateRequestsPerMinutePerProject"), {}, None),
    row("bare", 429, b"", {}, None),
    row("nginx-page", 429, b"<html>429", {}, None),
    row("envoy-text", 503, b"no healthy upstream", {}, None),
    row("llama.cpp", 503, error("Loading model", code=503, type="unavailable_error"), {}, None),
    row("anthropic-529", 529, {"type": "error", **error("Overloaded", type="overloaded_error")}, {}, None),
    row("litellm-1.106.2", 429, error("slow down", code="429"), {"llm_provider-retry-after": "7"}, 7.0),
    row("wait-of-503", 503, error("x"), {"retry-after": "20"}, 20.0),
    row("zero", 429, error("x"), {"retry-after": "0"}, 0.0),
    row("cloudflare-1015", 429, {"error_code": 1015, "retry_after": 30, "title": "Error 1015"}, {}, 30.0),
    row("a-minute-in-words", 429, error("Please wait 1 minute and 20 seconds before you retry."), {}, 80.0),
    row("twice-the-header", 429, error("x"), {"retry-after": "7, 7"}, 7.0),
    row("openrouter-in-a-200", 200, error("Rate limited", code=429), {}, None),
    row("openrouter-503-in-a-200", 200, error("No provider", code=503), {}, None),
    row("name-in-a-200", 200, error("x", code="rate_limit_exceeded"), {}, None),
    row("overloaded-in-a-200", 200, error("Overloaded", type="overloaded_error"), {}, None),
    row("503-as-text-in-a-200", 200, {"error": "503 Service Unavailable"}, {}, None),
    row("google-in-a-200", 200, error("x", status="RESOURCE_EXHAUSTED"), {}, None),
    row(
        "minimax-1002", 200, {"base_resp": {"status_code": 1002, "status_msg": "rate limit"}, "choices": None}, {}, None
    ),
]


@pytest.mark.parametrize(("status", "body", "headers", "wait"), NO_ROOM)
def test_a_refusal_for_want_of_room_is_free_and_names_its_wait(
    status: int, body: object, headers: dict[str, str], wait: float | None
) -> None:
    """Whatever limit it speaks of: it may be tried again, and the wait counts in every form."""
    found = refused(body, status, headers)
    assert (found.scope, found.retryable, found.vague) == ("capacity", True, False)
    assert found.retry_after == (wait if wait is None else pytest.approx(wait))
    assert type(found) is (RateLimited if found.status == 429 else UpstreamError)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        row("openai-6m0s", {"x-ratelimit-reset-requests": "6m0s", "x-ratelimit-remaining-requests": "0"}, 360.0),
        row("openai-400ms", {"x-ratelimit-reset-tokens": "400ms"}, 0.4),
        row("groq-2m59.56s", {"x-ratelimit-reset-requests": "2m59.56s"}, 179.56),
        row("openai-1h2m", {"x-ratelimit-reset-tokens": "1h2m"}, 3720.0),
        row("azure-seconds", {"x-ratelimit-reset-tokens": "12"}, 12.0),
        row("go-nanoseconds", {"x-ratelimit-reset-tokens": "500ns"}, 5e-7),
        row("longest", {"x-ratelimit-reset-tokens": "1s", "x-ratelimit-reset-requests": "2s"}, 2.0),
        row(
            "only-the-empty-bucket",
            {
                "x-ratelimit-reset-tokens": "1s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-requests": "9s",
                "x-ratelimit-remaining-requests": "4",
            },
            1.0,
        ),
    ],
)
def test_when_a_bucket_is_full_again_is_a_vague_wait(headers: dict[str, str], wait: float) -> None:
    """There is room long before; a named wait comes first."""
    found = refused(error("x"), 429, headers)
    assert found.vague
    assert found.retry_after == pytest.approx(wait)
    named = refused(error("x"), 429, {**headers, "retry-after": "3"})
    assert (named.retry_after, named.vague) == (3.0, False)


def test_a_bucket_with_room_left_says_nothing() -> None:
    """Its reset is about something else than this refusal."""
    headers = {"x-ratelimit-reset-requests": "9s", "x-ratelimit-remaining-requests": "4"}
    assert refused(error("x"), 429, headers).retry_after is None


@pytest.mark.parametrize(
    "moment",
    [
        row("http-date", lambda at: {"retry-after": formatdate(at, usegmt=True)}),
        row("epoch-seconds", lambda at: {"x-ratelimit-reset": str(round(at))}),
        row("epoch-milliseconds", lambda at: {"x-ratelimit-reset-requests": str(round(at * 1000))}),
        row(
            "anthropic-rfc3339", lambda at: {"x-ratelimit-reset": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))}
        ),
    ],
)
def test_a_point_in_time_is_the_wait_until_then(moment: Any) -> None:
    """Dates and seconds or milliseconds since 1970."""
    wait = refused(error("x"), 429, moment(time.time() + 60)).retry_after
    assert wait is not None
    assert 50 < wait <= 61


@pytest.mark.parametrize(
    "text", ["-3", "nan", "inf", "-inf", "1e999", "", "soon", "\N{ARABIC-INDIC DIGIT SEVEN}s", "6m0"]
)
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms", "x-ratelimit-reset-requests"])
def test_nonsense_is_as_if_nothing_was_said(name: str, text: str) -> None:
    """No wait at all rather than a wrong one."""
    assert refused(error("x"), 429, {name: text}).retry_after is None


def test_openrouters_minute_is_a_vague_wait_and_its_day_a_used_up_account() -> None:
    """Refused calls count against the day, so none is made before it ends (dirge#718, freellmapi#92)."""
    body = error("Rate limit exceeded: free-models-per-min. ", code=429, metadata={"headers": MINUTE})
    found = refused(body, 429)
    assert (found.scope, found.retryable, found.vague) == ("capacity", True, True)
    assert found.retry_after == pytest.approx(60, abs=5)
    body = error("Rate limit exceeded: free-models-per-day. Add 10 credits", code=429, metadata={"headers": MINUTE})
    for status in (429, 200):
        found = refused(body, status)
        assert (type(found), found.scope, found.retryable) == (RateLimited, "account", False)
        assert found.retry_after == pytest.approx(60, abs=5)


WAITS: Final = st.one_of(
    st.text(max_size=30),
    st.floats().map(str),
    st.integers().map(str),
    st.from_regex(r"[0-9.]{1,6}(ms|s|m|h|d| seconds)([0-9.]{1,6}(ms|s|m|h))?", fullmatch=True),
    st.datetimes().map(lambda moment: moment.isoformat()),
    st.sampled_from(["Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 99 Foo 1999", "9999-12-31T23:59:59", "1e308"]),
)
NAMES: Final = st.sampled_from(
    [
        "retry-after",
        "retry-after-ms",
        "x-ratelimit-reset-requests",
        "x-ratelimit-reset",
        "x-ratelimit-remaining-requests",
    ]
)
FIELDS: Final = st.sampled_from(
    [
        *(
            "error",
            "errors",
            "detail",
            "details",
            "message",
            "msg",
            "loc",
            "code",
            "type",
            "status",
            "reason",
            "metadata",
        ),
        *("headers", "raw", "retryDelay", "retry_after", "base_resp", "status_code", "status_msg", "choices", "__type"),
    ]
)
VALUES: Final = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WAITS
SHAPES: Final = st.recursive(VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner))
STATUSES: Final = st.sampled_from([200, 301, 400, 401, 402, 403, 404, 413, 429, 498, 500, 503, 529])


@given(SHAPES, st.dictionaries(NAMES, WAITS), STATUSES, WAITS)
def test_no_refusal_raises_and_every_wait_is_one(body: Any, headers: dict[str, str], status: int, span: str) -> None:
    """Between nothing and a day, whatever JSON, headers and words say."""
    for said in (body, error(f"Please try again in {span}", metadata={"headers": headers}), [body]):
        found = failure(Answer(status, headers, json.dumps(said).encode()), QUESTION)
        assert isinstance(found, SidecarError)
        assert found.retry_after is None or 0 <= found.retry_after <= DAY
        assert found.retryable is (found.scope == "capacity")


@given(st.binary(max_size=200), STATUSES)
def test_no_bytes_raise(body: bytes, status: int) -> None:
    """A body that is no JSON at all."""
    assert isinstance(failure(Answer(status, {}, body), QUESTION), UpstreamFailure)

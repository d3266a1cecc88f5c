"""Promises of the words in which the demo provider's limits refuse: headers and body facts of each voice."""

import json
from typing import Any, get_args

import pytest

from sidecar.demo import delivery, ordered_failures, voices
from sidecar.demo.call import Call, parse_call
from sidecar.demo.errors import Refusal, retry_after
from sidecar.demo.limits import Denial
from sidecar.demo.options import Options, Voice, changed

NOW = 1_700_000_000.0
REQUESTS = Denial(which="requests", limit=60, used=60, wait=2.4, back=60.0)
TOKENS = Denial(which="tokens", limit=600, used=590, requested=40, wait=3.0, back=59.0)
SLOTS = Denial(which="slots", limit=2, used=2)
DAY = Denial(which="day", limit=50, used=50, wait=100.0, back=100.0)
TOO_LARGE = Denial(which="tokens", limit=100, used=0, requested=101)
ALL = (REQUESTS, TOKENS, SLOTS, DAY, TOO_LARGE)


def told(voice: Voice, denial: Denial = REQUESTS, **changes: Any) -> tuple[Refusal, dict[str, str], Any]:
    """The refusal, all its headers, and its body: decoded where it is JSON."""
    options = changed(Options(voice=voice), changes)
    refusal = voices.refusal(denial, "m", options, NOW)
    kind, body = refusal.body()
    headers = {**refusal.headers, **retry_after(refusal, options, NOW)}
    return refusal, headers, json.loads(body) if kind == "application/json" else body


def call(status: int, *, text: str = "Why?", server_wide: bool = False, **fields: Any) -> Call:
    body = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
    options = Options(status=status) if server_wide else Options()
    header = None if server_wide else f"status={status}"
    return parse_call(json.dumps(body).encode(), "/v1/chat/completions", header, options)


def error_of(status: int, **ways: Any) -> Any:
    return json.loads(ordered_failures.failure(status, call(status, **ways)).body()[1])["error"]


@pytest.mark.parametrize("voice", get_args(Voice))
@pytest.mark.parametrize("denial", ALL, ids=lambda denial: str(denial.which))
@pytest.mark.parametrize("retry", [None, 7, "date", "off"])
def test_every_voice_can_refuse_for_every_limit(voice: Voice, denial: Denial, retry: float | str | None) -> None:
    """Whatever was run into, the voice keeps its status and never speaks of concurrency, a word of no API."""
    refusal, headers, body = told(voice, denial, retry_after=retry)
    assert refusal.status == {"503": 503, "529": 529}.get(voice, 429)
    assert "concurren" not in f"{refusal} {headers} {body}".lower()
    assert refusal.outcome == {"requests": "rpm", "tokens": "tpm"}.get(denial.which, denial.which)


@pytest.mark.parametrize(
    ("denial", "kind", "words", "wait"),
    [
        (
            REQUESTS,
            "requests",
            "requests per min (RPM): Limit 60, Used 60, Requested 1. Please try again in 2.4s.",
            2.4,
        ),
        (TOKENS, "tokens", "tokens per min (TPM): Limit 600, Used 590, Requested 40. Please try again in 3s.", 3),
        (SLOTS, "requests", "requests per min (RPM): Limit 2, Used 2, Requested 1. Please try again in 1s.", 1),
        (DAY, "requests", "requests per day (RPD): Limit 50, Used 50, Requested 1. Please try again in 1m40s.", 100),
    ],
)
def test_openai_names_the_limit_and_the_wait(denial: Denial, kind: str, words: str, wait: float) -> None:
    """Type, code, sentence and both wait headers, whole seconds rounded up."""
    _, headers, body = told("openai", denial)
    assert (body["error"]["type"], body["error"]["code"]) == (kind, "rate_limit_exceeded")
    assert body["error"]["message"] == f"Rate limit reached for m on {words}"
    assert headers["Retry-After"] == str(-int(-wait // 1))
    assert headers["retry-after-ms"] == str(round(wait * 1000))


def test_openai_sounds_for_slots_as_for_requests() -> None:
    """Nothing remains, and the reset is a second away; with RPM the limit is RPM's."""
    _, headers, _ = told("openai", SLOTS)
    assert headers == {
        "Retry-After": "1",
        "retry-after-ms": "1000",
        "x-ratelimit-limit-requests": "2",
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "1s",
    }
    assert told("openai", SLOTS, rpm=60)[1]["x-ratelimit-limit-requests"] == "60"


def test_openai_names_a_call_that_never_fits() -> None:
    """No wait helps, so none is named."""
    _, headers, body = told("openai", TOO_LARGE)
    assert headers == {}
    assert body["error"]["message"].startswith("Request too large for m on tokens per min (TPM): Limit 100")


def test_azure_names_the_wait_in_words_and_headers() -> None:
    """Its code is the status as text; with `off` only the words name the wait."""
    _, headers, body = told("azure")
    assert headers == {"Retry-After": "3", "retry-after-ms": "2400"}
    assert body["error"].keys() == {"code", "message"}
    assert body["error"]["code"] == "429"
    assert "exceeded call rate limit" in body["error"]["message"]
    assert "Please retry after 3 seconds." in body["error"]["message"]
    assert "Please retry after 1 second." in told("azure", SLOTS)[2]["error"]["message"]
    assert "exceeded token rate limit" in told("azure", TOKENS)[2]["error"]["message"]
    _, headers, body = told("azure", retry_after="off")
    assert headers == {}
    assert "Please retry after 3 seconds." in body["error"]["message"]


def test_bare_says_nothing() -> None:
    """No header, not even a request's id, and a body that nobody can use."""
    refusal, headers, body = told("bare")
    assert (headers, body) == ({}, b"Too Many Requests")
    sent = delivery.refused(refusal, Options(voice="bare"), {"x-request-id": "req_1"})
    assert set(sent.headers) == {"Content-Type"}


def test_503_and_529_name_no_wait() -> None:
    """503 in OpenAI's shape and 529 in Anthropic's; a wait only where the option asks for one."""
    _, headers, body = told("503")
    assert (headers, body["error"]["code"]) == ({}, "service_unavailable")
    _, headers, body = told("529")
    assert headers == {}
    assert body == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    assert told("529", retry_after=7)[1]["Retry-After"] == "7"
    assert changed(Options(), {"voice": 503}).voice == "503"


@pytest.mark.parametrize(
    ("denial", "option", "delay"),
    [(REQUESTS, None, "3s"), (DAY, None, "100s"), (SLOTS, None, "40s"), (SLOTS, 7, "7s"), (TOO_LARGE, None, None)],
)
def test_gemini_hides_the_wait_in_a_list(denial: Denial, option: float | None, delay: str | None) -> None:
    """RetryInfo has the true wait where one is known, else 40 s; the words are those of a used-up account."""
    _, headers, body = told("gemini", denial, retry_after=option)
    assert headers == {}
    assert isinstance(body, list)
    error = body[0]["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["message"] == "You exceeded your current quota, please check your plan and billing details."
    delays = [part["retryDelay"] for part in error["details"] if part["@type"].endswith("RetryInfo")]
    assert delays == ([delay] if delay else [])
    quota = error["details"][0]["violations"][0]
    assert ("PerDay" in quota["quotaId"]) == (denial is DAY)
    assert quota["quotaValue"] == str(denial.limit)


def test_openrouter_names_the_day_inside_the_body() -> None:
    """Remaining 0 and the reset in milliseconds since 1970 stand under the error's metadata, not among the headers."""
    _, headers, body = told("openrouter", DAY)
    assert headers == {}
    error = body["error"]
    assert error["code"] == 429
    assert "free-models-per-day" in error["message"]
    assert error["metadata"]["headers"] == {
        "X-RateLimit-Limit": "50",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int((NOW + 100) * 1000)),
    }


@pytest.mark.parametrize("denial", [REQUESTS, TOKENS, SLOTS])
def test_openrouter_blames_the_provider_behind_it_for_the_rest(denial: Denial) -> None:
    """Limits of a minute and slots are its upstream's."""
    _, headers, body = told("openrouter", denial)
    assert headers == {}
    assert body["error"]["message"] == "Provider returned error"
    assert "m is temporarily rate-limited upstream" in body["error"]["metadata"]["raw"]


@pytest.mark.parametrize("denial", [REQUESTS, SLOTS, DAY])
def test_long_names_twenty_seconds_whatever_is_true(denial: Denial) -> None:
    """OpenAI's words; the option still overrides."""
    _, headers, body = told("long", denial)
    assert (headers["Retry-After"], headers["retry-after-ms"]) == ("20", "20000")
    assert body["error"]["message"].endswith("Please try again in 20s.")
    assert told("long", denial, retry_after=3)[1]["Retry-After"] == "3"


@pytest.mark.parametrize(
    ("denial", "option", "expected"),
    [
        (REQUESTS, None, {"x-ratelimit-reset-requests": "1m0s"}),
        (TOKENS, None, {"x-ratelimit-reset-tokens": "59s"}),
        (SLOTS, None, {"x-ratelimit-reset-requests": "6m0s"}),
        (SLOTS, 0.4, {"x-ratelimit-reset-requests": "400ms"}),
    ],
)
def test_reset_names_only_when_all_is_back(denial: Denial, option: float | None, expected: dict[str, str]) -> None:
    """No Retry-After and no sentence to go by: one header, in OpenAI's spans."""
    _, headers, body = told("reset", denial, retry_after=option)
    assert headers == expected
    assert body["error"]["message"] == "Rate limit reached. Please try again later."


def test_an_ordered_429_speaks_in_the_voice() -> None:
    """`status=429` is a refusal as well; it counts as failed."""
    for voice, found in (("gemini", list), ("azure", dict)):
        asked = call(429)
        asked.options = changed(asked.options, {"voice": voice})
        refusal = ordered_failures.failure(429, asked)
        assert (refusal.status, refusal.outcome) == (429, "failed")
        assert isinstance(json.loads(refusal.body()[1]), found)


def test_402_says_what_is_requested_and_what_can_be_paid() -> None:
    """Fewer tokens than the call asked for, whatever that is."""
    for fields, asked, afforded in (({}, 4096, 2048), ({"max_tokens": 9000}, 9000, 2666), ({"max_tokens": 8}, 8, 4)):
        error = error_of(402, **fields)
        assert error["code"] == 402
        assert (
            "requires more credits, or fewer max_tokens. You requested up to "
            f"{asked} tokens, but can only afford {afforded}." in error["message"]
        )


def test_403_of_one_request_flags_its_text() -> None:
    """Ordered by a request it is that text's fault, ordered for everybody the region's."""
    error = error_of(403, text="a harmless text")
    assert (error["code"], error["metadata"]["flagged_input"]) == (403, "a harmless text")
    assert "Your input was flagged" in error["message"]
    assert error_of(403, server_wide=True)["code"] == "unsupported_country_region_territory"


def test_413_and_498_have_groqs_words() -> None:
    """A request over the tokens a minute, and a tier without room."""
    error = error_of(413, max_tokens=900)
    assert (error["type"], error["code"]) == ("tokens", "rate_limit_exceeded")
    assert "Request too large" in error["message"]
    assert "Requested 900" in error["message"]
    assert error_of(498)["code"] == "capacity_exceeded"

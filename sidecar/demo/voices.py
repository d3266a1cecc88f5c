"""Voices: the refusals that OpenAI, Azure, Gemini, OpenRouter, Anthropic and bare gateways really send at a limit.

Sources: OpenAI's guide to rate limits and answers quoted in public reports (openai-node#1108, litellm#9035,
ruby_llm#850, dirge#718). No provider has a word for calls at once: a refusal by slots reads like one by requests.
"""

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from sidecar.demo.errors import Refusal, failed
from sidecar.demo.limits import Denial, span
from sidecar.demo.options import Options, Voice

RATED: Final = frozenset({"openai", "long", "queue"})
"""Voices whose answers, refusals or not, carry the `x-ratelimit-*` headers."""
_OUTCOMES: Final = {"requests": "rpm", "tokens": "tpm", "day": "day", "slots": "slots"}
_NAMES: Final = {
    "requests": "requests per min (RPM)",
    "tokens": "tokens per min (TPM)",
    "day": "requests per day (RPD)",
    "slots": "requests per min (RPM)",
}
_QUOTA_WORDS: Final = "You exceeded your current quota, please check your plan and billing details."
_OPENROUTER_DAY: Final = (
    "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 free model requests per day"
)


class Case(NamedTuple):
    """One refusal before it gets a voice."""

    denial: Denial
    model: str
    options: Options
    now: float
    """Seconds since 1970."""

    @property
    def outcome(self) -> str:
        """Name that the refusal is counted under."""
        return _OUTCOMES[self.denial.which]

    @property
    def kind(self) -> str:
        """OpenAI's `type`."""
        return "tokens" if self.denial.which == "tokens" else "requests"

    def wait(self, unknown: float) -> float | None:
        """Return RETRY_AFTER's seconds or the true ones; `unknown` for slots, None for a call that never fits."""
        if self.denial.which != "slots" and self.denial.wait is None:
            return None
        if isinstance(self.options.retry_after, (int, float)):
            return self.options.retry_after
        return unknown if self.denial.wait is None else self.denial.wait

    def wait_if_set(self) -> float | None:
        """Return the seconds to name in a voice that names some only where RETRY_AFTER is set."""
        return None if self.options.retry_after is None else self.wait(1.0)


def refusal(denial: Denial, model: str, options: Options, now: float) -> Refusal:
    """Return the provider's refusal of a call that ran into a limit; `now` is in seconds since 1970."""
    return _VOICES[options.voice](Case(denial, model[:80], options, now))


def ordered(model: str, options: Options, now: float) -> Refusal | None:
    """Return a refusal that STATUS=429 ordered, in the words of its voice; None for a voice that has OpenAI's."""
    if options.voice in ("openai", "queue", "503", "529"):
        return None
    answer = refusal(Denial(which="slots", limit=0, used=0), model, options, now)
    return msgspec.structs.replace(answer, outcome="failed")


def _openai(case: Case) -> Refusal:
    return _in_openais_words(case, case.wait(1.0))


def _long(case: Case) -> Refusal:
    configured = case.options.retry_after
    return _in_openais_words(case, configured if isinstance(configured, (int, float)) else 20.0)


def _in_openais_words(case: Case, wait: float | None) -> Refusal:
    denial = case.denial
    limit, used = denial.limit, denial.used
    headers: dict[str, str] = {}
    if denial.which in ("slots", "day"):  # the buckets' headers are in every answer already
        limit = used = denial.limit if denial.which == "day" else case.options.rpm or denial.limit
        headers = {
            "x-ratelimit-limit-requests": str(limit),
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": span(denial.wait or 1.0),
        }
    numbers = f"{case.model} on {_NAMES[denial.which]}: Limit {limit}, Used {used}, Requested {denial.requested}"
    if wait is None:
        message = f"Request too large for {numbers}. It must be made smaller."
    else:
        message = f"Rate limit reached for {numbers}. Please try again in {span(wait)}."
    return Refusal(
        outcome=case.outcome,
        status=429,
        type=case.kind,
        code="rate_limit_exceeded",
        message=message,
        wait=wait,
        headers=headers,
    )


def _reset(case: Case) -> Refusal:
    # The only hint is OpenAI's header with the time until the whole limit is back.
    configured = case.options.retry_after
    known = 360.0 if case.denial.which == "slots" else case.denial.back
    back = span(configured if isinstance(configured, (int, float)) else known)
    headers = {f"x-ratelimit-reset-{case.kind}": back}
    return msgspec.structs.replace(_in_openais_words(case, None), message=_TOO_MANY, headers=headers)


_TOO_MANY: Final = "Rate limit reached. Please try again later."


def _azure(case: Case) -> Refusal:
    wait = case.wait(1.0)
    rate = "token rate limit" if case.kind == "tokens" else "call rate limit"
    message = (
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2024-10-21 have exceeded "
        f"{rate} of your current OpenAI S0 pricing tier."
    )
    if wait is not None:
        again = math.ceil(wait)
        message += f" Please retry after {again} second{'s' * (again != 1)}."
    message += " Please go here: https://aka.ms/oai/quotaincrease if you would like to increase the default rate limit."
    return _shaped(case, {"error": {"code": "429", "message": message}}, message=message, wait=wait)


def _bare(case: Case) -> Refusal:
    return Refusal(
        outcome=case.outcome,
        status=429,
        type="",
        message="",
        wait=case.wait_if_set(),
        content=("text/plain", b"Too Many Requests"),
        nameless=True,
    )


def _unavailable(case: Case) -> Refusal:
    answer = failed(503, case.options)
    return msgspec.structs.replace(answer, outcome=case.outcome, wait=case.wait_if_set())


def _overloaded(case: Case) -> Refusal:
    error = {"type": "overloaded_error", "message": "Overloaded"}
    return _shaped(case, {"type": "error", "error": error}, status=529, message="Overloaded", wait=case.wait_if_set())


def _gemini(case: Case) -> Refusal:
    wait = case.wait(40.0)
    what = "token_count" if case.kind == "tokens" else "requests"
    per = "Day" if case.denial.which == "day" else "Minute"
    violation = {
        "quotaMetric": f"generativelanguage.googleapis.com/generate_content_free_tier_{what}",
        "quotaId": f"GenerateRequestsPer{per}PerProjectPerModel-FreeTier",
        "quotaDimensions": {"location": "global", "model": case.model},
        "quotaValue": str(case.denial.limit),
    }
    details: list[dict[str, Any]] = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]},
        {
            "@type": "type.googleapis.com/google.rpc.Help",
            "links": [
                {
                    "description": "Learn more about Gemini API quotas",
                    "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
                }
            ],
        },
    ]
    if wait is not None:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{math.ceil(wait)}s"})
    error = {"code": 429, "message": _QUOTA_WORDS, "status": "RESOURCE_EXHAUSTED", "details": details}
    return _shaped(case, [{"error": error}], message=_QUOTA_WORDS)


def _openrouter(case: Case) -> Refusal:
    if case.denial.which == "day":
        return _openrouter_day(case)
    raw = (
        f"{case.model} is temporarily rate-limited upstream. Please retry shortly, or add your own key to accumulate "
        "your rate limits: https://openrouter.ai/settings/integrations"
    )
    message = "Provider returned error"
    metadata = {"raw": raw, "provider_name": "Demo"}
    error = {"message": message, "code": 429, "metadata": metadata}
    return _shaped(case, {"error": error}, message=message, wait=case.wait_if_set())


def _openrouter_day(case: Case) -> Refusal:
    reset = math.ceil((case.now + (case.wait(0.0) or 0.0)) * 1000)
    headers = {
        "X-RateLimit-Limit": str(case.denial.limit),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(reset),
    }
    metadata = {"headers": headers, "provider_name": None}
    error = {"message": _OPENROUTER_DAY, "code": 429, "metadata": metadata}
    return _shaped(case, {"error": error}, message=_OPENROUTER_DAY)


def _shaped(case: Case, body: Any, *, message: str, status: int = 429, wait: float | None = None) -> Refusal:
    content = ("application/json", msgspec.json.encode(body))
    return Refusal(outcome=case.outcome, status=status, type=case.kind, message=message, wait=wait, content=content)


_VOICES: Final[dict[Voice, Callable[[Case], Refusal]]] = {
    "openai": _openai,
    "azure": _azure,
    "bare": _bare,
    "503": _unavailable,
    "529": _overloaded,
    "gemini": _gemini,
    "openrouter": _openrouter,
    "long": _long,
    "reset": _reset,
    "queue": _openai,
}

"""Table theirs → ours for a provider's refusals: status, type, code and headers to the error tree.

The table separates want of capacity, a fault of this one request, a used-up account and a refused key. Failed
connections are in connection_errors.py.
"""

from typing import Final

from sidecar.core.errors import ContextExceeded, ModelUnknown, RateLimited, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call
from sidecar.provider import error_meanings
from sidecar.provider.error_body import ErrorBody, read_error
from sidecar.provider.http_answer import Answer
from sidecar.provider.redaction import copies, quoted
from sidecar.provider.retry_after import named_wait, reset_of, wait_in

_NO_SERVER: Final = "The AI provider's gateway has no server at work (503). Please try again in a minute."
_GATEWAY_SECONDS: Final = 60.0
"""Seconds after which a gateway takes servers in again that it had given up: SGLang's router waits so long."""


def failure(answer: Answer, call: Call, secrets: tuple[str, ...] = ()) -> UpstreamFailure:
    """Return the error for a refusing answer, also for one at status 200 that holds an error."""
    error, status = read_error(answer.body), answer.status
    if 200 <= status < 300:
        status = error_meanings.status_inside(error) or status
    if (used_up := _used_up(answer, error, status, call)) is not None:
        return used_up
    if _key_refused(answer, error, status, call):
        return UpstreamAuth(status=status)
    if status in error_meanings.NO_ROOM:
        return _no_room(answer, error, status)
    if status == 413 or error_meanings.too_long(error):
        return ContextExceeded(status=status, limit=error_meanings.context_size(error))
    quote = quoted(error.whole, call, secrets)
    if error_meanings.fault_of_request(error, status):
        kind = ModelUnknown if _model_unknown(error, status, call) else UpstreamError
        return kind(_request_sentence(answer, error, status, quote), status=status, scope="request")
    sentence = f"The AI provider answered with an error{_detail(status, quote)}"
    if 300 <= status < 400:
        sentence = f"The AI provider redirects calls ({status}); the administrator should check OPENAI_BASE_URL."
    return UpstreamError(sentence, status=status)


def _used_up(answer: Answer, error: ErrorBody, status: int, call: Call) -> RateLimited | None:
    """Return the error for a used-up account, which no waiting cures, or only the day's end."""
    if status == 429 and error_meanings.daily_quota(error):
        day = "The AI provider's limit for today is used up; the administrator must check plan and billing there."
        after = reset_of(error.headers, answer.headers.get("date", ""))
        return RateLimited(day, status=status, retry_after=after, scope="account")
    if status == 401:
        return None
    if status == 402:
        used_up = not error_meanings.OVER_CREDIT.search(error.message)
    else:
        used_up = bool(error.names & error_meanings.QUOTA_CODES) or _quota_in_words(answer, error, status, call)
    if not used_up:
        return None
    sentence = "The AI provider's quota is used up; the administrator must check plan and billing there."
    return RateLimited(sentence, status=status, scope="account")


def _quota_in_words(answer: Answer, error: ErrorBody, status: int, call: Call) -> bool:
    if status == 429:
        # Gemini writes "exceeded your current quota … billing" for limits a minute too, but then names a wait.
        found = error_meanings.quota_in_words(error.message) and named_wait(answer.headers, error) is None
    else:
        found = status in (400, 403) and bool(error_meanings.QUOTA_WORDS_ANY_STATUS.search(error.message))
    return found and not copies(error.message, call)  # words copied from the caller's text are no evidence


def _key_refused(answer: Answer, error: ErrorBody, status: int, call: Call) -> bool:
    if status == 401 or error.names & error_meanings.BAD_KEY:
        return True
    if status != 403 or error_meanings.not_allowed(error, 403):
        return False
    if error_meanings.permission_in_codes(error, answer.headers):
        return True
    in_words = error_meanings.permission_in_words(error.message, own_model=bool(call.model))
    return in_words and not copies(error.message, call)


def _model_unknown(error: ErrorBody, status: int, call: Call) -> bool:
    """Return whether the provider lacks its configured model; another one is the caller's own choice."""
    return status == 404 and not call.model and error_meanings.model_unknown(error) and not copies(error.message, call)


def _no_room(answer: Answer, error: ErrorBody, status: int) -> UpstreamFailure:
    """Return the error for a refusal before any work: a retry is free, unless the text alone exceeds the limit."""
    if status == 429 and error_meanings.exceeds_minute_limit(error):
        sentence = "The text is too long for the AI provider's limit on tokens a minute."
        return RateLimited(sentence, status=status, scope="request")
    if status == 503 and error_meanings.no_server(error):
        # Backoff decides within the deadline; the caller who hears it comes back when the gateway looks again.
        after = named_wait(answer.headers, error) or _GATEWAY_SECONDS
        return UpstreamError(_NO_SERVER, status=status, retryable=True, retry_after=after, vague=True)
    wait, vague = wait_in(answer.headers, error)
    kind: type[UpstreamFailure] = RateLimited
    sentence = RateLimited.sentence
    if status != 429:
        kind, sentence = (
            UpstreamError,
            f"The AI provider is overloaded for the moment ({status}). Please try again soon.",
        )
    return kind(sentence, status=status, retryable=True, retry_after=wait, scope="capacity", vague=vague)


def _request_sentence(answer: Answer, error: ErrorBody, status: int, quote: str) -> str:
    """Return the sentence about a request that is at fault itself."""
    detail = _detail(status, quote)
    if status == 404:
        names = "OPENAI_BASE_URL and OPENAI_MODEL"
        sentence = f"The AI provider knows no such address or model (404); the administrator should check {names}."
    elif error_meanings.not_allowed(error, status):
        sentence = f"The AI provider does not allow this text{detail}"
    elif status == 402:
        sentence = f"The AI provider's credit does not cover a request of this size{detail}"
    elif status == 403 and answer.body.lstrip()[:1] == b"<":
        sentence = "The AI provider, or a firewall before it, refused this request with a web page (403)."
    else:
        sentence = f"The AI provider refused this request{detail}"
    return sentence


def _detail(status: int, quote: str) -> str:
    number = "" if status == 200 else f" ({status})"
    return f"{number}: {quote}" if quote else f"{number}."

"""Table theirs → ours for what a provider says when it refuses: status, type, code and headers to the error tree.

A refusal for want of room is told from a fault of this one request, from a used-up account and from a refused key.
Lost connections have no words; they are in connection_errors.py.
"""

from sidecar.core.errors import RateLimited, UpstreamAuth, UpstreamError, UpstreamFailure
from sidecar.core.ports import Call
from sidecar.provider import error_meanings
from sidecar.provider.error_body import Said, said
from sidecar.provider.http_answer import Answer
from sidecar.provider.redaction import copies, quoted
from sidecar.provider.retry_after import named_wait, reset_of, wait_in


def failure(answer: Answer, call: Call, secrets: tuple[str, ...] = ()) -> UpstreamFailure:
    """Return the error that a refusing answer is (also one at status 200 that holds an error)."""
    words, status = said(answer.body), answer.status
    if 200 <= status < 300:
        status = error_meanings.status_inside(words) or status
    if (used_up := _used_up(answer, words, status, call)) is not None:
        return used_up
    if _of_the_key(answer, words, status, call):
        return UpstreamAuth(status=status)
    if status in error_meanings.NO_ROOM:
        return _no_room(answer, words, status)
    quote = quoted(words.message, call, secrets)
    if error_meanings.about_the_request(words, status):
        return UpstreamError(_at_fault(answer, words, status, quote), status=status, scope="request")
    sentence = f"The AI provider answered with an error{_told(status, quote)}"
    if 300 <= status < 400:
        sentence = f"The AI provider redirects calls ({status}); the administrator should check OPENAI_BASE_URL."
    return UpstreamError(sentence, status=status)


def _used_up(answer: Answer, words: Said, status: int, call: Call) -> RateLimited | None:
    """The failure of an account that is used up: no waiting cures it, or only the day's end does."""
    if status == 429 and error_meanings.of_the_day(words):
        day = "The AI provider's limit for today is used up; the administrator must check plan and billing there."
        return RateLimited(day, status=status, retry_after=reset_of(words.headers), scope="account")
    if status == 401:
        return None
    if status == 402:
        broke = not error_meanings.AFFORDS_LESS.search(words.message)
    else:
        broke = bool(words.names & error_meanings.BROKE) or _broke_in_words(answer, words, status, call)
    if not broke:
        return None
    sentence = "The AI provider's quota is used up; the administrator must check plan and billing there."
    return RateLimited(sentence, status=status, scope="account")


def _broke_in_words(answer: Answer, words: Said, status: int, call: Call) -> bool:
    if status == 429:
        # Gemini says "exceeded your current quota … billing" for its limits a minute too, but then names a wait.
        says = error_meanings.broke_in_words(words.message) and named_wait(answer.headers, words) is None
    else:
        says = status in (400, 403) and bool(error_meanings.PLAINLY_BROKE.search(words.message))
    return says and not copies(words.message, call)  # a caller's text proves nothing


def _of_the_key(answer: Answer, words: Said, status: int, call: Call) -> bool:
    if status == 401 or words.names & error_meanings.BAD_KEY:
        return True
    if status != 403 or error_meanings.not_allowed(words, 403):
        return False
    if error_meanings.of_the_key(words, answer.headers):
        return True
    wordy = error_meanings.of_the_key_in_words(words.message, own_model=bool(call.model))
    return wordy and not copies(words.message, call)


def _no_room(answer: Answer, words: Said, status: int) -> UpstreamFailure:
    """A refusal before any work; another attempt costs nothing, unless the text is over the limit by itself."""
    if status == 429 and error_meanings.over_by_itself(words):
        sentence = "The text is too long for the AI provider's limit on tokens a minute."
        return RateLimited(sentence, status=status, scope="request")
    wait, vague = wait_in(answer.headers, words)
    kind: type[UpstreamFailure] = RateLimited
    sentence = RateLimited.sentence
    if status != 429:
        kind, sentence = (
            UpstreamError,
            f"The AI provider is overloaded for the moment ({status}). Please try again soon.",
        )
    return kind(sentence, status=status, retryable=True, retry_after=wait, scope="capacity", vague=vague)


def _at_fault(answer: Answer, words: Said, status: int, quote: str) -> str:
    """The sentence about a request that is at fault itself."""
    told = _told(status, quote)
    if status == 404:
        names = "OPENAI_BASE_URL and OPENAI_MODEL"
        sentence = f"The AI provider knows no such address or model (404); the administrator should check {names}."
    elif status == 413 or error_meanings.too_long(words):
        sentence = "The text is too long for the AI model."
    elif error_meanings.not_allowed(words, status):
        sentence = f"The AI provider does not allow this text{told}"
    elif status == 402:
        sentence = f"The AI provider's credit does not cover a request of this size{told}"
    elif status == 403 and answer.body.lstrip()[:1] == b"<":
        sentence = "The AI provider, or a firewall before it, refused this request with a web page (403)."
    else:
        sentence = f"The AI provider refused this request{told}"
    return sentence


def _told(status: int, quote: str) -> str:
    number = "" if status == 200 else f" ({status})"
    return f"{number}: {quote}" if quote else f"{number}."

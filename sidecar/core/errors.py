"""Errors of a request, as one tree: each has a code for programs and a sentence for people.

`http/responses/statuses.py` maps codes to HTTP statuses. Adapters translate an outside library's errors into
these once, at their boundary.
"""

from typing import ClassVar, Final, Literal, Self

from sidecar.core.late_pattern import late_pattern

MAX_SENTENCE: Final = 300
"""Characters of an error's sentence (CONTRACT: the widget shows it as HTML)."""

_BIDI: Final = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
"""Controls of writing direction, which can make a sentence read otherwise than it is (Unicode, UAX #9)."""
_UNSAFE: Final = late_pattern(f"[\\x00-\\x20\\x7f-\\xa0<>\\u2028\\u2029\\ud800-\\udfff{_BIDI}]+")


def plain(text: str, limit: int = MAX_SENTENCE) -> str:
    """Return text of at most `limit` characters that is safe in HTML and in a log line.

    It has no markup, no surrogates and no controls, those of writing direction included.
    """
    if len(text) <= limit and text.isalnum() and text.isascii():  # most fields of the log, on every request's way
        return text
    short = _UNSAFE.sub(" ", text[: limit * 4]).replace("&", "+").strip()
    return short if len(short) <= limit else short[: limit - 1].rstrip() + "…"


_FIELDS: Final = {
    "OPENAI_BASE_URL": "base_url",
    "OPENAI_API_KEY": "api_key_file",
    "OPENAI_MODEL": "model",
    "EXTRA_BODY": "extra_body",
}
"""Fields of PROVIDERS_FILE for the variables that sentences name."""
_VARIABLES: Final = late_pattern(r"\b({0})\b(?: and ({0})\b)?".format("|".join(_FIELDS)))


def in_file(sentence: str, provider: str) -> str:
    """Return the sentence with a provider's fields in PROVIDERS_FILE in the place of variables."""
    return _VARIABLES.sub(
        lambda found: f"{' and '.join(_FIELDS[name] for name in found.groups() if name)} of the provider {provider}",
        sentence,
    )


class SidecarError(Exception):
    """Failure of a request: `code` for programs, the sentence for people."""

    code: ClassVar[str] = "internal"
    sentence: ClassVar[str] = "The AI service had an internal fault; the administrator finds it in its log."

    retry_after: float | None
    """Seconds after which a retry makes sense; None where that is unknown."""

    def __init__(self, sentence: str | None = None, *, retry_after: float | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(plain(sentence or self.sentence))


class InvalidJSON(SidecarError):
    code = "invalid_json"
    sentence = "The request is not a JSON object in UTF-8."


class InvalidRequest(SidecarError):
    code = "invalid_request"
    sentence = "The request lacks a field or has a wrong one."


class UnknownAction(InvalidRequest):
    code = "unknown_action"
    sentence = "The action is unknown; it must be chat, summarize or analyze."


class UnsupportedMediaType(SidecarError):
    code = "unsupported_media_type"
    sentence = "The request must be sent with Content-Type: application/json."


class TooLarge(SidecarError):
    code = "too_large"
    sentence = "The request is too large."


class Unauthorized(SidecarError):
    code = "unauthorized"
    sentence = "This address needs the sidecar's token, and it was missing or wrong."


class NotFound(SidecarError):
    code = "not_found"
    sentence = "There is nothing at this address."


class MethodNotAllowed(SidecarError):
    code = "method_not_allowed"
    sentence = "This address does not take that method."


class BadHTTP(SidecarError):
    code = "bad_request"
    sentence = "The request is not valid HTTP."


class WrongVersion(SidecarError):
    code = "http_version"
    sentence = "The request must be HTTP/1.1 or HTTP/1.0."


class WrongHost(SidecarError):
    code = "wrong_host"
    sentence = "This host name is not served here; the administrator allows names with ALLOWED_HOSTS."


class SlowRequest(SidecarError):
    code = "request_timeout"
    sentence = "The request did not arrive in time."


class Overloaded(SidecarError):
    """Early refusal; `cause`: `places` or `bytes` of the queue are used up, it would be `late`, or `jobs` is full."""

    code = "overloaded"
    sentence = "Too many people are asking right now. Please try again in a moment."

    def __init__(self, sentence: str | None = None, *, retry_after: float | None = None, cause: str = "") -> None:
        super().__init__(sentence, retry_after=retry_after)
        self.cause = cause


class Limited(SidecarError):
    """A limit that this site set is reached; `limit` names the limit for the log, as `user.at_once`."""

    code = "limited"
    sentence = "A limit of this site is reached. Please try again later."

    def __init__(self, sentence: str | None = None, *, retry_after: float | None = None, limit: str = "") -> None:
        super().__init__(sentence, retry_after=retry_after)
        self.limit = limit


class DeadlineExceeded(SidecarError):
    code = "timeout"
    sentence = "The answer was not ready in time. Please try again."


class ShuttingDown(SidecarError):
    code = "shutting_down"
    sentence = "The AI service is restarting. Please try again in a moment."


class JobsUnavailable(SidecarError):
    code = "jobs_unavailable"
    sentence = "Jobs are not available here; the administrator turns them on with REDIS_URL."


class JobGoesOn(DeadlineExceeded):
    """The caller's time is over, but the work goes on as a job: a repeated request finds the job's result."""

    sentence = "The text is long and is still being worked on. Please ask again in a minute."

    def __init__(self, job_id: str = "") -> None:
        super().__init__()
        self.job_id = job_id


class InternalError(SidecarError):
    code = "internal"


Scope = Literal["provider", "capacity", "request", "account"]
"""Scope of a failure: the provider as such, its capacity right now, this one request, or the whole account."""


class UpstreamFailure(SidecarError):
    """The provider gave no usable answer.

    `retryable`: another attempt may succeed and the first cost nothing. `once`: `retryable` is likely but not
    certain, so it allows one other attempt only. `unsent`: no byte of the request reached the provider. `status`: the
    provider's HTTP status, None without an answer.
    """

    code = "upstream_error"
    sentence = "The AI provider answered with an error."

    def __init__(
        self,
        sentence: str | None = None,
        *,
        status: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        scope: Scope = "provider",
        once: bool = False,
        vague: bool = False,
        unsent: bool = False,
    ) -> None:
        super().__init__(sentence, retry_after=retry_after)
        self.status = status
        self.retryable = retryable
        self.scope: Scope = scope
        self.once = once
        self.vague = vague
        self.unsent = unsent
        self.crowded = False
        """Flag: other calls showed that the provider failed for want of room, before any work."""

    def name_provider(self, name: str) -> None:
        """Put the fields of the provider `name` in PROVIDERS_FILE in the place of the variables in the sentence."""
        self.args = (plain(in_file(str(self), name)),)

    def again(self) -> Self:
        """Copy the failure for another caller: one exception raised twice would carry both tracebacks."""
        return type(self)(
            str(self),
            status=self.status,
            retryable=self.retryable,
            retry_after=self.retry_after,
            scope=self.scope,
            once=self.once,
            vague=self.vague,
            unsent=self.unsent,
        )


class UpstreamError(UpstreamFailure):
    """The provider answered with an error, or with something that is no completion."""


class ContextExceeded(UpstreamError):
    """The text is longer than the model takes; `limit` is the model's size in tokens, None where it is not named."""

    sentence = "The text is too long for the AI model."

    def __init__(
        self,
        sentence: str | None = None,
        *,
        status: int | None = None,
        limit: int | None = None,
        model: str = "",
        **_: object,
    ) -> None:
        super().__init__(sentence, status=status, scope="request")
        self.limit = limit
        self.model = model
        """The model that refused, as its provider is configured."""

    def again(self) -> Self:
        return type(self)(str(self), status=self.status, limit=self.limit, model=self.model)


class ModelUnknown(UpstreamError):
    """The provider does not have its configured model, or does not give it to this key: no work was done.

    Where it is the only provider, the failure is that of each request. Among several it is the provider's.
    """

    def of_provider(self) -> Self:
        """Return the failure as it counts at a provider beside others."""
        return type(self)(str(self), status=self.status)


class RateLimited(UpstreamFailure):
    code = "rate_limited"
    sentence = "The AI provider's limit is reached. Please try again in a minute."


class UpstreamAuth(UpstreamFailure):
    code = "upstream_auth"
    sentence = "The AI provider refused the key; the administrator must check OPENAI_API_KEY."


class UpstreamUnreachable(UpstreamFailure):
    code = "upstream_unreachable"
    sentence = "The AI provider cannot be reached."


class EmptyResponse(UpstreamFailure):
    code = "empty_response"
    sentence = "The AI provider sent an empty answer."


def error_of(code: str, sentence: str) -> SidecarError:
    """Return the failure that was stored as `code` and `sentence`; an unknown code becomes an `InternalError`."""
    kinds: list[type[SidecarError]] = [SidecarError]
    for kind in kinds:  # grows level by level: deeper classes hold more than a code and a sentence, so they come last
        kinds += kind.__subclasses__()
    kind = next((kind for kind in kinds[1:] if kind.code == code), InternalError)
    return kind(sentence)


class ConfigError(Exception):
    """Invalid settings; `faults` has one line for each, safe to show."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("; ".join(faults))

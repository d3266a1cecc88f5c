"""Meanings of providers' codes and words: a refused key, a used-up account, a text too long or not allowed.

Only these are decided by words. Sources are the guides to errors of OpenAI, Azure, Google, AWS, Anthropic,
OpenRouter, Groq, xAI, Moonshot, Alibaba and Volcengine, and public reports.
"""

import re
from collections.abc import Mapping
from typing import Final

from sidecar.provider.error_body import ErrorBody

NO_ROOM: Final = frozenset({429, 498, 503, 529})
"""Statuses of calls refused before any work: 498 is Groq's, 529 Anthropic's."""
AMBIGUOUS: Final = frozenset({408, 409, 425})
"""Statuses of the 400s that leave open whether the request itself is at fault."""

BAD_KEY: Final = frozenset({"invalid_api_key", "api_key_invalid"})
QUOTA_CODES: Final = frozenset(
    {
        "insufficient_quota",
        "billing_hard_limit_reached",
        "billing_not_active",
        "billing_error",  # Anthropic
        "insufficient_balance",
        "insufficient_credits",
        "insufficient_user_quota",  # one-api
        "exceeded_current_quota_error",  # Moonshot
        "arrearage",  # Alibaba
        "accountoverdueerror",  # Volcengine
    }
)
"""Types and codes of used-up accounts, which no waiting cures."""
QUOTA_WORDS_ANY_STATUS: Final = re.compile(
    r"credit balance is too low|any credits yet|used all available credits|key limit exceeded|spending limit"
    r"|used up your daily free allocation",
    re.IGNORECASE,
)
"""Words of used-up accounts that also come with other statuses: Anthropic (400), xAI and OpenRouter (403)."""
_QUOTA_WORDS: Final = re.compile(
    r"exceeded your current quota|billing|insufficient (?:quota|balance|credit)", re.IGNORECASE
)
_MINUTE: Final = re.compile(r"per[ _-]?min|\b[RT]PM\b|a minute", re.IGNORECASE)
_SOON: Final = re.compile(r"(?:try again|retry) in ", re.IGNORECASE)
_LINK: Final = re.compile(r"\bhttps?://\S+", re.IGNORECASE)
OVER_CREDIT: Final = re.compile(r"fewer max_tokens|can only afford [1-9]|prompt tokens limit exceeded", re.IGNORECASE)
"""Words of OpenRouter's 402 for a request too large for the credit that is left."""

_TOO_LARGE: Final = re.compile(r"request too large", re.IGNORECASE)
_REQUESTED: Final = re.compile(r"\blimit:? (\d{1,15}),.{0,80}?\brequested:? (\d{1,15})\b", re.IGNORECASE | re.DOTALL)
_TOO_LONG: Final = re.compile(
    r"context[ _](?:length|window|size)|maximum context|(?:prompt|input|request) is too long"
    r"|too many (?:input )?tokens|exceeds the maximum number of (?:input )?tokens|maximum (?:prompt|input) length"
    r"|inputs` tokens \+ `max_new_tokens`|longer than the model",
    re.IGNORECASE,
)
_LEAST_CONTEXT: Final = 64
"""Tokens from which a number can be the size of a context."""
_TOO_LONG_NAMES: Final = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "request_too_large"}
)
_SIZE: Final = re.compile(
    r"(?:context[ _](?:length|window|size)|maximum (?:prompt|input) length|n_ctx|maximum number of (?:input )?tokens"
    r"(?: allowed)?|cannot exceed|must be <=)[^0-9.]{0,40}?(\d{2,9})\b"
    r"|\b(\d{2,9}) (?:tokens? )?(?:maximum(?: context length)?|is the (?:maximum|limit))",
    re.IGNORECASE,
)
"""Sizes of a context in everybody's words, thousands without separators."""
_SEPARATOR: Final = re.compile(r"(?<=\d),(?=\d{3}\b)")
_NO_SERVER: Final = re.compile(
    r"no (?:available|healthy|live) (?:\w{1,12} )?(?:workers?|servers?|backends?|instances?|endpoints?)"
    r"|no (?:workers?|servers?|backends?) (?:are |is )?available",
    re.IGNORECASE,
)
"""Words of a gateway behind which no model server is at work, as SGLang's router has them."""
_NOT_ALLOWED: Final = re.compile(
    r"\bflagged\b|content[ _-](?:management |safety |usage )?(?:policy|policies|filter)"
    r"|usage polic|safety (?:system|polic)|moderation",
    re.IGNORECASE,
)
_NOT_ALLOWED_NAMES: Final = frozenset(
    {
        "content_policy_violation",
        "content_filter",
        "content_filter_error",
        "responsibleaipolicyviolation",
        "data_inspection_failed",  # Alibaba
        "datainspectionfailed",
    }
)
_PERMISSION_NAMES: Final = frozenset(
    {
        "authentication_error",
        "permission_error",
        "permission_denied",
        "permissiondenied",
        "missing_scope",
        "insufficient_permissions",
        "accessdeniedexception",
        "unrecognizedclientexception",
        "invalidsignatureexception",
        "incompletesignatureexception",
        "expiredtokenexception",
        "missingauthenticationtokenexception",
    }
)
_PERMISSION: Final = re.compile(
    r"\bapi[ _-]?key\b|\bsubscription key\b|\bcredentials?\b|authentication|unauthenticated"
    r"|not authorized to perform|\b(?:security|bearer|access|auth) token\b"
    r"|(?:insufficient|lacks?|no|not have|without|missing)(?: \S{1,20}){0,2} permissions?\b"
    r"|permissions? (?:denied|error)|missing scopes?|lacks the required data action"
    r"|(?:project|organi[sz]ation|principal)\b.{0,80}? not have access"
    r"|(?:not|n't) have access to (?:the )?(?:requested )?model",
    re.IGNORECASE,
)
_MODEL: Final = re.compile(r"access to (?:the )?(?:requested )?model", re.IGNORECASE)
_MODEL_NAMES: Final = frozenset({"model_not_found", "deploymentnotfound", "model_not_available", "invalid_model"})
_MODEL_UNKNOWN: Final = re.compile(
    r"\b(?:model|deployment)s?\b.{0,200}?(?:does not exist|doesn't exist|not exist\b|not found|is unknown)"
    r"|\b(?:no such|unknown) (?:model|deployment)\b|\bno endpoints found for\b"
    r"|(?:not|n't) have access to (?:the )?(?:requested )?model",
    re.IGNORECASE | re.DOTALL,
)
"""Words of a 404 for its model: OpenAI, Azure, Google, vLLM, Ollama, OpenRouter."""
_STATUS_NAMES: Final = {
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "rate_limit_reached": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "overloaded_error": 529,
    "engine_overloaded_error": 503,
    "service_unavailable": 503,
    "unavailable": 503,
}
_STATUS_WORDS: Final = re.compile(r"(?:http |error |status |code:? ?){0,3}(429|498|503|529)\b(?!\.\d)", re.IGNORECASE)


def status_inside(error: ErrorBody) -> int:
    """Return the HTTP status that an error at status 200 names by number, type or words; 0 for none."""
    named = next((status for name, status in _STATUS_NAMES.items() if name in error.names), 0)
    if error.status or named:
        return error.status or named
    match = _STATUS_WORDS.match(error.message)
    return int(match[1]) if match else 0


def daily_quota(error: ErrorBody) -> bool:
    """Return whether OpenRouter's free requests of this day are used up."""
    return "free-models-per-day" in error.message and error.headers.get("x-ratelimit-remaining", "0").strip() == "0"


def quota_in_words(message: str) -> bool:
    """Return whether a 429's words name a used-up account instead of a limit a minute."""
    if _MINUTE.search(message) or _SOON.search(message):
        return False
    # Ordinary refusals hold "Visit https://…/billing to raise the limit" too.
    return bool(QUOTA_WORDS_ANY_STATUS.search(message) or _QUOTA_WORDS.search(_LINK.sub("", message)))


def exceeds_minute_limit(error: ErrorBody) -> bool:
    """Return whether one text alone exceeds the limit a minute, so that waiting is useless."""
    numbers = _REQUESTED.search(error.message)
    return bool(_TOO_LARGE.search(error.message)) or (numbers is not None and int(numbers[2]) > int(numbers[1]))


def too_long(error: ErrorBody) -> bool:
    """Return whether the text is longer than the model takes."""
    return bool(error.names & _TOO_LONG_NAMES or _TOO_LONG.search(error.whole))


def context_size(error: ErrorBody) -> int | None:
    """Return the tokens that the model takes, as the refusal names them; None where no size is named."""
    words = _SEPARATOR.sub("", error.whole)
    found = _SIZE.search(words)
    minute = _REQUESTED.search(words)  # Groq's 413: more than a minute's tokens fit no call either
    size = error.context or int((found[1] or found[2]) if found else minute[1] if minute else 0)
    return size if size >= _LEAST_CONTEXT else None


def no_server(error: ErrorBody) -> bool:
    """Return whether a gateway says that no model server is at work behind it."""
    return bool(_NO_SERVER.search(error.message))


def not_allowed(error: ErrorBody, status: int) -> bool:
    """Return whether the text is one that the provider does not allow."""
    in_words = status in (400, 403, 422) and _NOT_ALLOWED.search(error.message)
    return bool(error.names & _NOT_ALLOWED_NAMES or in_words)


def model_unknown(error: ErrorBody) -> bool:
    """Return whether a 404 says that the provider lacks the model, or does not give it to this key."""
    return bool(error.names & _MODEL_NAMES or _MODEL_UNKNOWN.search(error.message))


def fault_of_request(error: ErrorBody, status: int) -> bool:
    """Return whether a refusal other than for key, account or capacity is the fault of this one request."""
    return (400 <= status < 500 and status not in AMBIGUOUS) or too_long(error) or not_allowed(error, status)


def permission_in_codes(error: ErrorBody, headers: Mapping[str, str]) -> bool:
    """Return whether a 403's codes name the key or the account's permissions as the cause."""
    aws = headers.get("x-amzn-errortype", "").partition(":")[0].lower()
    return bool((error.names | {aws}) & _PERMISSION_NAMES)


def permission_in_words(message: str, *, own_model: bool) -> bool:
    """Return the same for a 403's words. `own_model`: the caller chose the model, so its permissions do not count."""
    return bool(_PERMISSION.search(message)) and not (own_model and _MODEL.search(message))

"""What codes and words of providers mean: the key, a used-up account, a text too long or not allowed.

Nothing else is ever decided by words. Sources are the guides to errors of OpenAI, Azure, Google, AWS, Anthropic,
OpenRouter, Groq, xAI, Moonshot, Alibaba and Volcengine, and public reports.
"""

import re
from collections.abc import Mapping
from typing import Final

from sidecar.provider.error_body import Said

NO_ROOM: Final = frozenset({429, 498, 503, 529})
"""Statuses that turn a call away before any work: 498 is Groq's, 529 Anthropic's."""
UNSURE: Final = frozenset({408, 409, 425})
"""Statuses of the 400s that say nothing about the request itself."""

BAD_KEY: Final = frozenset({"invalid_api_key", "api_key_invalid"})
BROKE: Final = frozenset(
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
"""Types and codes that no waiting cures."""
PLAINLY_BROKE: Final = re.compile(
    r"credit balance is too low|any credits yet|used all available credits|key limit exceeded|spending limit"
    r"|used up your daily free allocation",
    re.IGNORECASE,
)
"""Words of used-up accounts that come with other statuses too: Anthropic (400), xAI and OpenRouter (403)."""
_BROKE_WORDS: Final = re.compile(
    r"exceeded your current quota|billing|insufficient (?:quota|balance|credit)", re.IGNORECASE
)
_MINUTE: Final = re.compile(r"per[ _-]?min|\b[RT]PM\b|a minute", re.IGNORECASE)
_SOON: Final = re.compile(r"(?:try again|retry) in ", re.IGNORECASE)
_LINK: Final = re.compile(r"\bhttps?://\S+", re.IGNORECASE)
AFFORDS_LESS: Final = re.compile(r"fewer max_tokens|can only afford [1-9]|prompt tokens limit exceeded", re.IGNORECASE)
"""OpenRouter's 402 for a request that is too large for what is left."""

_TOO_LARGE: Final = re.compile(r"request too large", re.IGNORECASE)
_REQUESTED: Final = re.compile(r"\blimit:? (\d{1,15}),.{0,80}?\brequested:? (\d{1,15})\b", re.IGNORECASE | re.DOTALL)
_TOO_LONG: Final = re.compile(
    r"context[ _](?:length|window|size)|maximum context|(?:prompt|input|request) is too long"
    r"|too many (?:input )?tokens|exceeds the maximum number of (?:input )?tokens",
    re.IGNORECASE,
)
_TOO_LONG_NAMES: Final = frozenset(
    {"context_length_exceeded", "exceed_context_size_error", "string_above_max_length", "request_too_large"}
)
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


def status_inside(words: Said) -> int:
    """Return the HTTP status that an error at status 200 names, in whichever way; 0 where it names none."""
    named = next((status for name, status in _STATUS_NAMES.items() if name in words.names), 0)
    if words.status or named:
        return words.status or named
    match = _STATUS_WORDS.match(words.message)
    return int(match[1]) if match else 0


def of_the_day(words: Said) -> bool:
    """Return whether OpenRouter's free requests of this day are used up."""
    return "free-models-per-day" in words.message and words.headers.get("x-ratelimit-remaining", "0").strip() == "0"


def broke_in_words(message: str) -> bool:
    """Return whether a 429's words speak of a used-up account, and of no limit a minute."""
    if _MINUTE.search(message) or _SOON.search(message):
        return False
    # "Visit https://…/billing to raise the limit" stands in ordinary refusals too.
    return bool(PLAINLY_BROKE.search(message) or _BROKE_WORDS.search(_LINK.sub("", message)))


def over_by_itself(words: Said) -> bool:
    """Return whether one text alone is over the limit a minute, so that no waiting helps."""
    numbers = _REQUESTED.search(words.message)
    return bool(_TOO_LARGE.search(words.message)) or (numbers is not None and int(numbers[2]) > int(numbers[1]))


def too_long(words: Said) -> bool:
    """Return whether the text is longer than the model takes."""
    return bool(words.names & _TOO_LONG_NAMES or _TOO_LONG.search(words.message))


def not_allowed(words: Said, status: int) -> bool:
    """Return whether the text is one that the provider does not allow."""
    wordy = status in (400, 403, 422) and _NOT_ALLOWED.search(words.message)
    return bool(words.names & _NOT_ALLOWED_NAMES or wordy)


def about_the_request(words: Said, status: int) -> bool:
    """Return whether a refusal that is none of key, account and room is this one request's fault."""
    return (400 <= status < 500 and status not in UNSURE) or too_long(words) or not_allowed(words, status)


def of_the_key(words: Said, headers: Mapping[str, str]) -> bool:
    """Return whether a 403's codes say plainly that it is about the key or what the account may do."""
    aws = headers.get("x-amzn-errortype", "").partition(":")[0].lower()
    return bool((words.names | {aws}) & _PERMISSION_NAMES)


def of_the_key_in_words(message: str, *, own_model: bool) -> bool:
    """Return the same for its words. `own_model`: the caller chose the model, so it is nobody else's matter."""
    return bool(_PERMISSION.search(message)) and not (own_model and _MODEL.search(message))

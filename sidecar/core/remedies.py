"""Remedies: the sentences with which the doctor and the dashboard say what to do."""

from collections.abc import Mapping
from typing import Final

KEY: Final = "check OPENAI_API_KEY, and that it belongs to OPENAI_BASE_URL"
ACCOUNT: Final = "check plan, billing and limits with the provider"
ADDRESS: Final = "check OPENAI_BASE_URL, and HTTPS_PROXY where a proxy leads out"
SLOW: Final = "the provider is slow: try again, or take a faster OPENAI_MODEL"
EMPTY: Final = "a model that thinks long may need a larger MAX_TOKENS, or less effort by EXTRA_BODY"
RESTART: Final = "wait for the restart"
REDIS: Final = "mend that; until then the sidecar works without jobs"
WORKER: Final = "start one: openai-moodle-sidecar worker (deploy/ has a unit for systemd)"
OWN_WORKER: Final = "the server starts it; its log says why there is none"
"""In place of `WORKER` with REDIS_URL=embedded."""

BY_CODE: Final[Mapping[str, str]] = {
    "upstream_auth": KEY,
    "rate_limited": ACCOUNT,
    "upstream_unreachable": ADDRESS,
    "timeout": SLOW,
    "empty_response": EMPTY,
}
"""Remedy by the code of a failed provider call."""

"""Settings that are valid alone and make no sense together."""

from sidecar.config import types
from sidecar.config.settings import Settings


def contradictions(settings: Settings, *, need_key: bool) -> list[str]:
    """Return a line for each contradiction; `need_key`: the provider's key is required and is missing."""
    faults = []
    if need_key:
        faults.append("OPENAI_API_KEY: required; set it, or OPENAI_API_KEY_FILE, or --api-key, or try --demo")
    if settings.send_user and not settings.user_secret:
        faults.append("USER_SECRET: required with SEND_USER=true; any long random text of this site's own")
    most = f"must be at most QUEUE_BYTES ({types.shown_size(settings.queue_bytes)})"
    if settings.usage_users and not settings.user_secret:
        faults.append("USER_SECRET: required with USAGE_USERS=true; any long random text of this site's own")
    if settings.max_body_bytes > settings.queue_bytes:
        faults.append(f"MAX_BODY_BYTES={types.shown_size(settings.max_body_bytes)}: {most}")
    if settings.jobs_max_body_bytes > settings.queue_bytes and settings.redis_url:
        faults.append(f"JOBS_MAX_BODY_BYTES={types.shown_size(settings.jobs_max_body_bytes)}: {most}")
    if settings.ai_require_token and not (settings.sidecar_token or settings.tokens_file):
        faults.append("SIDECAR_TOKEN: required with AI_REQUIRE_TOKEN=true")
    if settings.processes > 1 and settings.tracing:
        faults.append(f"PROCESSES={settings.processes}: must be 1 with TRACING=true, whose spans are one process's")
    return faults

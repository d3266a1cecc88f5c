"""Examples of requests and replies. Nothing personal is in them."""

from typing import Any, Final

METRICS: Final = "# HELP sidecar_queue_calls Provider calls that wait for a slot.\nsidecar_queue_calls 12.0\n"
JOB_ID: Final = "0123456789abcdef0123456789abcdef"

ACTION: Final = {
    "action": "summarize",
    "content": "The moon circles the Earth. Its pull causes the tides. Twice a day the water rises.",
    "user_id": "17",
}
ANSWER: Final = {
    "success": True,
    "data": "<code hidden></code><p>The moon raises the water twice a day.</p>",
    "error": None,
}
CHAT: Final = {"messages": [{"role": "user", "content": "What is a fraction?"}]}
COMPLETION: Final = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1700000000,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "A part of a whole."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 12, "completion_tokens": 6, "total_tokens": 18},
    "system_fingerprint": "",
}
MODEL: Final = {"id": "gpt-4o-mini", "object": "model", "created": 0, "owned_by": "openai-moodle-sidecar"}
MODELS: Final = {"object": "list", "data": [MODEL]}
ENQUEUED: Final = {"success": True, "job_id": JOB_ID, "status": "queued"}
_STATE: Final = {
    "job_id": JOB_ID,
    "status": "complete",
    "data": "The moon's pull raises the water twice a day.",
    "parts_done": 1,
    "parts_total": 1,
}
STATE: Final = {"success": True, **_STATE}
STATES: Final = {"success": True, "jobs": [_STATE]}
HEALTHY: Final = {"status": "healthy", "service": "openai-moodle-sidecar"}
DRAINING: Final = {"status": "draining", "service": "openai-moodle-sidecar"}
READY: Final = {"ready": True, "checks": {"server": "ok", "provider": "ok", "redis": "off", "worker": "off"}}
NOT_READY: Final = {"ready": False, "checks": {"server": "draining", "provider": "ok", "redis": "off", "worker": "off"}}
STATUS: Final[dict[str, Any]] = {
    "state": "serving",
    "places": {"now": 3, "most": 2048},
    "bytes": {"now": 2048, "most": 134217728},
    "slots": {"running": 3, "waiting": 0, "found": 64, "ceiling": 64},
    "limit": {"calls": 64.0, "fact": False, "why": "", "spacing": 0.0, "refused": 0, "refusal_seconds": 0.0},
    "oldest_wait": 0.0,
    "call_seconds": 1.6,
    "drain_rate": 1.9,
    "pause": 0.0,
    "breaker": "closed",
    "answers": {"ok": 1200, "overloaded": 2},
    "flights": {"under_way": 1, "joined": 4, "hits": 31, "kept": 120, "kept_bytes": 65536},
}

"""Parameters and headers of requests and replies."""

from typing import Any, Final

from sidecar.http.responses.statuses import LONGEST_DAY

_SANE_ID: Final = {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,128}$"}
_SECONDS: Final = {"type": "number", "exclusiveMinimum": 0, "maximum": 999999}


def _parameter(where: str, name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"in": where, "name": name, "description": description, "schema": schema, "required": where == "path"}


REQUEST_ID: Final = _parameter(
    "header", "X-Request-ID", "The caller's id for this request. Any other value is replaced by a new id.", _SANE_ID
)
TRACEPARENT: Final = _parameter(
    "header",
    "traceparent",
    "The caller's place in a trace (W3C Trace Context), with `tracestate`; an invalid value is ignored.",
    {"type": "string", "maxLength": 256},
)
TIMEOUT: Final = _parameter(
    "header",
    "X-Request-Timeout",
    "Seconds from arrival by which the reply must be there. It shortens REQUEST_TIMEOUT and never lengthens that;"
    " a value that makes no sense is ignored.",
    _SECONDS,
)
DEADLINE: Final = _parameter(
    "query", "deadline", "The same as X-Request-Timeout; the shorter of both counts.", _SECONDS
)
FRESH: Final = _parameter(
    "header",
    "Cache-Control",
    "With `no-cache` a finished answer in the cache is left out.",
    {"type": "string", "examples": ["no-cache"]},
)
ACTION: Final = _parameter(
    "query",
    "action",
    "What the request is for: decides what may be shared and who goes first, and never changes the messages."
    " An unknown action counts as none.",
    {"type": "string", "examples": ["generate_text"]},
)
STRICT: Final = _parameter(
    "query", "strict", "`1`: every check decides, not only that of the server.", {"type": "string", "examples": ["1"]}
)
JOB: Final = _parameter(
    "path", "job_id", "The id that POST /jobs gave.", {"type": "string", "pattern": "^[0-9a-f]{32}$"}
)
SUBMITTER: Final = _parameter(
    "query",
    "user_id",
    "The user for whom the job is cancelled; without one, the anonymous submitter or the only one. "
    "A joined job ends with its last submitter; the same request again changes nothing.",
    {"type": "string", "maxLength": 255},
)
FORMAT: Final = _parameter(
    "query",
    "format",
    "Format of `data`; if absent or blank: FORMAT's, else as the provider wrote it.",
    {"enum": ["html", "markdown", "text", ""]},
)
MODEL: Final = _parameter("path", "id", "The model's name.", {"type": "string", "minLength": 1})
DEPLOYMENT: Final = _parameter(
    "path",
    "deployment",
    "The model's name where the body has none, as Azure's clients send it.",
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -.0-~]+$"},
)
ACCEPT: Final = _parameter(
    "header",
    "Accept",
    "With application/openmetrics-text the reply is OpenMetrics 1.0.0, else Prometheus' text format 0.0.4.",
    {"type": "string", "examples": ["application/openmetrics-text;version=1.0.0"]},
)
EXEMPLARS: Final = _parameter(
    "query",
    "exemplars",
    "With `true`, and in OpenMetrics, each bucket shows the id of its last request.",
    {"type": "string", "examples": ["true"]},
)

TIMED: Final = (TIMEOUT, DEADLINE)


def _header(description: str, schema: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    return {"description": description, "schema": schema, "required": required}


ID_HEADER: Final = {"X-Request-ID": _header("The request's id, as the log has it.", _SANE_ID)}
RETRY_AFTER: Final = {
    "Retry-After": _header(
        "Seconds after which the same request makes sense again, where that is known; over 60 with `limited` only.",
        {"type": "integer", "minimum": 1, "maximum": LONGEST_DAY},
        required=False,
    )
}
POLICY: Final = {
    "Content-Security-Policy": _header("What the page may load: its own style, script and events.", {"type": "string"})
}
CHALLENGE: Final = {"WWW-Authenticate": _header("How the token may be sent.", {"const": "Bearer"})}
LOCATION: Final = {
    "Location": _header("Where the job is.", {"type": "string", "pattern": "^/jobs/[0-9a-f]{32}$"}, required=False)
}
PROVIDER: Final = {
    "x-sidecar-provider": _header(
        "Name of the provider that answered, with PROVIDERS_FILE; absent where the answer was shared.",
        {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,40}$"},
        required=False,
    )
}
NO_RETRY: Final = {
    "x-should-retry": _header("Tells OpenAI's libraries that another try at once makes it worse.", {"const": "false"})
}

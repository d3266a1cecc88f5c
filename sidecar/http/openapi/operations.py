"""The addresses: what each takes and what can come back."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sidecar.http.openapi import ai, completions, dashboard, examples, jobs, parameters, refusals, status
from sidecar.http.openapi.base import Shape, ref
from sidecar.http.openapi.errors import MODEL_NOT_FOUND
from sidecar.http.openapi.refusals import BODY, LIMITS, STORE, TOKEN, TRANSPORT, WORK, json_reply, metrics_reply


class Operation(NamedTuple):
    """One method at one address."""

    name: str
    """The operationId."""
    tag: str
    summary: str
    replies: Mapping[int, Any]
    """Replies by status."""
    parameters: tuple[dict[str, Any], ...] = ()
    body: tuple[type[Shape], ...] = ()
    """The models of which the body is one."""
    body_example: object = None
    open: bool = False
    """True where no token is ever needed."""
    description: str = ""


def _reply(model: type[Shape], about: str, example: object, **headers: Any) -> dict[str, Any]:
    return json_reply(about, ref(model), example, headers)


def _any_of(models: Iterable[type[Shape]], about: str, example: object, headers: Mapping[str, Any]) -> dict[str, Any]:
    return json_reply(about, {"anyOf": [ref(model) for model in models]}, example, headers)


def _ai() -> Operation:
    replies = refusals.lenient_envelope((*TOKEN, *LIMITS, *BODY, "unknown_action", *WORK, *TRANSPORT))
    understood = replies[200]
    content = understood["content"]["application/json"]
    content["schema"] = {"anyOf": [ref(ai.Answer), content["schema"]]}
    content["examples"] = {"answer": {"value": examples.ANSWER}, "failure": {"value": content.pop("example")}}
    understood["description"] = (
        "The answer, or why there is none. Unless STRICT_STATUS=true, a request that was understood gets 200 in any"
        " case: the deployed plugin takes any other status for a dead transport."
    )
    return Operation(
        name="ai",
        tag="ai",
        summary="Chat about a text, summarize it or analyze it",
        description="For the deployed Moodle plugin. A token is required where the sidecar listens beyond loopback or"
        " with AI_REQUIRE_TOKEN=true.",
        parameters=(*parameters.TIMED, parameters.FRESH, parameters.TRACEPARENT),
        body=(ai.ActionRequest,),
        body_example=examples.ACTION,
        replies=replies,
    )


def _chat(name: str, *more: dict[str, Any]) -> Operation:
    about = "The answer, whole or as events."
    answer = _reply(completions.ChatCompletion, about, examples.COMPLETION, **parameters.PROVIDER)
    answer["content"]["text/event-stream"] = {"schema": ref(completions.ChatEvent)}
    return Operation(
        name=name,
        tag="openai",
        summary="Complete a chat",
        description="As OpenAI's API. Moodle asks its next provider after 429 and 5xx; docs/openai-api.md has more.",
        parameters=(*more, *parameters.TIMED, parameters.ACTION, parameters.FRESH, parameters.TRACEPARENT),
        body=(completions.ChatRequest,),
        body_example=examples.CHAT,
        replies={200: answer} | refusals.openai((*TOKEN, *LIMITS, *BODY, *WORK, *TRANSPORT)),
    )


def _models(name: str) -> Operation:
    listed = _reply(completions.ModelList, "The models that answer.", examples.MODELS)
    replies = {200: listed} | refusals.openai((*TOKEN, *TRANSPORT))
    return Operation(name=name, tag="openai", summary="List the models", replies=replies)


def _model(name: str) -> Operation:
    card = _reply(completions.Model, "The model that answers.", examples.MODEL)
    replies = {200: card} | refusals.openai((*TOKEN, MODEL_NOT_FOUND, *TRANSPORT))
    return Operation(
        name=name, tag="openai", summary="Look at a model", parameters=(parameters.MODEL,), replies=replies
    )


def _enqueue() -> Operation:
    models = (jobs.Enqueued, jobs.EnqueuedList)
    taken = _any_of(models, "The job, or the jobs of a list in its order.", examples.ENQUEUED, parameters.LOCATION)
    codes = (*TOKEN, *LIMITS, *BODY, "unknown_action", *STORE, *TRANSPORT)
    return Operation(
        name="enqueueJobs",
        tag="jobs",
        summary="Enqueue one request, or a list of them",
        description="All or nothing: one wrong entry refuses the list. The same request joins the job that there is"
        " already. A list's body has at most JOBS_MAX_BODY_BYTES (64 MiB).",
        parameters=(*parameters.TIMED, parameters.TRACEPARENT),
        body=(jobs.JobList, ai.ActionRequest),
        body_example=examples.ACTION,
        replies={202: taken} | refusals.envelope(codes, entries=True),
    )


def _states() -> Operation:
    states = _reply(jobs.JobStates, "Each job as it is now, in the order of the ids.", examples.STATES)
    return Operation(
        name="lookAtJobs",
        tag="jobs",
        summary="Look at several jobs",
        description="Also while the server is about to end. The body has at most 256 KiB.",
        parameters=parameters.TIMED,
        body=(jobs.JobIds,),
        body_example={"job_ids": [examples.JOB_ID]},
        replies={200: states} | refusals.envelope((*TOKEN, *BODY, *STORE, *TRANSPORT), entries=True),
    )


def _job(name: str, summary: str, *more: dict[str, Any]) -> Operation:
    return Operation(
        name=name,
        tag="jobs",
        summary=summary,
        parameters=(parameters.JOB, *more, parameters.FORMAT, *parameters.TIMED),
        replies={200: _reply(jobs.Job, "The job as it is now.", examples.STATE)}
        | refusals.envelope((*TOKEN, "invalid_request", "not_found", *STORE, *TRANSPORT)),
    )


def _health(name: str) -> Operation:
    healthy = _reply(status.Healthy, "Requests are taken.", examples.HEALTHY)
    draining = _reply(status.Draining, "The server is about to end.", examples.DRAINING)
    replies = {200: healthy, 503: draining} | refusals.envelope(TRANSPORT)
    return Operation(name=name, tag="operators", summary="Whether requests are taken", replies=replies, open=True)


def _ready(name: str) -> Operation:
    ready = _reply(status.Ready, "The server should get requests.", examples.READY)
    held_back = _reply(status.NotReady, "The server is starting or about to end.", examples.NOT_READY)
    return Operation(
        name=name,
        tag="operators",
        summary="Whether a balancer should send requests here",
        description="Only the check `server` decides, unless `strict=1`.",
        parameters=(parameters.STRICT,),
        replies={200: ready, 503: held_back} | refusals.envelope(TRANSPORT),
        open=True,
    )


def _status() -> Operation:
    return Operation(
        name="status",
        tag="operators",
        summary="What the sidecar is doing, in numbers",
        description="For this machine, and for others with the token.",
        replies={200: _reply(status.Status, "The numbers now.", examples.STATUS)}
        | refusals.envelope((*TOKEN, *TRANSPORT)),
    )


def _metrics() -> Operation:
    page = metrics_reply("The numbers now, in the format that Accept names.", examples.METRICS)
    return Operation(
        name="metrics",
        tag="operators",
        summary="The same numbers and more, for Prometheus",
        description="For this machine, and for others with the token. docs/monitoring.md has every metric.",
        parameters=(parameters.ACCEPT, parameters.EXEMPLARS),
        replies={200: page} | refusals.envelope((*TOKEN, *TRANSPORT)),
    )


def _dashboard(name: str) -> Operation:
    page = {
        "description": "The page. It holds no numbers: those come with the events.",
        "headers": parameters.ID_HEADER | parameters.POLICY,
        "content": {"text/html; charset=utf-8": {"schema": {"type": "string"}}},
    }
    replies = {200: page} | refusals.envelope(TRANSPORT)
    return Operation(name=name, tag="operators", summary="The dashboard", replies=replies, open=True)


def _dashboard_events() -> Operation:
    models = [ref(model) for model in (dashboard.DashboardPast, dashboard.DashboardNow)]
    events = {
        "description": "Events until the caller leaves or the server drains: `past` once, then `now` once a second.",
        "headers": parameters.ID_HEADER,
        "content": {"text/event-stream; charset=utf-8": {"schema": {"anyOf": models}}},
    }
    return Operation(
        name="dashboardEvents",
        tag="operators",
        summary="The numbers of the dashboard, once a second",
        description="For this machine, and for others with the token. At most 20 at once.",
        replies={200: events} | refusals.envelope((*TOKEN, "overloaded", *TRANSPORT)),
    )


def _description(name: str) -> Operation:
    found = json_reply(
        "This document.", {"type": "object", "required": ["openapi", "paths"]}, {"openapi": "3.1.0", "paths": {}}, {}
    )
    replies = {200: found} | refusals.envelope(TRANSPORT)
    return Operation(name=name, tag="operators", summary="This document", replies=replies, open=True)


OPERATIONS: Final[Mapping[str, Mapping[str, Operation]]] = {
    "/ai": {"post": _ai()},
    "/v1/chat/completions": {"post": _chat("completeChat")},
    "/chat/completions": {"post": _chat("completeChatWithoutVersion")},
    "/openai/deployments/{deployment}/chat/completions": {"post": _chat("completeChatOfAzure", parameters.DEPLOYMENT)},
    "/v1/models": {"get": _models("models"), "head": _models("headOfModels")},
    "/v1/models/{id}": {"get": _model("model"), "head": _model("headOfModel")},
    "/models": {"get": _models("modelsWithoutVersion"), "head": _models("headOfModelsWithoutVersion")},
    "/models/{id}": {"get": _model("modelWithoutVersion"), "head": _model("headOfModelWithoutVersion")},
    "/jobs": {"post": _enqueue()},
    "/jobs/status": {"post": _states()},
    "/jobs/{job_id}": {
        "get": _job("lookAtJob", "Look at a job"),
        "delete": _job("cancelJob", "Cancel a job", parameters.SUBMITTER),
    },
    "/health": {"get": _health("health"), "head": _health("headOfHealth")},
    "/ready": {"get": _ready("ready"), "head": _ready("headOfReady")},
    "/status": {"get": _status()},
    "/metrics": {"get": _metrics()},
    "/dashboard": {"get": _dashboard("dashboard"), "head": _dashboard("headOfDashboard")},
    "/dashboard/events": {"get": _dashboard_events()},
    "/openapi.json": {"get": _description("description"), "head": _description("headOfDescription")},
}

"""The OpenAPI document: the operations' table and the models, as one JSON object."""

import itertools
import json
from collections.abc import Mapping
from typing import Any, Final

from sidecar import __version__
from sidecar.http.openapi import ai, completions, dashboard, errors, jobs, parameters, status
from sidecar.http.openapi.base import components, ref
from sidecar.http.openapi.operations import OPERATIONS, Operation

_MODELS: Final = (
    *(ai.ActionRequest, ai.Answer, errors.Failure, errors.WrongEntry, errors.OpenAIFailure),
    *(completions.ChatRequest, completions.ChatCompletion, completions.ChatEvent),
    *(completions.Model, completions.ModelList),
    *(jobs.JobList, jobs.JobIds, jobs.Enqueued, jobs.EnqueuedList, jobs.Job, jobs.JobStates),
    *(status.Healthy, status.Draining, status.Ready, status.NotReady, status.Status),
    *(dashboard.DashboardPast, dashboard.DashboardNow),
)
_ABOUT: Final = (
    "The service that a Moodle runs beside PHP, so that AI answers survive a burst. Every reply carries `X-Request-ID`."
    " An address that is not described here is 404 and a method that is not described is 405, in the sidecar's"
    " envelope, or in OpenAI's shape below `/v1`, `/chat` and `/openai`."
)
_TAGS: Final = {
    "ai": "For the deployed Moodle plugin and its kind.",
    "openai": "For Moodle's own AI subsystem and every client of OpenAI.",
    "jobs": "For texts that take longer than a caller waits. Needs REDIS_URL; without it every reply is 503.",
    "operators": "For those who run the sidecar.",
}
_SECURITY: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "SIDECAR_TOKEN."},
    "basic": {"type": "http", "scheme": "basic", "description": "SIDECAR_TOKEN as the password, with any user."},
    "key": {
        "type": "apiKey",
        "in": "header",
        "name": "api-key",
        "description": "SIDECAR_TOKEN, as Azure's clients do.",
    },
}


class _Shared:
    """Components of one kind, each of which is described once and referred to by name."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.named: dict[str, Any] = {}

    def ref(self, name: str, described: Any) -> dict[str, str]:
        """Return the reference to what is described, under `name` or, where that is taken, a longer one."""
        free = itertools.chain([name], (f"{name}.{number}" for number in itertools.count(2)))
        name = next(name for name in free if self.named.get(name, described) == described)
        self.named[name] = described
        return {"$ref": f"#/components/{self._kind}/{name}"}


class _Document:
    """The paths, and what they share."""

    def __init__(self) -> None:
        self._parameters = _Shared("parameters")
        self._headers = _Shared("headers")
        self._responses = _Shared("responses")
        self.paths = {
            path: {method: self._operation(operation, method) for method, operation in methods.items()}
            for path, methods in OPERATIONS.items()
        }

    @property
    def shared(self) -> dict[str, Any]:
        """The components that the paths refer to."""
        kinds = {"parameters": self._parameters, "headers": self._headers, "responses": self._responses}
        return {kind: shared.named for kind, shared in kinds.items()}

    def _operation(self, operation: Operation, method: str) -> dict[str, Any]:
        described: dict[str, Any] = {
            "operationId": operation.name,
            "tags": [operation.tag],
            "summary": operation.summary,
            "parameters": [self._parameter(each) for each in (*operation.parameters, parameters.REQUEST_ID)],
            # As far as this document knows the token is optional: the settings decide.
            "security": [] if operation.open else [{}, *({name: []} for name in _SECURITY)],
            "responses": {
                str(code): self._reply(code, operation.tag, method, reply) for code, reply in operation.replies.items()
            },
        }
        if operation.description:
            described["description"] = operation.description
        if operation.body:
            refs = [ref(model) for model in operation.body]
            schema = refs[0] if len(refs) == 1 else {"anyOf": refs}
            content = {"application/json": {"schema": schema, "example": operation.body_example}}
            described["requestBody"] = {"required": True, "content": content}
        return described

    def _parameter(self, parameter: dict[str, Any]) -> dict[str, str]:
        return self._parameters.ref(parameter["name"], parameter)

    def _reply(self, code: int, tag: str, method: str, reply: Mapping[str, Any]) -> dict[str, str]:
        headers = {name: self._headers.ref(name, header) for name, header in reply["headers"].items()}
        described = {**reply, "headers": headers}
        if method == "head":
            del described["content"]
        return self._responses.ref(f"{tag}.{method}.{code}" if method == "head" else f"{tag}.{code}", described)


def document() -> dict[str, Any]:
    """Return the whole document."""
    paths = _Document()
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "openai-moodle-sidecar",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": about} for name, about in _TAGS.items()],
        "paths": paths.paths,
        "components": {"schemas": components(_MODELS), "securitySchemes": _SECURITY} | paths.shared,
    }


def rendered() -> bytes:
    """Return the document as the file has it."""
    return (json.dumps(document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()

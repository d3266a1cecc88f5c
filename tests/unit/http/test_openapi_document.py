"""The interface's description: the shipped file is what the models say, it is valid, and it speaks of every address."""

import json
from typing import Any

import jsonschema_rs
import pytest
import schemathesis

from sidecar.core.contract import parse_request
from sidecar.core.errors import SidecarError
from sidecar.http.openapi.document import document, rendered
from sidecar.http.responses.statuses import STATUSES
from sidecar.http.schemas.completions import parse
from sidecar.http.schemas.jobs import ids_in, requests_in
from sidecar.http.server.server import routes_of
from sidecar.service import service_of
from tests.support.described_replies import FILE, check_reply, description, resolved, validator
from tests.support.held_provider import HeldUpstream
from tests.support.http_sidecar import settings_of
from tests.support.said_requests import Said

OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in description()["paths"].items()
    for method, operation in methods.items()
]
HEADERS = {"content-type": "application/json", "x-request-id": "r"}


def bodies() -> list[tuple[str, Any]]:
    """Everything that has a schema and examples, with where it stands."""
    found = []
    for name, operation in OPERATIONS:
        parts = [(name, operation["requestBody"])] if "requestBody" in operation else []
        parts += [(f"{name} {status}", resolved(reply)) for status, reply in operation["responses"].items()]
        found += [(where, body) for where, part in parts for body in part.get("content", {}).values() if shown(body)]
    return found


def shown(body: Any) -> list[Any]:
    """The examples of a body; an event has none."""
    return [body["example"]] if "example" in body else [each["value"] for each in body.get("examples", {}).values()]


def request_example(name: str) -> bytes:
    return json.dumps(dict(bodies())[name]["example"]).encode()


def test_the_shipped_file_is_what_the_models_say() -> None:
    """`make openapi` writes the file anew."""
    assert FILE.read_bytes() == rendered()


def test_it_is_openapi_3_1() -> None:
    """As its own schema says, and each model is valid JSON Schema."""
    schemathesis.openapi.from_dict(document()).validate()
    for schema in description()["components"]["schemas"].values():
        jsonschema_rs.meta.validate({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema})


def test_a_document_that_is_none_is_not_valid() -> None:
    """What validates it can say no."""
    broken = document()
    broken["paths"]["/ai"]["post"]["responses"]["200"] = {"content": {}}
    with pytest.raises(jsonschema_rs.ValidationError):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_address_is_described_with_its_methods() -> None:
    """Those with a handler, no more and no less."""
    settings = settings_of()
    routes = routes_of(service_of(settings, HeldUpstream()), settings, None)
    served = {path: {method.lower() for method in route.methods} for path, route in routes if route.methods}
    assert served == {path: set(methods) for path, methods in description()["paths"].items()}


def test_every_code_is_described_with_its_statuses() -> None:
    """One that is added tomorrow too."""
    described: dict[str, set[int]] = {}
    for operation in (operation for name, operation in OPERATIONS if not name.startswith("HEAD")):
        for status, reply in operation["responses"].items():
            for code in codes([body["schema"] for body in resolved(reply)["content"].values()]):
                described.setdefault(code, set()).add(int(status))
    for code, statuses in STATUSES.items():
        if code == "method_not_allowed":
            continue  # that comes where nothing is described
        assert {statuses.strict, statuses.lenient} <= described[code], code
    assert {kind.code for kind in kinds()} <= STATUSES.keys()


def codes(schema: Any) -> set[str]:
    """The codes that a schema of a reply names."""
    if isinstance(schema, list):
        return {code for part in schema for code in codes(part)}
    if not isinstance(schema, dict):
        return set()
    named = schema.get("code", {})
    own = set(named.get("enum", ())) if isinstance(named, dict) else set()
    return own | {code for part in schema.values() for code in codes(part)}


def kinds(error: type[SidecarError] = SidecarError) -> list[type[SidecarError]]:
    return [error, *(kind for below in error.__subclasses__() for kind in kinds(below))]


@pytest.mark.parametrize("where", [where for where, _ in bodies()])
def test_an_example_is_as_its_schema_says(where: str) -> None:
    """Readers copy examples."""
    body = dict(bodies())[where]
    for example in shown(body):
        assert [fault.message for fault in validator(body["schema"]).iter_errors(example)] == []


async def test_the_examples_of_requests_are_requests() -> None:
    """The server's own parsers take them."""
    assert parse_request(request_example("POST /ai")).action == "summarize"
    assert requests_in(request_example("POST /jobs"))
    assert ids_in(request_example("POST /jobs/status"))
    assert parse(request_example("POST /v1/chat/completions"), max_tokens=1, passthrough=False).call.messages


def test_operations_have_names_of_their_own() -> None:
    """Programs that make clients call their functions so."""
    names = [operation["operationId"] for _, operation in OPERATIONS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("said", "status", "body"),
    [
        (Said("POST", "/ai"), 201, {"success": True, "data": "x", "error": None}),
        (Said("POST", "/ai"), 200, {"success": True, "data": 1, "error": None}),
        (Said("POST", "/ai"), 200, {"success": True, "data": "x", "error": None, "key": "sk-secret"}),
        (Said("POST", "/ai"), 413, {"success": False, "data": None, "error": "x", "code": "timeout"}),
        (Said("GET", "/jobs/1"), 200, {"success": True, "job_id": "1", "status": "lost"}),
        (Said("GET", "/nowhere"), 200, {"success": True, "data": "x", "error": None}),
        (Said("", ""), 400, {"message": "Bad Request"}),
        (Said("GET", "/v1/nothing"), 404, {"success": False, "data": None, "error": "x", "code": "not_found"}),
    ],
)
def test_a_reply_that_is_not_described_fails_its_test(said: Said, status: int, body: object) -> None:
    """What every test's caller holds replies against can say no."""
    with pytest.raises(AssertionError):
        check_reply(said, status, HEADERS, json.dumps(body).encode())

"""Replies held against the interface's description: what a test's caller hears is what `openapi.json` says."""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any

import jsonschema_rs

from tests.support.paths import ROOT
from tests.support.said_requests import Said

FILE = ROOT / "sidecar/http/openapi/openapi.json"
ANYWHERE = frozenset({400, 404, 405, 408, 421, 431, 500, 505})
"""Statuses of what is not described: another address, another method, no HTTP."""
_OPENAI = re.compile(r"//?(v1|chat|openai)(/.*)?|/models(/.*)?", re.DOTALL)


@functools.cache
def description() -> Any:
    """Return the description as it is shipped."""
    return json.loads(FILE.read_bytes())


@functools.cache
def _closed() -> Any:
    """Return the models, without room for keys that they do not name."""
    components = json.loads(json.dumps(description()["components"]))
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return components


def validator(schema: Any) -> jsonschema_rs.Draft202012Validator:
    """Return what holds a value against `schema`, which may refer to the models."""
    return _validator(json.dumps(schema, sort_keys=True))


@functools.cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"components": _closed(), **json.loads(schema)})


def resolved(part: Any) -> Any:
    """Return what a reference stands for."""
    if "$ref" not in part:
        return part
    _, kind, name = part["$ref"].removeprefix("#/").split("/")
    return description()["components"][kind][name]


@functools.cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    paths = sorted(description()["paths"], key=lambda path: "{" in path)
    return [(re.compile(re.sub(r"\\{\w+\\}", ".+", re.escape(path)), re.DOTALL), path) for path in paths]


def operation(said: Said) -> Any:
    """Return the description of what was asked; None where there is none."""
    for pattern, path in _templates():
        if pattern.fullmatch(said.path):
            return description()["paths"][path].get(said.method.lower())
    return None


def check_reply(said: Said, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
    """Assert that a reply is described; `body` is None where there is none or where it is still to come."""
    described = operation(said)
    if described is None or (status in {404, 405} and str(status) not in described["responses"]):
        _check_refusal(said, status, headers, body)
        return
    assert str(status) in described["responses"], f"{said}: {status} is not described"
    reply = resolved(described["responses"][str(status)])
    _check_headers(reply["headers"], headers, said)
    if body is None:
        return
    kind = headers["content-type"]
    kind = kind if kind in reply["content"] else kind.partition(";")[0]
    assert kind in reply["content"], f"{said}: {status} with {kind} is not described"
    value = json.loads(body) if kind == "application/json" else body.decode()
    _check_value(reply["content"][kind]["schema"], value, said)


def check_model(name: str, value: Any) -> None:
    """Assert that a value is one of a model."""
    _check_value({"$ref": f"#/components/schemas/{name}"}, value, Said("", name))


def check_event(data: bytes) -> None:
    """Assert that the data of an event, where it is a failure, is one as it is described."""
    if data.startswith(b'{"error"'):
        _check_value({"$ref": "#/components/schemas/OpenAIFailure"}, json.loads(data), Said("", "event"))


def _check_refusal(said: Said, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
    assert status in ANYWHERE, f"{said}: {status} is not described"
    assert headers["content-type"] == "application/json"
    _check_headers({"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}, headers, said)
    if body is not None:
        model = "OpenAIFailure" if _OPENAI.fullmatch(said.path) else "Failure"
        _check_value({"$ref": f"#/components/schemas/{model}"}, json.loads(body), said)


def _check_headers(described: Mapping[str, Any], headers: Mapping[str, str], said: Said) -> None:
    for name, header in ((name, resolved(header)) for name, header in described.items()):
        text = headers.get(name.lower())
        assert text is not None or not header["required"], f"{said}: {name} is missing"
        if text is not None:
            value = int(text) if header["schema"].get("type") == "integer" else text
            _check_value(header["schema"], value, said)


def _check_value(schema: Any, value: Any, said: Said) -> None:
    faults = [f"{fault.instance_path}: {fault.message}" for fault in validator(schema).iter_errors(value)]
    assert not faults, f"{said}: {faults[:3]}"

"""Promises of what the jobs' routes refuse: wrong entries, bodies, ids, addresses and tokens, each with its code."""

import pytest

from sidecar.http.routes.jobs import STATUS_BODY_BYTES
from tests.support.http_sidecar import head
from tests.support.job_routes import DEEP, JOB_ROUTES, NO_ID, desk, refused, text


@pytest.mark.parametrize(
    ("entry", "code", "says"),
    [
        ({"action": "summarize"}, "invalid_request", "content is missing"),
        ({"action": "summarize", "content": " "}, "invalid_request", "content is blank"),
        ({"action": "summarize", "content": ["x"]}, "invalid_request", "content must be a string"),
        ({"action": "summarize", "content": "x", "user_id": {}}, "invalid_request", "user_id must be"),
        ({"action": "dance", "content": "x"}, "unknown_action", "action is unknown"),
        ("text", "invalid_json", "not a JSON object"),
        (None, "invalid_json", "not a JSON object"),
    ],
)
async def test_one_wrong_entry_refuses_the_list(entry: object, code: str, says: str) -> None:
    """It is named by its index, in the sentence and in a field; nothing is enqueued."""
    async with desk() as routes:
        answer = await routes.post({"jobs": [text(1), text(2), entry, text(3)]})
        sentence = refused(answer, 400, code)
        assert sentence.startswith("jobs[2]: ")
        assert says in sentence
        assert answer.json["index"] == 2
        assert await routes.held() == 0


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"nonsense", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b'"jobs"', "invalid_json"),
        (b'{"jobs": [', "invalid_json"),
        (b'{"jobs": [{]}', "invalid_json"),
        (b'{"jobs": ["\xff"]}', "invalid_json"),
        (b'{"jobs": [{"action": "chat", "content": "\\ud800"}]}', "invalid_json"),
        (DEEP, "invalid_json"),
        (b'{"jobs": ' + DEEP, "invalid_json"),
        (b'{"jobs": [' + DEEP, "invalid_json"),
        (b'{"x": ' + DEEP, "invalid_json"),
        (b"{}", "invalid_request"),
        (b'{"jobs": null}', "invalid_request"),
        (b'{"jobs": 7}', "invalid_request"),
        (b'{"jobs": {}}', "invalid_request"),
        (b'{"jobs": []}', "invalid_request"),
        (b'{"jobs": "many", "action": "chat", "content": "x"}', "invalid_request"),
        (b'{"action": "dance", "content": "x"}', "unknown_action"),
    ],
)
async def test_what_makes_no_sense_is_said_so(body: bytes, code: str) -> None:
    """Every sort of it, with the status that tells the truth."""
    async with desk() as routes:
        refused(await routes.post(body), 400, code)
        assert await routes.held() == 0


async def test_a_body_that_would_unfold_to_gigabytes_is_refused_where_it_begins() -> None:
    """Millions of entries, or of lists where a text belongs, are not built."""
    async with desk() as routes:
        many = b'{"jobs": [' + b"{}," * 5_000_000 + b"{}]}"
        assert "more than 1000" in refused(await routes.post(many), 400, "invalid_request")
        lists = b'{"jobs": [{"action": "chat", "content": [' + b"[]," * 5_000_000 + b"[]]}]}"
        assert "content must be a string" in refused(await routes.post(lists), 400, "invalid_request")


@pytest.mark.parametrize(
    ("body", "index"),
    [
        ({}, None),
        ({"job_ids": None}, None),
        ({"job_ids": "a"}, None),
        ({"job_ids": {"a": 1}}, None),
        ({"job_ids": []}, None),
        ({"job_ids": ["a"] * 1001}, None),
        ({"job_ids": ["a", 7]}, 1),
        ({"job_ids": [None]}, 0),
        ({"job_ids": [["a"]]}, 0),
        ({"job_ids": ["a", "b", ""]}, 2),
        ({"job_ids": [" "]}, 0),
        ({"job_ids": ["x" * 129]}, 0),
        ({"job_ids": ["ä"]}, 0),
        ({"job_ids": ["\x00"]}, 0),
        ({"job_ids": ["*\n"]}, 0),
    ],
)
async def test_wrong_ids_are_said_so(body: object, index: int | None) -> None:
    """Which of them, where one is wrong."""
    async with desk() as routes:
        answer = await routes.post(body, "/jobs/status")
        refused(answer, 400, "invalid_request")
        assert answer.json.get("index") == index
        for raw in (b"", b"[]", b"nonsense", b'{"job_ids": ' + DEEP, b'{"job_ids": ["\\ud800"]}'):
            refused(await routes.post(raw[:STATUS_BODY_BYTES], "/jobs/status"), 400, "invalid_json")


@pytest.mark.parametrize("name", [NO_ID, "x", "", "%00", "0" * 31, "0" * 32 + "%0A", "*", "F" * 32, "job:" + NO_ID])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_job_that_is_not_known_is_404(method: str, name: str) -> None:
    """Whatever its id looks like."""
    async with desk() as routes:
        refused(await routes.say(method, f"/jobs/{name}"), 404, "not_found")


PATHS = {"/jobs": "POST", "/jobs/status": "POST", f"/jobs/{NO_ID}": "GET, DELETE"}


async def test_other_addresses_and_methods_are_refused() -> None:
    """404 below /jobs for what is not there, 405 with Allow for what is, in the envelope."""
    async with desk() as routes:
        for path in (
            "/jobs/",
            "/jobs//",
            f"/jobs/{NO_ID}/",
            f"/jobs/{NO_ID}/x",
            "/jobs/status/",
            "/jobs/a/b/c",
            "/job",
        ):
            for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"):
                refused(await routes.say(method, path), 404, "not_found")
        for path, allowed in PATHS.items():
            for method in {"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND"} - set(allowed.split(", ")):
                answer = await routes.say(method, path)
                refused(answer, 405, "method_not_allowed")
                assert answer.headers["allow"] == allowed


@pytest.mark.parametrize(("method", "path"), JOB_ROUTES)
async def test_the_token_is_required_where_there_is_one(method: str, path: str) -> None:
    """Before anything else; with it the route answers."""
    async with desk(SIDECAR_TOKEN="canary") as routes:
        refused(await routes.say(method, path), 401, "unauthorized")
        answer = await routes.sidecar.fetch(head("Authorization: Bearer canary", path=path, method=method))
        assert answer.status in {404, 415}

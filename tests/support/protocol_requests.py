"""A request without a body, and the refusal that every broken request gets. No promises here."""

from tests.support.http_sidecar import Answer, head

GET_HEALTH = head(path="/health", method="GET")


def check_refusal(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.json["code"], answer.json["success"]) == (status, code, False)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"]
    assert b"Traceback" not in answer.body

"""The running command against its own description: made-up requests, right ones and wrong ones, and what comes back.

Ten thousand requests with TEST_SCALE=1, which take five minutes.
"""

import asyncio
import faulthandler
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks

from tests.support.described_replies import description
from tests.support.scale import scaled
from tests.support.server_process import Served, served
from tests.support.valkey import valkey
from tests.support.workers import worker

QUICK = 80
CASES = scaled(QUICK, 10_000)
POSITIVE, NEGATIVE = schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE
CONFORMS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
BODY_SHARE = 5
"""Requests to an operation with a body for each one to an operation without."""
JUDGED = ("/ai", "/jobs", "/jobs/status")
"""Addresses whose fields the sidecar judges itself; those of a completion are the provider's to judge."""

OTHERS_DICE = "ignore:Do not use the `random` module"
"""The warning if another thread of this process throws dice while a request is made up."""
ENDLESS = {"/dashboard/events"}
"""Addresses whose replies have no end."""


def no_fault(_ctx: object, response: Response, _case: object) -> bool | None:
    """A refusal has a cause: `internal` has none that a caller could know."""
    assert response.status_code != 500
    assert b'"code":"internal"' not in response.content
    return None


def wrong_body_is_refused(ctx: Any, response: Response, case: schemathesis.Case[Any]) -> bool | None:
    """A wrong body is; a wrong header or parameter is ignored, as the description says of each."""
    body = case.meta.components.get(ParameterLocation.BODY) if case.meta else None
    return checks.negative_data_rejection(ctx, response, case) if body and body.mode is NEGATIVE else None


def right_request_is_taken(ctx: Any, response: Response, case: schemathesis.Case[Any]) -> bool | None:
    """Or its time was over before its body was read: a caller may ask for a millisecond."""
    return None if response.status_code == 408 else checks.positive_data_acceptance(ctx, response, case)


class Fuzz:
    """Sends made-up requests to one server and counts what came back."""

    def __init__(self, sidecar: Served, *, strict: bool) -> None:
        self._url = f"http://{sidecar.host}:{sidecar.port}"
        self._strict = strict
        self._session = requests.Session()
        self._session.trust_env = False
        self._known = {"id": "demo"}
        """What is there, by the path parameter that names it."""
        self.seen: Counter[tuple[str, int]] = Counter()

    def drive(self, cases: int, path: str = "") -> None:
        """Send so many requests, as many of each kind to each operation, or to that of one `path`."""
        found = schemathesis.openapi.from_dict(description()).get_all_operations()
        operations = [each for result in found if isinstance(result, Ok) and path in {"", (each := result.ok()).path}]
        operations = [each for each in operations if each.path not in ENDLESS]
        shares = {operation.label: BODY_SHARE if operation.body else 1 for operation in operations}
        with self._session:
            for operation in operations:
                share = cases * shares[operation.label] / sum(shares.values())
                for mode in (POSITIVE, NEGATIVE):
                    self._drive(operation, mode, math.ceil(share / 2))

    def _drive(self, operation: Any, mode: schemathesis.GenerationMode, cases: int) -> None:
        checked = [no_fault, *CONFORMS, *self._verdicts(operation.path, mode)]

        @settings(
            max_examples=cases,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: schemathesis.Case[Any]) -> None:
            if mode is POSITIVE and sum(self.seen.values()) % 2:
                there = self._known.keys() & case.path_parameters
                case.path_parameters.update({name: self._known[name] for name in there})
            response = case.call_and_validate(self._url, self._session, checks=checked, timeout=30)
            self.seen[operation.label, response.status_code] += 1
            if response.status_code == 202 and "job_id" in response.json():
                self._known["job_id"] = response.json()["job_id"]

        try:
            send()
        except Unsatisfiable:
            assert mode is NEGATIVE, operation.label  # where anything is right nothing is wrong

    def _verdicts(self, path: str, mode: schemathesis.GenerationMode) -> list[Callable[..., Any]]:
        """Return what says whether a right request is taken and a wrong one refused, where a status can say that."""
        if mode is POSITIVE:
            return [right_request_is_taken]
        return [wrong_body_is_refused] if path in JUDGED and (self._strict or path != "/ai") else []


async def fuzzed(sidecar: Served, fuzz: Fuzz, cases: int, path: str = "") -> None:
    if cases > QUICK:
        faulthandler.cancel_dump_traceback_later()  # each request has a time limit of its own
    await asyncio.to_thread(fuzz.drive, cases, path)
    assert not [line for line in sidecar.log if line["event"] == "internal"]


@pytest.mark.long
@pytest.mark.filterwarnings(OTHERS_DICE)
async def test_whatever_is_sent_the_reply_is_as_described() -> None:
    """Status, headers and body; right requests are taken, wrong ones refused, and no fault is met on the way."""
    async with (
        valkey() as server,
        worker("--demo", REDIS_URL=server.url),
        served("--demo", REDIS_URL=server.url, STRICT_STATUS="true") as sidecar,
    ):
        await fuzzed(sidecar, Fuzz(sidecar, strict=True), CASES * 9 // 10)
        assert {line["event"] for line in sidecar.log} >= {"workers_alive"}


@pytest.mark.long
@pytest.mark.filterwarnings(OTHERS_DICE)
async def test_without_strict_statuses_too() -> None:
    """Most failures of /ai are 200 then, as the deployed plugin wants them."""
    async with served("--demo") as sidecar:
        await fuzzed(sidecar, Fuzz(sidecar, strict=False), CASES // 10, "/ai")

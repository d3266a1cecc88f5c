"""The routes of jobs: enqueue, status, cancel. Statuses are always strict: no deployed caller depends on 200 here.

`Jobs` is the port to the store; without a store every route answers `jobs_unavailable`.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from aiohttp import hdrs, web

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.contract import LONGEST_USER, Request, format_in, of_token
from sidecar.core.errors import DeadlineExceeded, InvalidRequest, JobsUnavailable, NotFound, SidecarError
from sidecar.core.jobs import Job
from sidecar.core.off_loop import off_loop
from sidecar.core.reach import NoProvider, reach_of
from sidecar.core.tracing import Span
from sidecar.engine.formats.formatter import Wanted, formatter_of
from sidecar.engine.request_log import traced
from sidecar.engine.service import Service
from sidecar.http.auth import Guard
from sidecar.http.body import received
from sidecar.http.limits import count_jobs, look
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import json_response
from sidecar.http.responses.statuses import status_of
from sidecar.http.router import Handler, Route, envelope
from sidecar.http.schemas.jobs import WrongEntry, ids_in, requests_in

NAME: Final = "jobs"
STATUS_BODY_BYTES: Final = 256 * 1024
"""The largest body of POST /jobs/status; a thousand ids take a fifth of it."""
_ENQUEUE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 5.0
"""Longest time of the store for one operation, within the caller's deadline."""
_ID: Final = re.compile(r"[0-9a-f]{32}")


class Jobs(Protocol):
    """Port: the store of jobs. Every method raises `JobsUnavailable` after `limit` seconds."""

    async def enqueue(self, requests: Sequence[Request], *, limit: float) -> list[Job]:
        """Return the job of each request; raise `Overloaded` if the queue is full."""
        ...

    async def look(self, ids: Sequence[str], *, limit: float) -> list[Job | None]:
        """Return each job as it is now, None for an unknown id."""
        ...

    async def cancel(self, job_id: str, *, user: str, token: str, limit: float) -> Job | None:
        """Remove one submitter, of `token` if it is named, and return the job as it is then, None for an unknown id."""
        ...


def jobs_routes(service: Service, settings: Settings, guard: Guard | None, jobs: Jobs | None) -> Mapping[str, Route]:
    """Return the routes by path; `guard` checks the token, None for no check."""
    handlers = _Handlers(service, settings, jobs)

    def route(**methods: Handler) -> Route:
        return Route(NAME, {name: partial(_guarded, guard, handler) for name, handler in methods.items()}, _refuse)

    nothing = Route(NAME, {}, _refuse)
    return {
        "/jobs": route(POST=handlers.enqueue),
        "/jobs/": nothing,
        "/jobs/status": route(POST=handlers.states),
        "/jobs/{job_id}/{rest}": nothing,
        "/jobs/{job_id}": route(GET=handlers.state, DELETE=handlers.cancel),
    }


async def _guarded(guard: Guard | None, handler: Handler, request: Arrival) -> web.StreamResponse:
    if guard is not None:
        guard.check(request)
    return await handler(request)


class _Handlers:
    """Handlers of the jobs' routes."""

    def __init__(self, service: Service, settings: Settings, jobs: Jobs | None) -> None:
        self._service = service
        self._settings = settings
        self._jobs = jobs
        self._formatter = formatter_of(settings, usual="markdown")

    async def enqueue(self, request: Arrival) -> web.Response:
        """POST /jobs."""
        jobs, limit = self._store(), self._settings.jobs_max_body_bytes
        if not self._service.kernel.calls.pool.serving(reach_of("jobs", request.providers)):
            raise NoProvider
        look(self._service, request, hold=False)
        seconds = self._settings.request_timeout
        async with received(request, self._service, _parsed_requests, limit=limit, timeout=seconds, bulk=True) as body:
            listed = isinstance(body.parsed, list)
            parsed = body.parsed if isinstance(body.parsed, list) else [body.parsed]
            requests = [of_token(one, request.token, request.providers) for one in parsed]
            await count_jobs(self._service, request, requests)
            requests = _traced(requests, request.span)
            # After a timeout the jobs may be enqueued all the same; the same request again joins them.
            entered = await jobs.enqueue(requests, limit=self._left(body.deadline, _ENQUEUE_SECONDS))
        events.info("enqueued", request_id=request.request_id, jobs=len(entered), **traced(request.span))
        states = [{"job_id": job.job_id, "status": job.status} for job in entered]
        if listed:
            return _success({"jobs": states}, 202)
        response = _success(states[0], 202)
        response.headers[hdrs.LOCATION] = f"/jobs/{entered[0].job_id}"
        return response

    async def states(self, request: Arrival) -> web.Response:
        """POST /jobs/status."""
        jobs, service, seconds = self._store(), self._service, self._settings.request_timeout
        limit = STATUS_BODY_BYTES
        async with received(request, service, _parsed_ids, limit=limit, timeout=seconds, even_draining=True) as body:
            ids, wanted = body.parsed
            known = {name for name in ids if _ID.fullmatch(name)}
            found = await jobs.look(list(known), limit=self._left(body.deadline, _LOOK_SECONDS)) if known else []
        seen = {}
        for job in found:
            if job is not None:
                seen[job.job_id] = await self._shown(job, wanted)
                await asyncio.sleep(0)  # a thousand results in HTML take seconds
        return _success({"jobs": [seen.get(name) or {"job_id": name, "status": "unknown"} for name in ids]})

    async def state(self, request: Arrival) -> web.Response:
        """GET /jobs/{job_id}."""
        jobs, name, wanted = self._store(), _job_id(request), format_in(request.query.get("format"))
        [job] = await jobs.look([name], limit=self._left(self._deadline(request), _LOOK_SECONDS))
        return await self._one(job, wanted)

    async def cancel(self, request: Arrival) -> web.Response:
        """DELETE /jobs/{job_id}."""
        jobs, name, wanted = self._store(), _job_id(request), format_in(request.query.get("format"))
        user = request.query.get("user_id", "").strip()
        if len(user) > LONGEST_USER:
            raise InvalidRequest(f"The field user_id is longer than {LONGEST_USER} characters.")
        left = self._left(self._deadline(request), _LOOK_SECONDS)
        return await self._one(await jobs.cancel(name, user=user, token=request.token, limit=left), wanted)

    def _store(self) -> Jobs:
        if self._jobs is None:
            raise JobsUnavailable
        return self._jobs

    def _deadline(self, request: Arrival) -> float:
        """Return the deadline of a request without a body; `Received` has that of one whose headers are gone."""
        return request.deadline(self._settings.request_timeout)

    def _left(self, deadline: float, most: float) -> float:
        """Return the seconds that the store may take; raise `DeadlineExceeded` if none are left."""
        left = deadline - self._service.clock()
        if left <= 0:
            raise DeadlineExceeded
        return min(left, most)

    async def _one(self, job: Job | None, wanted: Wanted) -> web.Response:
        if job is None:
            raise NotFound(_UNKNOWN)
        return _success(await self._shown(job, wanted))

    async def _shown(self, job: Job, wanted: Wanted) -> dict[str, Any]:
        shown: dict[str, Any] = {"job_id": job.job_id, "status": job.status}
        if job.status == "complete":
            shown["data"] = await self._formatter.written(job.data, wanted, shared=True)
        elif job.status == "failed":
            shown |= {"error": job.error, "code": job.code}
        return shown | {"parts_done": job.parts_done, "parts_total": job.parts_total}


def _traced(requests: list[Request], span: Span | None) -> list[Request]:
    """Return the requests with the trace that submits them; the first submitter's stays with a job."""
    if span is None:
        return requests
    return [msgspec.structs.replace(request, trace=span.traceparent) for request in requests]


_UNKNOWN: Final = "This job is not known: it never was, or it has expired. The same request makes a new one."


async def _parsed_requests(body: bytes) -> tuple[Request | list[Request], int]:
    found = await off_loop(len(body), requests_in, body)
    return found, sum(request.held for request in found) if isinstance(found, list) else found.held


async def _parsed_ids(body: bytes) -> tuple[tuple[list[str], Wanted], int]:
    return ids_in(body), len(body)


def _job_id(request: Arrival) -> str:
    name = request.path.removeprefix("/jobs/")
    if not _ID.fullmatch(name):
        raise NotFound(_UNKNOWN)
    return name


def _success(fields: Mapping[str, Any], status: int = 200) -> web.Response:
    return json_response(msgspec.json.encode({"success": True, **fields}), status)


def _refuse(error: SidecarError) -> web.Response:
    """Return the sidecar's envelope for `error`, with the entry's index for one of a list."""
    if not isinstance(error, WrongEntry):
        return envelope(error)
    code = error.fault.code
    reply = {"success": False, "data": None, "error": str(error), "code": code, "index": error.index}
    return json_response(msgspec.json.encode(reply), status_of(code, strict=True))

"""The doors of jobs: enqueue, ask, cancel. Their statuses always tell the truth: nobody deployed depends on 200 here.

How jobs are kept is behind `Jobs`; without one every door says that there are none.
"""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final, Protocol

import msgspec
from aiohttp import hdrs, web

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.contract import LONGEST_USER, Request
from sidecar.core.errors import DeadlineExceeded, InvalidRequest, JobsUnavailable, NotFound, Overloaded, SidecarError
from sidecar.core.jobs import Job
from sidecar.engine.admission import Place
from sidecar.engine.service import Service
from sidecar.http.auth import Guard
from sidecar.http.body import check_type, read_body, to_reserve
from sidecar.http.request import Arrival
from sidecar.http.responses.envelope import json_response
from sidecar.http.responses.statuses import status_of
from sidecar.http.router import Handler, Route, envelope
from sidecar.http.schemas.jobs import WrongEntry, asked_for, ids_in

NAME: Final = "jobs"
QUESTION_BYTES: Final = 256 * 1024
"""The largest body of POST /jobs/status; a thousand ids take a fifth of it."""
_ENQUEUE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 5.0
"""What the store may take for one verb, where the caller's deadline leaves as much."""
_ID: Final = re.compile(r"[0-9a-f]{32}")


class Jobs(Protocol):
    """Where jobs are kept. Every verb takes `limit` seconds at most and raises `JobsUnavailable` then."""

    async def enqueue(self, requests: Sequence[Request], *, limit: float) -> list[Job]:
        """The job of each request; raises `Overloaded` where the queue is full."""
        ...

    async def look(self, ids: Sequence[str], *, limit: float) -> list[Job | None]:
        """Each job as it is now, None where there is none."""
        ...

    async def cancel(self, job_id: str, *, user: str, limit: float) -> Job | None:
        """Take one submitter away; the job as it is then."""
        ...


def jobs_routes(service: Service, settings: Settings, guard: Guard | None, jobs: Jobs | None) -> Mapping[str, Route]:
    """The doors by path; `guard` is who asks for a token, None where nobody does."""
    desk = _Desk(service, settings, jobs)

    def door(**methods: Handler) -> Route:
        return Route(NAME, {name: partial(_guarded, guard, handler) for name, handler in methods.items()}, _refuse)

    nothing = Route(NAME, {}, _refuse)
    return {
        "/jobs": door(POST=desk.enqueue),
        "/jobs/": nothing,
        "/jobs/status": door(POST=desk.states),
        "/jobs/{job_id}/{rest}": nothing,
        "/jobs/{job_id}": door(GET=desk.state, DELETE=desk.cancel),
    }


async def _guarded(guard: Guard | None, handler: Handler, request: Arrival) -> web.StreamResponse:
    if guard is not None:
        guard.check(request)
    return await handler(request)


class _Desk:
    """What is behind the doors."""

    def __init__(self, service: Service, settings: Settings, jobs: Jobs | None) -> None:
        self._service = service
        self._settings = settings
        self._jobs = jobs
        self._places: set[Place] = set()
        """Those of lists that are being enqueued."""

    async def enqueue(self, request: Arrival) -> web.Response:
        """POST /jobs."""
        jobs, limit = self._there(), self._settings.jobs_max_body_bytes
        check_type(request)
        size = to_reserve(request, limit)
        self._leave_room(size)
        with self._service.admission.admit(size) as place:
            self._places.add(place)
            try:
                # No name is bound to the raw body: it must not live on while the jobs are sent.
                asked = await asked_for(await self._read(request, place, limit))
                listed = isinstance(asked, list)
                requests = asked if isinstance(asked, list) else [asked]
                # Where this fails for want of time they may be enqueued all the same; asking again joins them.
                entered = await jobs.enqueue(requests, limit=self._left(request, _ENQUEUE_SECONDS))
            finally:
                self._places.discard(place)
        events.info("enqueued", request_id=request.request_id, jobs=len(entered))
        told = [{"job_id": job.job_id, "status": job.status} for job in entered]
        if listed:
            return _told({"jobs": told}, 202)
        response = _told(told[0], 202)
        response.headers[hdrs.LOCATION] = f"/jobs/{entered[0].job_id}"
        return response

    async def states(self, request: Arrival) -> web.Response:
        """POST /jobs/status."""
        jobs = self._there()
        check_type(request)
        size = to_reserve(request, QUESTION_BYTES)
        with self._service.admission.admit(size, even_draining=True) as place:
            ids = ids_in(await self._read(request, place, QUESTION_BYTES))
            known = {name for name in ids if _ID.fullmatch(name)}
            found = await jobs.look(list(known), limit=self._left(request, _LOOK_SECONDS)) if known else []
        seen = {job.job_id: self._shown(job) for job in found if job is not None}
        return _told({"jobs": [seen.get(name) or {"job_id": name, "status": "unknown"} for name in ids]})

    async def state(self, request: Arrival) -> web.Response:
        """GET /jobs/{job_id}."""
        jobs, name = self._there(), _name(request)
        [job] = await jobs.look([name], limit=self._left(request, _LOOK_SECONDS))
        return self._one(job)

    async def cancel(self, request: Arrival) -> web.Response:
        """DELETE /jobs/{job_id}."""
        jobs, name = self._there(), _name(request)
        user = request.query.get("user_id", "").strip()
        if len(user) > LONGEST_USER:
            raise InvalidRequest(f"The field user_id is longer than {LONGEST_USER} characters.")
        return self._one(await jobs.cancel(name, user=user, limit=self._left(request, _LOOK_SECONDS)))

    def _there(self) -> Jobs:
        if self._jobs is None:
            raise JobsUnavailable
        return self._jobs

    def _leave_room(self, size: int) -> None:
        """Raise `Overloaded` where lists would take more than half of the bytes: people at their screens need them."""
        if self._places and sum(place.size for place in self._places) + size > self._service.admission.size // 2:
            raise Overloaded

    async def _read(self, request: Arrival, place: Place, limit: int) -> bytes:
        deadline = request.deadline(self._settings.request_timeout)
        return await read_body(request, self._service.drain, place, limit=limit, deadline=deadline)

    def _left(self, request: Arrival, most: float) -> float:
        """Seconds that the store may take."""
        left = request.deadline(self._settings.request_timeout) - self._service.clock()
        if left <= 0:
            raise DeadlineExceeded
        return min(left, most)

    def _one(self, job: Job | None) -> web.Response:
        if job is None:
            raise NotFound(_UNKNOWN)
        return _told(self._shown(job))

    def _shown(self, job: Job) -> dict[str, Any]:
        shown: dict[str, Any] = {"job_id": job.job_id, "status": job.status}
        if job.status == "complete":
            shown["data"] = job.data.replace("<", "< ") if self._settings.html_safe else job.data
        elif job.status == "failed":
            shown |= {"error": job.error, "code": job.code}
        return shown | {"parts_done": job.parts_done, "parts_total": job.parts_total}


_UNKNOWN: Final = "This job is not known: it never was, or it has expired. The same request makes a new one."


def _name(request: Arrival) -> str:
    name = request.path.removeprefix("/jobs/")
    if not _ID.fullmatch(name):
        raise NotFound(_UNKNOWN)
    return name


def _told(fields: Mapping[str, Any], status: int = 200) -> web.Response:
    return json_response(msgspec.json.encode({"success": True, **fields}), status)


def _refuse(error: SidecarError) -> web.Response:
    """Our envelope; for one entry of a list also which one."""
    if not isinstance(error, WrongEntry):
        return envelope(error)
    code = error.fault.code
    reply = {"success": False, "error": str(error), "code": code, "index": error.index}
    return json_response(msgspec.json.encode(reply), status_of(code, strict=True))

"""Store of the jobs: enqueue, look, cancel. The consumer that runs the jobs is in `worker`.

The sidecar's own keys hold the state and the text of a job; arq has an id and nothing else. Every change of state is
one script (scripts/*.lua), so that the change happens whole or not at all.
"""

import asyncio
import secrets
import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from arq.jobs import serialize_job

from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.core.contract import Request
from sidecar.core.errors import InternalError, JobsUnavailable, Overloaded
from sidecar.core.jobs import LANES, Job, JobState, Lane
from sidecar.engine.keys import Keys
from sidecar.jobs import scripts
from sidecar.jobs.health import HealthCheck
from sidecar.jobs.keys import Names
from sidecar.jobs.overview import Overviews
from sidecar.jobs.redis import Redis, bounded, connect

TASK: Final = "work"
"""Name of the function in arq; the same in every version, so that an upgrade finds its jobs."""
TEXT_SECONDS: Final = 24 * 3600.0
"""Lifetime of the text of a job that never ends (CONTRACT, "Jobs")."""
RECORD_SECONDS: Final = TEXT_SECONDS + 2 * 3600
"""Lifetime of a record: longer than the text by more than a job may take, so that the last run still has its record."""
_SENT_SECONDS: Final = 600.0
"""Lifetime of a text that was sent and not enqueued, because the sender died in between."""
_SENT_AT_ONCE: Final = 1024**2
"""Bytes of texts in one pipeline, so that other clients' commands get in between."""
_HASHED_AT_ONCE: Final = 512 * 1024
"""Characters hashed on the event loop; 20 MB would block the loop for 20 ms."""
NOBODY: Final = "-"

_encode: Final = msgspec.json.Encoder().encode


class Counts(msgspec.Struct, frozen=True):
    """Workers alive, jobs queued or in progress by lane, those in progress alone, and the bytes of their texts."""

    workers: int
    held: dict[Lane, int]
    running: dict[Lane, int]
    size: int


class JobStore:
    """Jobs of one Redis. Every verb raises `JobsUnavailable`, with the cause, where Redis fails."""

    def __init__(self, settings: Settings, keys: Keys, *, redis: Redis | None = None) -> None:
        self.names = Names(settings.redis_prefix)
        self.names.adopt_arq()
        self.redis = redis or connect(settings)
        self._keys = keys
        self._room = (settings.job_queue_size, settings.job_queue_bytes)
        self._keep_ms = _ms(settings.job_result_ttl)
        self._unreadable_logged = False
        self._known = self.redis.register_script(scripts.KNOWN)
        self._enqueue = self.redis.register_script(scripts.ENQUEUE)
        self._cancel = self.redis.register_script(scripts.CANCEL)
        self._alive = self.redis.register_script(scripts.ALIVE)
        self.health = HealthCheck(self.redis, settings.redis_prefix)
        self.overviews = Overviews(self.redis, settings.redis_prefix)

    def id_of(self, request: Request) -> str:
        """Return the job's id: a hash of all that determines the answer; random for a chat without user_id."""
        if request.action == "chat" and not request.user_id:
            return secrets.token_hex(16)
        return self._keys.of_job(request).hex()[:32]

    async def enqueue(self, requests: Sequence[Request], *, lane: Lane = "night", limit: float = 30.0) -> list[Job]:
        """Enqueue or join the job of each request, all or none, and return the jobs in the order of the requests.

        A request joins a job that is queued, in progress or complete. The method raises `Overloaded` where the queue
        is full. `limit` is the seconds after which Redis counts as unavailable.
        """
        ids = await self._ids_of(requests)
        async with bounded(limit):
            for _ in range(3):
                await self._send(ids, requests)
                reply = await self._enqueue(self.names.queues, self._entries(ids, requests, lane))
                if isinstance(reply, list):
                    states: list[JobState] = [_state(state) for state in reply]
                    return [Job(job_id=name, status=state) for name, state in zip(ids, states, strict=True)]
                _raise_if_full(reply)
                # A job ended between KNOWN and ENQUEUE, and its text was deleted with the end.
        raise JobsUnavailable("Jobs are not available: Redis does not keep what it is given.")

    async def _ids_of(self, requests: Sequence[Request]) -> list[str]:
        if sum(len(request.content) + len(request.context) for request in requests) < _HASHED_AT_ONCE:
            return [self.id_of(request) for request in requests]
        # hashlib releases the GIL for long texts.
        return await asyncio.to_thread(lambda: [self.id_of(request) for request in requests])

    async def _send(self, ids: Sequence[str], requests: Sequence[Request]) -> None:
        sizes = [_size(request) for request in requests]
        words = [word for pair in zip(ids, sizes, strict=True) for word in pair]
        known = await self._known(self.names.queues, [self.names.prefix, *self._room, *words])
        _raise_if_full(known)
        new = {
            name: (request, size)
            for name, request, size, there in zip(ids, requests, sizes, known, strict=True)
            if not there
        }
        if new:
            await self.health.reserve(len(new), sum(size for _, size in new.values()))
        pipe, size = self.redis.pipeline(transaction=False), 0
        for name, (request, _) in new.items():
            # A job has no format: each caller that reads the result names its own.
            text = _encode(msgspec.structs.replace(request, format=msgspec.UNSET))
            pipe.set(self.names.text(name), text, px=_ms(_SENT_SECONDS), nx=True)
            size += len(text)
            if size >= _SENT_AT_ONCE:
                await pipe.execute()
                size = 0
        await pipe.execute()

    def _entries(self, ids: Sequence[str], requests: Sequence[Request], lane: Lane) -> list[Any]:
        # arq reads the time for its own log only.
        payload = serialize_job(TASK, (), {}, None, time.time_ns() // 1_000_000, serializer=_encode)
        times = (_ms(TEXT_SECONDS), _ms(RECORD_SECONDS), self._keep_ms)
        entries: list[Any] = [self.names.prefix, *self._room, *times, lane]
        for name, request in zip(ids, requests, strict=True):
            entries += (name, request.action, submitter(request.user_id, request.token or ""), payload, _size(request))
        return entries

    async def look(self, ids: Sequence[str], *, limit: float = 5.0) -> list[Job | None]:
        """Return each job as Redis holds it now, None for an id that is unknown or expired."""
        async with bounded(limit):
            pipe = self.redis.pipeline(transaction=False)
            for name in ids:
                pipe.hmget(self.names.job(name), _FIELDS)
            found = await pipe.execute()
        jobs = [_job(name, fields) for name, fields in zip(ids, found, strict=True)]
        if not self._unreadable_logged and any(job is not None and job.error == _UNREADABLE for job in jobs):
            self._unreadable_logged = True
            events.warning("job_unreadable", note=_UNREADABLE)
        return jobs

    async def cancel(self, job_id: str, *, user: str = "", token: str = "", limit: float = 5.0) -> Job | None:
        """Remove one submitter, cancel the job with the last one, and return the job, None for an unknown id.

        `user` names the submitter as the request's `user_id` did. Without `user` the anonymous submitter is
        removed, or the only one there is; with the name of a `token` only submitters of that token are. Cancelling
        deletes text and result; a job in progress stops at its next part.
        """
        words: list[Any] = [submitter(user, token), self._keep_ms, int(not user), _own(token)]
        async with bounded(limit):
            await self._cancel(self.names.queues, [self.names.prefix, job_id, *words])
        [job] = await self.look([job_id], limit=limit)
        return job

    async def workers(self, *, limit: float = 1.0) -> int:
        """Return the number of workers alive."""
        return (await self.counts(limit=limit)).workers

    async def counts(self, *, limit: float = 1.0) -> Counts:
        """Return the workers alive by Redis' own clock, and what the queue holds."""
        async with bounded(limit):
            members, size, *numbers = await self._alive(self.names.queues, [self.names.prefix, *LANES])
        held, running = map(int, numbers[::2]), map(int, numbers[1::2])
        lanes = dict(zip(LANES, held, strict=True)), dict(zip(LANES, running, strict=True))
        return Counts(len(members), *lanes, int(size))

    async def aclose(self) -> None:
        """Close the connections."""
        await self.redis.aclose(close_connection_pool=True)


def _size(request: Request) -> int:
    """Return the bytes that a text counts for in the queue; the same for each submitter of a job."""
    return sum(
        len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
        for text in (request.content, request.context)
    )


def _raise_if_full(reply: Any) -> None:
    sentence = {b"full": _FULL, b"bytes": _FULL_OF_BYTES}.get(reply) if isinstance(reply, bytes) else None
    if sentence is not None:
        raise Overloaded(sentence, retry_after=60, cause="jobs")


_FULL: Final = "The queue of jobs is full. Please try again later."
_FULL_OF_BYTES: Final = "The queue of jobs is full: its texts have JOB_QUEUE_BYTES. Please try again later."
_FIELDS: Final = ["status", "data", "error", "code", "done", "total"]
_UNREADABLE: Final = (
    "Another version of the sidecar stored this job, and this one cannot read it. Send the request again."
)


def _job(job_id: str, fields: Sequence[bytes | None]) -> Job | None:
    status, data, error, code, done, total = fields
    if status is None:
        return None
    try:
        return Job(
            job_id=job_id,
            status=_state(status),
            data=(data or b"").decode(),
            error=(error or b"").decode(),
            code=(code or b"").decode(),
            parts_done=int(done or 0),
            parts_total=int(total or 0),
        )
    except ValueError:
        # Failed: this version's workers would never end such a job, and the same request begins it anew.
        return Job(job_id=job_id, status="failed", error=_UNREADABLE, code=InternalError.code)


def _state(text: bytes) -> JobState:
    """Return the state that `text` names; raise `ValueError` for a state that this version does not know."""
    state: JobState = msgspec.convert(text.decode(), JobState)
    return state


def submitter(user: str, token: str = "") -> str:
    """Return a user's name among a job's submitters; of the same user at two tokens there are two."""
    return _own(token) + (f"u{user}" if user else NOBODY)


def _own(token: str) -> str:
    """Return the beginning of all submitters with a named token."""
    return f"t{token}:" if token else ""


def _ms(seconds: float) -> int:
    return int(seconds * 1000)

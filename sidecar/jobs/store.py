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
from sidecar.core.contract import Request
from sidecar.core.errors import JobsUnavailable, Overloaded
from sidecar.core.jobs import LANES, Job, JobState, Lane
from sidecar.engine.keys import Keys
from sidecar.jobs import scripts
from sidecar.jobs.keys import Names
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


class JobStore:
    """Jobs of one Redis. Every verb raises `JobsUnavailable`, with the cause, where Redis fails."""

    def __init__(self, settings: Settings, keys: Keys, *, redis: Redis | None = None) -> None:
        self.names = Names(settings.redis_prefix)
        self.names.adopt_arq()
        self.redis = redis or connect(settings)
        self._keys = keys
        self._room = settings.job_queue_size
        self._keep_ms = _ms(settings.job_result_ttl)
        self._known = self.redis.register_script(scripts.KNOWN)
        self._enqueue = self.redis.register_script(scripts.ENQUEUE)
        self._cancel = self.redis.register_script(scripts.CANCEL)

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
                if reply == b"full":
                    raise _full()
                # A job ended between KNOWN and ENQUEUE, and its text was deleted with the end.
        raise JobsUnavailable("Jobs are not available: Redis does not keep what it is given.")

    async def _ids_of(self, requests: Sequence[Request]) -> list[str]:
        if sum(len(request.content) for request in requests) < _HASHED_AT_ONCE:
            return [self.id_of(request) for request in requests]
        # hashlib releases the GIL for long texts.
        return await asyncio.to_thread(lambda: [self.id_of(request) for request in requests])

    async def _send(self, ids: Sequence[str], requests: Sequence[Request]) -> None:
        known = await self._known(self.names.queues, [self.names.prefix, self._room, *ids])
        if known == b"full":
            raise _full()
        pipe, size = self.redis.pipeline(transaction=False), 0
        for name, request, there in zip(ids, requests, known, strict=True):
            if there:
                continue
            text = _encode(request)
            pipe.set(self.names.text(name), text, px=_ms(_SENT_SECONDS), nx=True)
            size += len(text)
            if size >= _SENT_AT_ONCE:
                await pipe.execute()
                size = 0
        await pipe.execute()

    def _entries(self, ids: Sequence[str], requests: Sequence[Request], lane: Lane) -> list[Any]:
        now = time.time_ns() // 1_000_000
        payload = serialize_job(TASK, (), {}, None, now, serializer=_encode)
        times = (_ms(TEXT_SECONDS), _ms(RECORD_SECONDS), self._keep_ms)
        entries: list[Any] = [self.names.prefix, self._room, *times, lane]
        for name, request in zip(ids, requests, strict=True):
            entries += (name, request.action, submitter(request.user_id, request.token or ""), payload)
        return entries

    async def look(self, ids: Sequence[str], *, limit: float = 5.0) -> list[Job | None]:
        """Return each job as Redis holds it now, None for an id that is unknown or expired."""
        async with bounded(limit):
            pipe = self.redis.pipeline(transaction=False)
            for name in ids:
                pipe.hmget(self.names.job(name), _FIELDS)
            found = await pipe.execute()
        return [_job(name, fields) for name, fields in zip(ids, found, strict=True)]

    async def cancel(self, job_id: str, *, user: str = "", token: str = "", limit: float = 5.0) -> Job | None:
        """Remove one submitter, cancel the job with the last one, and return the job, None for an unknown id.

        `user` names the submitter as the request's `user_id` did. Without `user` an anonymous submitter is removed
        first, then any other; with the name of a `token`, one of that token. Cancelling deletes text and result; a job
        in progress stops at its next part.
        """
        words: list[Any] = [submitter(user, token), self._keep_ms, int(not user), _own(token)]
        async with bounded(limit):
            await self._cancel(self.names.queues, [self.names.prefix, job_id, *words])
        [job] = await self.look([job_id], limit=limit)
        return job

    async def workers(self, *, limit: float = 1.0) -> int:
        """Return the number of workers alive."""
        async with bounded(limit):
            return int(await self.redis.zcount(self.names.workers, time.time_ns() // 1_000_000, "+inf"))

    async def counts(self, *, limit: float = 1.0) -> tuple[int, dict[Lane, int]]:
        """Return the number of workers alive, and of jobs queued or in progress by lane."""
        async with bounded(limit):
            pipe = self.redis.pipeline(transaction=False)
            pipe.zcount(self.names.workers, time.time_ns() // 1_000_000, "+inf")
            for queue in self.names.queues:
                pipe.zcard(queue)
            workers, *held = await pipe.execute()
        return int(workers), dict(zip(LANES, map(int, held), strict=True))

    async def policy(self, *, limit: float = 1.0) -> str:
        """Return Redis' maxmemory-policy: all but `noeviction` lose jobs. Blank where the server hides the policy."""
        async with bounded(limit):
            return str((await self.redis.info("memory")).get("maxmemory_policy", ""))

    async def aclose(self) -> None:
        """Close the connections."""
        await self.redis.aclose(close_connection_pool=True)


def _full() -> Overloaded:
    return Overloaded("The queue of jobs is full. Please try again later.", retry_after=60, cause="jobs")


_FIELDS: Final = ["status", "data", "error", "code", "done", "total"]


def _job(job_id: str, fields: Sequence[bytes | None]) -> Job | None:
    status, data, error, code, done, total = fields
    if status is None:
        return None
    return Job(
        job_id=job_id,
        status=_state(status),
        data=(data or b"").decode(),
        error=(error or b"").decode(),
        code=(code or b"").decode(),
        parts_done=int(done or 0),
        parts_total=int(total or 0),
    )


def _state(text: bytes) -> JobState:
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

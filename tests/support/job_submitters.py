"""Rules of the jobs' state machine for those who enqueue, look and cancel."""

from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sidecar.core.contract import Request
from sidecar.core.errors import Overloaded
from sidecar.core.jobs import Lane
from tests.support.job_invariants import JobInvariants
from tests.support.job_records import Entry

TEXTS: Final = ["Text 0.", f"Text 1. {'ä' * 200}", f"Text 2. {'ö' * 400}"]
"""The second and the third together are more than the queue has bytes for."""
USERS: Final = ["", "7", "8"]

lanes = st.sampled_from(["day", "night"])
submitted = st.tuples(st.integers(0, len(TEXTS) - 1), st.sampled_from(USERS))
lists = st.lists(submitted, min_size=1, max_size=3)
EACH: Final = [(text, "7") for text in range(len(TEXTS))]
"""More than the queue has room for."""
texts = st.integers(0, len(TEXTS) - 1)


class JobSubmitters(JobInvariants):
    """The verbs of `JobStore`."""

    @rule(chosen=lists, lane=lanes)
    def enqueue(self, chosen: list[tuple[int, str]], lane: Lane) -> None:
        """Enqueue a list: begin jobs, join jobs, take a job to the day's lane."""
        requests = [_request(*one) for one in chosen]
        entries = self._entries(requests)
        if not self.model.send(entries):
            self._refused(requests, lane)
            return
        expected = self.model.enqueue(entries, lane)
        assert not isinstance(expected, str), "All texts were sent, and there is room."
        jobs = self.redis.run(self.redis.store.enqueue(requests, lane=lane))
        assert [(job.job_id, job.status) for job in jobs] == list(zip(self._ids(entries), expected, strict=True))
        self.entered(entries)

    def _refused(self, requests: list[Request], lane: Lane) -> None:
        try:
            self.redis.run(self.redis.store.enqueue(requests, lane=lane))
        except Overloaded:
            return
        raise AssertionError("A full queue took a list.")

    @rule(chosen=lists)
    def send(self, chosen: list[tuple[int, str]]) -> None:
        """A sender stops between the texts and the enqueueing, or is slow."""
        requests = [_request(*one) for one in chosen]
        entries = self._entries(requests)
        sent = self.model.send(entries)
        try:
            self.redis.run(self.redis.store._send(self._ids(entries), requests))
        except Overloaded:
            assert not sent
        else:
            assert sent

    @rule(chosen=lists | st.permutations(EACH), lane=lanes, sent=st.booleans())
    def enqueue_what_was_sent(self, chosen: list[tuple[int, str]], lane: Lane, sent: bool) -> None:
        """A slow sender enqueues: meanwhile texts may be gone, and the queue full."""
        if sent:
            # One after the other, so that all are sent and the queue has no room for them together.
            for one in chosen:
                self.send([one])
        requests = [_request(*one) for one in chosen]
        entries = self._entries(requests)
        expected = self.model.enqueue(entries, lane)
        store = self.redis.store
        words = store._entries(self._ids(entries), requests, lane)
        said = self.redis.run(_awaited(store._enqueue(store.names.queues, words)))
        if isinstance(expected, str):
            assert said.decode() == expected
        else:
            assert [state.decode() for state in said] == expected
            self.entered(entries)

    @rule(text=texts, user=st.sampled_from(["", "7", "8", "stranger"]))
    def cancel(self, text: int, user: str) -> None:
        """One submitter leaves; the last one takes the job along."""
        job_id = self._id(text)
        before = self.submitters(job_id)
        job = self.redis.run(self.redis.store.cancel(job_id, user=user))
        gone = before - self.submitters(job_id)
        assert len(gone) <= 1
        self.model.cancel(job_id, f"u{user}" if user else "")
        record = self.model.record(job_id)
        assert (job and job.status) == (record and record.status)
        if job is not None and job.status == "cancelled":
            self.cancelled(job_id)

    @rule(chosen=st.lists(texts, min_size=1, max_size=3))
    def look(self, chosen: list[int]) -> None:
        """What a reader sees is the record; what the monitor counts is in the queues."""
        ids = [self._id(text) for text in chosen]
        for job_id, job in zip(ids, self.redis.run(self.redis.store.look(ids)), strict=True):
            record = self.model.record(job_id)
            assert (job is None) == (record is None)
            if job is not None and record is not None:
                seen = (job.status, job.data, job.error, job.code, job.parts_done, job.parts_total)
                assert seen == (record.status, record.data, record.error, record.code, record.done, record.total)
        counts = self.redis.run(self.redis.store.counts())
        assert counts.held == {lane: len(queue) for lane, queue in self.model.queues.items()}
        assert counts.size == sum(self.model.sizes.values())

    def _id(self, text: int) -> str:
        return self.redis.store.id_of(_request(text, ""))

    def _entries(self, requests: list[Request]) -> list[Entry]:
        store = self.redis.store
        return [
            Entry(store.id_of(one), f"u{one.user_id}" if one.user_id else "-", one.content, len(one.content.encode()))
            for one in requests
        ]

    @staticmethod
    def _ids(entries: list[Entry]) -> list[str]:
        return [entry.id for entry in entries]


def _request(text: int, user: str) -> Request:
    return Request(action="summarize", content=TEXTS[text], user_id=user)


async def _awaited(said: Any) -> Any:
    return await said

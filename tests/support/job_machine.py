"""State machine of the jobs: submitters, workers, crashes and time, in any order, against `JobModel` at every step."""

from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sidecar.core.errors import UpstreamError
from sidecar.core.jobs import Lane
from sidecar.jobs.worker.lease import MOST_CRASHES, Held, Run, Stopped
from tests.support.job_records import LEASE
from tests.support.job_redis import STEP, JobRedis
from tests.support.job_submitters import TEXTS, USERS, JobSubmitters, lanes, texts

PARTS: Final = 4
PAUSES: Final = [5, 600, 2 * 3600, 24 * 3600, 26 * 3600, 30 * 3600]

picks = st.integers(0, 5)
silences = st.sampled_from(["", "", "", "free", "taken", "put back", "complete", "cancelled", "enqueued anew"])
"""What happens while a worker is silent: its lease ends, another takes the job, and so on. Blank: nothing."""


@dataclass
class Worker:
    """A run in progress as its worker sees it, with the lane of the consumer that took it."""

    run: Run
    name: str
    owner: str
    lane: Lane

    @property
    def who(self) -> tuple[str, str, str]:
        job_id, _, gen = self.name.partition(".")
        return job_id, gen, self.owner


class JobMachine(JobSubmitters):
    """The verbs of `JobStore`, `Runs` and `Run`, crashes and time; every key is looked at after each."""

    def __init__(self, redis: JobRedis) -> None:
        super().__init__(redis)
        self.workers: list[Worker] = []
        """Those at work, and those that were believed dead and come back late."""
        self.ends: list[tuple[str, Lane, bool]] = []
        """What arq is to be told: the job's name, the consumer's lane, whether the job is over."""
        self.owners = 0

    # --- workers

    @precondition(lambda self: any(self.model.queues.values()))
    @rule(lane=lanes, pick=picks, slow=st.booleans())
    def take(self, lane: Lane, pick: int, slow: bool) -> None:
        """A consumer takes a job that nobody holds, and begins it."""
        queue = self.model.queues[lane]
        free = [name for name in sorted(queue, key=queue.__getitem__) if name not in self.model.holds]
        if not free:
            return
        name = free[pick % len(free)]
        consumer = self.redis.consumers[lane]
        if name not in self.model.payloads:
            self.redis.run(consumer.finish_failed_job(name, None))
            self.model.arq_ends(name, lane)
            return
        self.redis.run(self.redis.hold(name))
        self.model.arq_holds(name)
        if slow:
            self.age(STEP)
        self.begin(name, lane)

    @precondition(lambda self: self.model.jobs)
    @rule(text=texts, lane=lanes)
    def begin_unasked(self, text: int, lane: Lane) -> None:
        """A consumer begins what another may be at: its hold was lost, the lease decides."""
        job_id = self._id(text)
        if (record := self.model.record(job_id)) is not None:
            self.begin(f"{job_id}.{record.gen}", lane)

    def begin(self, name: str, lane: Lane) -> bool:
        """Begin a job as a new owner; whether there is a run."""
        self.owners += 1
        owner = f"owner{self.owners}"
        job_id, _, gen = name.partition(".")
        expected = self.model.begin(job_id, gen, owner)
        try:
            run = self.redis.run(self.redis.runs.begin(name, owner))
        except Held as held:
            assert expected == "held"
            assert 0 < held.seconds <= LEASE
            self.ends.append((name, lane, False))
        except Stopped:
            assert expected == "ended"
            self.ends.append((name, lane, True))
        else:
            assert expected == "go"
            record = self.model.record(job_id)
            assert record is not None
            assert (run.tries, run.request.content) == (record.tries, self.model.texts[job_id].value)
            worker = Worker(run, name, owner, lane)
            self.workers.append(worker)
            self.sure(worker.who)
        return expected == "go"

    @rule(pick=picks, meanwhile=silences)
    def begin_again(self, pick: int, meanwhile: str) -> None:
        """A worker that did not hear the answer begins again as the same owner."""
        if (worker := self._silent(pick, meanwhile)) is None:
            return
        expected = self.model.begin(*worker.who)
        try:
            self.redis.run(self.redis.runs.begin(worker.name, worker.owner))
        except Held:
            assert expected == "held"
            self.unsure(worker.who)
        except Stopped:
            assert expected == "ended"
            self.unsure(worker.who)
        else:
            assert expected == "go"
            self.sure(worker.who)

    @rule(pick=picks, meanwhile=silences)
    def renew(self, pick: int, meanwhile: str) -> None:
        """A worker renews its lease, in time or late."""
        if (worker := self._silent(pick, meanwhile)) is None:
            return
        expected = self.model.renew(*worker.who)
        assert self._minded(worker, worker.run.renew()) == expected
        if expected == "held":
            self.sure(worker.who)

    @rule(pick=picks, meanwhile=silences, done=st.integers(1, PARTS - 1))
    def keep(self, pick: int, meanwhile: str, done: int) -> None:
        """A worker keeps a part, of a run that is ahead of the job's others or behind."""
        if (worker := self._silent(pick, meanwhile)) is None:
            return
        job_id, gen, _ = worker.who
        key, text = f"{job_id}:{done}".encode(), f"Part {done}."
        expected = self.model.keep_part(job_id, gen, (key.hex(), text), done, PARTS)
        assert self._minded(worker, worker.run.keep(key, text, done=done, total=PARTS)) == expected
        assert self.redis.run(worker.run.find(key)) == text

    @rule(pick=picks, meanwhile=silences)
    def complete(self, pick: int, meanwhile: str) -> None:
        """A worker brings an answer of its own, in time or late."""
        if (worker := self._silent(pick, meanwhile)) is None:
            return
        self._complete(worker)

    def _complete(self, worker: Worker) -> None:
        self.redis.run(worker.run.keep(None, "", done=PARTS, total=PARTS))
        self.redis.run(worker.run.complete(f"Answer of {worker.owner}."))
        self.model.complete(*worker.who, f"Answer of {worker.owner}.", (PARTS, PARTS))
        self._leave(worker, over=True)

    @rule(pick=picks, meanwhile=silences)
    def fail(self, pick: int, meanwhile: str) -> None:
        """A worker brings a failure, in time or late."""
        if (worker := self._silent(pick, meanwhile)) is None:
            return
        error = UpstreamError("No.")
        expected = self.model.fail(*worker.who, str(error), error.code)
        try:
            self.redis.run(worker.run.fail(error))
        except Held:
            assert expected == "lost"
            self._leave(worker, over=False)
        else:
            assert expected == "ended"
            self._leave(worker, over=True)

    @rule(pick=picks, meanwhile=silences, failed=st.booleans())
    def put_back(self, pick: int, meanwhile: str, failed: bool) -> None:
        """A worker lets the job wait again."""
        if (worker := self._silent(pick, meanwhile)) is None:
            return
        self._put_back(worker, failed=failed)

    def _put_back(self, worker: Worker, *, failed: bool) -> None:
        self.redis.run(worker.run.put_back(failed=failed))
        self.model.put_back(*worker.who, failed=failed)
        self._leave(worker, over=False)

    @precondition(lambda self: self.workers)
    @rule(pick=picks)
    def die(self, pick: int) -> None:
        """A worker ends without a word and does not come back."""
        worker = self._worker(pick)
        self.workers.remove(worker)

    @precondition(lambda self: self.ends)
    @rule(pick=picks)
    def arq_hears(self, pick: int) -> None:
        """Arq hears what became of a job; a crash may come before that."""
        name, lane, over = self.ends.pop(pick % len(self.ends))
        later = None if over else 1000
        self.redis.run(self.redis.consumers[lane].finish_job(name, over, None, None, False, later, None))
        if over:
            self.model.arq_ends(name, lane)
        else:
            self.model.arq_retries(name, lane, 1000)

    @precondition(lambda self: self.workers and self.now > 3 * LEASE)
    @rule(pick=picks, rarely=st.integers(0, 3))
    def crash_again_and_again(self, pick: int, rarely: int) -> None:
        """The text ends every worker that begins it."""
        if rarely:
            return
        worker = self._worker(pick)
        job_id, gen, _ = worker.who
        for _ in range(MOST_CRASHES + 1):
            if self.model.open_record(job_id, gen) is not None:
                self.age(LEASE)
                self.begin(worker.name, worker.lane)
        self.workers = [other for other in self.workers if other.name != worker.name]

    # --- time

    @precondition(lambda self: self.model.leases)
    @rule()
    def leases_end(self) -> None:
        """Nobody renewed: what is at work is free for others."""
        self.age(LEASE)

    @rule(seconds=st.sampled_from(PAUSES))
    def age(self, seconds: int) -> None:
        """Time passes: leases, holds, texts, records and results end."""
        self.model.age(seconds)
        self.passed(seconds)
        self.redis.run(self.redis.age(seconds))
        self.redis.run(self.redis.after(max(self.generations.values(), default=0)))

    @precondition(lambda self: any(self.model.queues.values()))
    @rule(pick=picks)
    def lose(self, pick: int) -> None:
        """A server comes back with an older file: a job stands in no queue, and can be enqueued anew."""
        names = sorted(name for queue in self.model.queues.values() for name in queue)
        name = names[pick % len(names)]
        self.redis.run(self.redis.lose(name))
        self.model.lose(name)
        self.lost(name)

    # --- help

    def _worker(self, pick: int) -> Worker:
        return self.workers[pick % len(self.workers)]

    def _silent(self, pick: int, meanwhile: str) -> Worker | None:
        """A worker that hears nothing of what happens meanwhile; one is started where there is none."""
        if not self.workers:
            self.enqueue([(pick % len(TEXTS), "7")], "night")
            self.begin_unasked(pick % len(TEXTS), "night")
        if not self.workers:
            return None
        worker = self._worker(pick)
        if meanwhile:
            self._meanwhile(worker, meanwhile)
        return worker if worker in self.workers else None

    def _meanwhile(self, worker: Worker, what: str) -> None:
        text = next(number for number in range(len(TEXTS)) if self._id(number) == worker.who[0])
        if what in {"cancelled", "enqueued anew"}:
            for _ in range(len(USERS)):
                self.cancel(text, "")
            if what == "enqueued anew":
                self.enqueue([(text, "8")], "night")
            return
        self.age(LEASE)
        if what != "free" and self.begin(worker.name, worker.lane):
            other = self.workers[-1]
            if what == "put back":
                self._put_back(other, failed=False)
            elif what == "complete":
                self._complete(other)

    def _minded(self, worker: Worker, verb: Any) -> str:
        """What a worker hears; it lets the job be where that is not its own."""
        try:
            self.redis.run(verb)
        except Held:
            self._leave(worker, over=False)
            return "lost"
        except Stopped:
            self._leave(worker, over=True)
            return "ended"
        return "held"

    def _leave(self, worker: Worker, *, over: bool) -> None:
        self.unsure(worker.who)
        self.workers.remove(worker)
        self.ends.append((worker.name, worker.lane, over))

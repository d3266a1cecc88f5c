"""Invariants of the jobs, checked at every step of the state machine in what Redis holds, apart from the model."""

from typing import Final

from hypothesis.stateful import RuleBasedStateMachine, invariant

from sidecar.core.jobs import LANES
from tests.support.job_model import JobModel
from tests.support.job_records import LEASE, MONTH, OPEN, RECORD, SENT, Entry, Record
from tests.support.job_redis import ROOM, ROOM_BYTES, JobRedis

ENDED: Final = ("complete", "failed", "cancelled")
_FORWARD: Final = {
    # `queued` again is what putting back says; an answer counts while the job waits, too.
    "queued": {"queued", "in_progress", *ENDED},
    "in_progress": {"queued", "in_progress", *ENDED},
    "complete": {"complete", "cancelled"},
    "failed": {"failed", "cancelled"},
    "cancelled": {"cancelled"},
}
Who = tuple[str, str, str]
"""A job's id, its generation, the owner of a run."""


class JobInvariants(RuleBasedStateMachine):
    """What holds whatever is done, and the book-keeping that shows it."""

    def __init__(self, redis: JobRedis) -> None:
        super().__init__()
        self.redis = redis
        self.model = JobModel(ROOM, ROOM_BYTES, redis.keep)
        redis.run(redis.redis.flushall())
        self.now = 0
        """Seconds."""
        self.generations: dict[str, int] = {}
        """The newest generation of each id that was ever enqueued."""
        self._begun = 0
        """Jobs that were enqueued, each generation for itself."""
        self._accepted: dict[str, str] = {}
        """The generation of each job that was accepted, and neither cancelled nor lost with the server's file."""
        self._lasts: dict[str, int] = {}
        """Until when the record of an accepted job is there at least."""
        self._statuses: dict[str, tuple[str, str]] = {}
        """Generation and status of each job, a step before."""
        self._progress: dict[str, tuple[str, int]] = {}
        """Generation and finished parts of each job, a step before."""
        self._answers: dict[tuple[str, str], tuple[str, str, str]] = {}
        """The end of each job that was seen to end by itself."""
        self._sure: dict[Who, int] = {}
        """Until when a run may take itself for the owner."""

    def passed(self, seconds: int) -> None:
        self.now += seconds

    def sure(self, who: Who) -> None:
        """A run heard that it is the owner."""
        self._sure[who] = self.now + LEASE

    def unsure(self, who: Who) -> None:
        self._sure.pop(who, None)

    def entered(self, entries: list[Entry]) -> None:
        """Give the model the generations and scores of what is new."""
        scores = []
        for job_id in dict.fromkeys(entry.id for entry in entries):
            record = self.model.record(job_id)
            assert record is not None
            if record.gen == "":
                gen = self.redis.keys[f"job:{job_id}"][0].gen
                score = self.redis.keys[f"arq:queue:{record.lane}"][0][f"{job_id}.{gen}"]
                assert int(gen) > self.generations.get(job_id, 0)
                self.generations[job_id] = int(gen)
                self.model.named(job_id, gen, score)
                self._begun += 1
                self._accepted[job_id] = gen
                self._lasts[job_id] = self.now + RECORD
                scores.append(score)
        assert scores == sorted(set(scores)), "A list keeps its order in the queue."

    def cancelled(self, job_id: str) -> None:
        self._accepted.pop(job_id, None)

    def lost(self, name: str) -> None:
        job_id, _, gen = name.partition(".")
        if self._accepted.get(job_id) == gen:
            del self._accepted[job_id]

    def records(self) -> dict[str, Record]:
        return {name[4:]: value for name, (value, _) in self.redis.keys.items() if name.startswith("job:")}

    def submitters(self, job_id: str) -> set[str]:
        found: set[str] = self.redis.keys.get(f"by:{job_id}", (set(), None))[0]
        return found

    @invariant()
    def redis_holds_what_the_model_holds(self) -> None:
        """Every key, with its value and what it has left, is the model's, and there is no other."""
        found, wanted = self.redis.keys, self.model.keyspace()
        assert {
            name: (found.get(name), wanted.get(name)) for name in found | wanted if found.get(name) != wanted.get(name)
        } == {}

    @invariant()
    def no_job_is_lost(self) -> None:
        """An accepted job is open and where arq finds it, or ended and its end can be read, as long as it lasts."""
        records, keys = self.records(), self.redis.keys
        for job_id, gen in list(self._accepted.items()):
            if (record := records.get(job_id)) is None or record.gen != gen:
                assert self.now >= self._lasts[job_id], f"{job_id} is gone"
                del self._accepted[job_id]
            elif record.status in OPEN:
                name = f"{job_id}.{gen}"
                assert any(name in keys.get(f"arq:queue:{lane}", ({}, None))[0] for lane in LANES)
                assert f"arq:job:{name}" in keys
            else:
                assert record.status in {"complete", "failed"}
                if (gen, record.status) != self._statuses.get(job_id):
                    self._lasts[job_id] = self.now + self.redis.keep

    @invariant()
    def none_is_done_twice(self) -> None:
        """The first end of a job stays its end, whoever else brings one, until it is cancelled."""
        for job_id, record in self.records().items():
            if record.status in {"complete", "failed"}:
                end = (record.status, record.data, record.code)
                assert self._answers.setdefault((job_id, record.gen), end) == end
                assert bool(record.data) == (record.status == "complete")

    @invariant()
    def one_owner_at_a_time(self) -> None:
        """Of the runs of a job at most one has heard, within a lease, that the job is its own."""
        sure = [job_id for (job_id, _, _), until in self._sure.items() if until > self.now]
        assert len(sure) == len(set(sure))

    @invariant()
    def running_are_those_with_a_lease(self) -> None:
        """The jobs in progress of a lane are those that a living run has, no more and no fewer, for as long as it."""
        keys, records = self.redis.keys, self.records()
        for lane in LANES:
            found: dict[str, int] = keys.get(f"running:{lane}", ({}, None))[0]
            leases = {f"{job_id}.{one.gen}": keys.get(f"lease:{job_id}", ("", 0))[1] for job_id, one in records.items()}
            at_work = {
                name: left
                for (job_id, one), (name, left) in zip(records.items(), leases.items(), strict=True)
                if one.lane == lane and one.status == "in_progress" and left
            }
            assert found == at_work

    @invariant()
    def each_end_is_counted_once(self) -> None:
        """Each job that was seen to end is in the numbers, and none is in them twice, whoever ended it."""
        if self.now < MONTH:
            counted: dict[str, float] = self.redis.keys.get("ended", ({}, None))[0]
            assert len(self._answers) <= sum(counted.values()) <= self._begun

    @invariant()
    def states_only_move_forward(self) -> None:
        """What ended stays ended; only a new generation begins anew, and generations grow."""
        for job_id, record in self.records().items():
            gen, status = self._statuses.get(job_id, (record.gen, "queued"))
            assert int(gen) <= int(record.gen)
            if gen == record.gen:
                assert record.status in _FORWARD[status]
            self._statuses[job_id] = (record.gen, record.status)

    @invariant()
    def progress_never_goes_back(self) -> None:
        """Finished parts grow, whoever tells of them, and are at most all."""
        for job_id, record in self.records().items():
            gen, done = self._progress.get(job_id, (record.gen, 0))
            assert gen != record.gen or done <= record.done
            assert record.done <= record.total
            self._progress[job_id] = (record.gen, record.done)

    @invariant()
    def nothing_stays_behind(self) -> None:
        """Every key has a lifetime; texts end with their job, and submitters not after the record."""
        keys = self.redis.keys
        for name, (_, left) in keys.items():
            assert name.startswith("arq:queue:") or (left is not None and left <= max(RECORD, MONTH))
        for job_id, record in self.records().items():
            if record.status in ENDED:
                # A text that was sent for the next job of this id is short-lived.
                assert (keys.get(f"text:{job_id}", ("", 0))[1] or 0) <= SENT
            if record.status == "cancelled":
                assert f"by:{job_id}" not in keys
            assert (keys.get(f"by:{job_id}", ("", 0))[1] or 0) <= (keys[f"job:{job_id}"][1] or 0)

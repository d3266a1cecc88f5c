"""Model of the jobs' life in plain Python: what each verb of the scripts does, written from their promises.

Time is counted in seconds that `age` lets pass; nothing else moves the clock. `keyspace` says what Redis holds then.
"""

from collections.abc import Iterable, Sequence

from tests.support.job_holdings import JobHoldings
from tests.support.job_records import (
    CRASHED,
    CRASHES,
    LEASE,
    MONTH,
    OPEN,
    RECORD,
    SENT,
    TEXT,
    TIMEOUT,
    Entry,
    Lasting,
    Record,
)


class JobModel(JobHoldings):
    """What each verb of the scripts does to what Redis holds."""

    def record(self, job_id: str) -> Record | None:
        found = self.jobs.get(job_id)
        return None if found is None else found.value

    def open_record(self, job_id: str, gen: str) -> Record | None:
        """The record where it is of that generation and not ended."""
        record = self.record(job_id)
        return record if record is not None and record.gen == gen and record.status in OPEN else None

    def queued_in(self, name: str) -> list[str]:
        return [lane for lane, queue in self.queues.items() if name in queue]

    def joins(self, job_id: str) -> bool:
        """Whether a newcomer joins: the job is complete, or open and in a queue."""
        record = self.record(job_id)
        if record is None:
            return False
        return record.status == "complete" or (record.status in OPEN and bool(self.queued_in(f"{job_id}.{record.gen}")))

    # --- submitters

    def full(self, entries: Iterable[Entry]) -> str:
        """Why the queue takes no such list; blank where it does."""
        new = {entry.id: entry.size for entry in entries if not self.joins(entry.id)}
        if new and sum(map(len, self.queues.values())) + len(new) > self.room:
            return "full"
        if new and sum((self.sizes | new).values()) > self.room_bytes:
            return "bytes"
        return ""

    def forget_sizes(self) -> None:
        """Texts that are gone count no more."""
        self.sizes = {job_id: size for job_id, size in self.sizes.items() if job_id in self.texts}

    def send(self, entries: Sequence[Entry]) -> bool:
        """Send the texts of the jobs that nobody would join; False where the queue is full."""
        if self.full(entries) == "bytes":
            self.forget_sizes()
        if self.full(entries):
            return False
        for entry in entries:
            if not self.joins(entry.id) and entry.id not in self.texts:
                self.texts[entry.id] = Lasting(entry.text, SENT)
        return True

    def enqueue(self, entries: Sequence[Entry], lane: str) -> list[str] | str:
        """The states of the jobs, or why there are none. A new job has no generation yet: `named` gives it."""
        new = [entry.id for entry in entries if not self.joins(entry.id)]
        for place, job_id in enumerate(dict.fromkeys(new)):
            if job_id not in self.texts:
                return "missing"
            if sum(map(len, self.queues.values())) + place + 1 > self.room:
                return "full"
        if why := self.full(entries):
            return why
        return [self._enter(entry, lane) for entry in entries]

    def _enter(self, entry: Entry, lane: str) -> str:
        job_id = entry.id
        fresh = (kept := self.jobs.get(job_id)) is not None and kept.value.gen == ""
        if not fresh and not self.joins(job_id):
            if kept is not None:
                self.running[kept.value.lane].pop(f"{job_id}.{kept.value.gen}", None)
            self.jobs[job_id] = Lasting(Record("", lane), RECORD)
            self.submitters.pop(job_id, None)
            self.texts[job_id].left = TEXT
            self.sizes[job_id], self.sizes_left = entry.size, RECORD
        elif not fresh:
            self._join(job_id, lane)
        job = self.jobs[job_id]
        by = self.submitters.setdefault(job_id, Lasting(set(), 0))
        by.value.add(entry.submitter)
        if entry.submitter == "-":
            job.value.left = 0
        by.left = job.left
        status: str = job.value.status
        return status

    def _join(self, job_id: str, lane: str) -> None:
        job = self.jobs[job_id]
        record: Record = job.value
        if record.status == "complete":
            self.texts.pop(job_id, None)
            job.left = max(job.left, self.keep)
        elif record.status == "queued" and lane == "day" and record.lane == "night":
            # A caller waits: the job changes the lane and keeps its turn.
            name = f"{job_id}.{record.gen}"
            if name in self.queues["night"]:
                self.queues["day"][name] = self.queues["night"].pop(name)
                record.lane = "day"

    def named(self, job_id: str, gen: str, score: float) -> None:
        """The generation and the score that the server's clock gave a new job."""
        record = self.jobs[job_id].value
        record.gen = gen
        name = f"{job_id}.{gen}"
        self.payloads[name] = Lasting("", RECORD)
        self.queues[record.lane][name] = score

    def cancel(self, job_id: str, submitter: str) -> None:
        """Take one submitter away; without a name the anonymous one goes, or the only one that ever was."""
        record = self.record(job_id)
        if record is None:
            return
        by: set[str] = self.submitters[job_id].value if job_id in self.submitters else set()
        if submitter:
            by.discard(submitter)
        elif "-" in by:
            by.discard("-")
            record.left = 1
        elif not record.left and len(by) == 1:
            by.clear()
        if by or record.status == "cancelled":
            return
        self.submitters.pop(job_id, None)
        name = f"{job_id}.{record.gen}"
        for queue in self.queues.values():
            queue.pop(name, None)
        self.texts.pop(job_id, None)
        self.sizes.pop(job_id, None)
        self.payloads.pop(name, None)
        if record.status in OPEN:
            self._ended(record, name, "cancelled")
        record.status, record.data, record.error, record.code = "cancelled", "", "", ""
        self.jobs[job_id].left = self.keep

    # --- workers

    def begin(self, job_id: str, gen: str, owner: str) -> str:
        """`go`, `held`, or `ended` where there is nothing to do."""
        record = self.open_record(job_id, gen)
        if record is None:
            return "ended"
        lease = self.leases.get(job_id)
        if lease is not None and lease.value != owner:
            return "held"
        if record.status == "in_progress" and lease is None:
            record.crashes += 1
        if job_id not in self.texts:
            return self._given_up(job_id, *TIMEOUT)
        if record.crashes > CRASHES:
            return self._given_up(job_id, *CRASHED)
        self.leases[job_id] = Lasting(owner, LEASE)
        if (hold := self.holds.get(f"{job_id}.{gen}")) is not None:
            hold.left = LEASE
        record.status = "in_progress"
        self._runs(record, f"{job_id}.{gen}")
        return "go"

    def _runs(self, record: Record, name: str) -> None:
        self.running[record.lane][name] = self.running_left[record.lane] = LEASE

    def _ended(self, record: Record, name: str, status: str) -> None:
        self.running[record.lane].pop(name, None)
        self.ended[f"{record.lane}:{status}"] += 1
        self.ended_left = MONTH

    def _given_up(self, job_id: str, code: str, error: str) -> str:
        self._over(job_id, "failed", code=code, error=error)
        return "ended"

    def _over(self, job_id: str, status: str, *, data: str = "", error: str = "", code: str = "") -> None:
        job = self.jobs[job_id]
        record: Record = job.value
        record.status, record.data, record.error, record.code = status, data, error, code
        job.left = self.keep
        self._ended(record, f"{job_id}.{record.gen}", status)
        self.texts.pop(job_id, None)
        self.sizes.pop(job_id, None)
        if job_id in self.submitters:
            self.submitters[job_id].left = self.keep

    def renew(self, job_id: str, gen: str, owner: str) -> str:
        record = self.open_record(job_id, gen)
        if record is None:
            return "ended"
        lease = self.leases.get(job_id)
        if record.status == "queued" or (lease is not None and lease.value != owner):
            return "lost"
        self.leases[job_id] = Lasting(owner, LEASE)
        self.holds[f"{job_id}.{gen}"] = Lasting("", LEASE)
        self._runs(record, f"{job_id}.{gen}")
        return "held"

    def keep_part(self, job_id: str, gen: str, part: tuple[str, str], done: int, total: int) -> str:
        """A part was paid for: it stays, whoever brings it. Progress goes forward only."""
        self.parts[part[0]] = Lasting(part[1], TEXT)
        record = self.open_record(job_id, gen)
        if record is None:
            return "ended"
        if done >= record.done:
            record.done, record.total = done, total
        return "held"

    def complete(self, job_id: str, gen: str, owner: str, data: str, progress: tuple[int, int]) -> None:
        """An answer counts whoever found it, once."""
        self._let_go(job_id, owner)
        record = self.open_record(job_id, gen)
        if record is not None:
            self._over(job_id, "complete", data=data)
            if progress != (0, 0):
                record.done, record.total = progress

    def fail(self, job_id: str, gen: str, owner: str, error: str, code: str) -> str:
        """A failure counts where no other run is at the job."""
        lease = self.leases.get(job_id)
        self._let_go(job_id, owner)
        if self.open_record(job_id, gen) is None:
            return "ended"
        if lease is not None and lease.value != owner:
            return "lost"
        self._over(job_id, "failed", error=error, code=code)
        return "ended"

    def _let_go(self, job_id: str, owner: str) -> None:
        if job_id in self.leases and self.leases[job_id].value == owner:
            del self.leases[job_id]

    def put_back(self, job_id: str, gen: str, owner: str, *, failed: bool) -> None:
        """The job waits again, where no other run is at it."""
        if job_id in self.leases and self.leases[job_id].value != owner:
            return
        self._let_go(job_id, owner)
        record = self.open_record(job_id, gen)
        if record is not None and record.status == "in_progress":
            record.status = "queued"
            self.running[record.lane].pop(f"{job_id}.{gen}", None)
            record.tries += failed

    # --- arq

    def arq_holds(self, name: str) -> None:
        self.holds[name] = Lasting("", LEASE)

    def arq_ends(self, name: str, lane: str) -> None:
        """Arq's consumer of a lane is done with a job."""
        self.holds.pop(name, None)
        self.payloads.pop(name, None)
        self.queues[lane].pop(name, None)

    def arq_retries(self, name: str, lane: str, later: int) -> None:
        """Arq's consumer of a lane will take the job again, `later` by so many ms."""
        self.holds.pop(name, None)
        self.queues[lane][name] = self.queues[lane].get(name, 0.0) + later

    def lose(self, name: str) -> None:
        for queue in self.queues.values():
            queue.pop(name, None)

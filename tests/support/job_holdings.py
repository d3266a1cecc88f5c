"""What Redis holds of the jobs, as the model has it: every key with what it has left."""

from collections import Counter
from dataclasses import dataclass, field

from tests.support.job_records import Keyspace, Lasting


@dataclass
class JobHoldings:
    """Jobs, and what arq holds of them. `room` and `room_bytes` are the queues' bounds, `keep` a result's seconds."""

    room: int
    room_bytes: int
    keep: int
    queues: dict[str, dict[str, float]] = field(default_factory=lambda: {"day": {}, "night": {}})
    """Scores by arq's name of a job, by lane."""
    jobs: dict[str, Lasting] = field(default_factory=dict)
    submitters: dict[str, Lasting] = field(default_factory=dict)
    texts: dict[str, Lasting] = field(default_factory=dict)
    leases: dict[str, Lasting] = field(default_factory=dict)
    parts: dict[str, Lasting] = field(default_factory=dict)
    holds: dict[str, Lasting] = field(default_factory=dict)
    payloads: dict[str, Lasting] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    """Bytes of the texts in the queue, which last as a record does."""
    sizes_left: int = 0
    running: dict[str, dict[str, int]] = field(default_factory=lambda: {"day": {}, "night": {}})
    """Seconds until the ends of leases, by arq's name of a job at work, by lane."""
    running_left: dict[str, int] = field(default_factory=lambda: {"day": 0, "night": 0})
    """Seconds that these last: those of the lease that was begun or renewed last."""
    ended: Counter[str] = field(default_factory=Counter)
    """Jobs that ended, by lane and state, which last for a month after the last one."""
    ended_left: int = 0

    def age(self, seconds: int) -> None:
        """Let time pass: what has none left is gone."""
        for kept in (self.jobs, self.submitters, self.texts, self.leases, self.parts, self.holds, self.payloads):
            for key, value in list(kept.items()):
                value.left -= seconds
                if value.left <= 0:
                    del kept[key]
        self.sizes_left -= seconds
        if self.sizes_left <= 0:
            self.sizes.clear()
        for lane, names in self.running.items():
            self.running_left[lane] -= seconds
            self.running[lane] = {name: left - seconds for name, left in names.items() if left > seconds}
        self.ended_left -= seconds
        if self.ended_left <= 0:
            self.ended.clear()

    def keyspace(self) -> Keyspace:
        """Every key without the prefix, with its value and the seconds it has left."""
        kinds = {
            "job": self.jobs,
            "by": self.submitters,
            "text": self.texts,
            "lease": self.leases,
            "part": self.parts,
            "arq:in-progress": self.holds,
            "arq:job": self.payloads,
        }
        keys: Keyspace = {
            f"{kind}:{name}": (kept.value, kept.left) for kind, held in kinds.items() for name, kept in held.items()
        }
        if self.sizes:
            keys["sizes"] = (self.sizes | {"total": sum(self.sizes.values())}, self.sizes_left)
        for lane, names in self.running.items():
            if names:
                keys[f"running:{lane}"] = (names, self.running_left[lane])
        if self.ended:
            keys["ended"] = (self.ended, self.ended_left)
        return keys | {f"arq:queue:{lane}": (queue, None) for lane, queue in self.queues.items() if queue}

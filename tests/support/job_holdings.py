"""What Redis holds of the jobs, as the model has it: every key with what it has left."""

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
        return keys | {f"arq:queue:{lane}": (queue, None) for lane, queue in self.queues.items() if queue}

"""Names of the keys in Redis, the sidecar's and arq's, all under one prefix."""

from typing import Final

from arq import connections, constants, jobs, worker

from sidecar.core.jobs import LANES, Lane

_ARQS: Final = {
    name: getattr(constants, name)
    for name in (
        "job_key_prefix",
        "in_progress_key_prefix",
        "result_key_prefix",
        "retry_key_prefix",
        "abort_jobs_ss",
    )
}


class Names:
    """Keys under `prefix`."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.workers = f"{prefix}workers"
        self.queues = tuple(self.queue(lane) for lane in LANES)

    def queue(self, lane: Lane) -> str:
        """Return the name of the sorted set of arq that holds the jobs of `lane`, queued and in progress."""
        return f"{self.prefix}arq:queue:{lane}"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{job_id}"

    def text(self, job_id: str) -> str:
        return f"{self.prefix}text:{job_id}"

    def part(self, key: bytes) -> str:
        return f"{self.prefix}part:{key.hex()}"

    def adopt_arq(self) -> None:
        """Put arq's keys, constants of its modules, under the prefix too: one prefix a process."""
        for name, value in _ARQS.items():
            for module in (connections, jobs, worker):
                if hasattr(module, name):
                    setattr(module, name, self.prefix + value)


def hold_prefix() -> str:
    """Return the prefix of arq's keys that hold a job in progress."""
    prefix: str = vars(worker)["in_progress_key_prefix"]
    return prefix

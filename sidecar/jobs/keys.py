"""The names of keys in Redis, ours and arq's, all under one prefix."""

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
        """The sorted set in which arq keeps what waits in `lane`, and what is at work."""
        return f"{self.prefix}arq:queue:{lane}"

    def job(self, job_id: str) -> str:
        return f"{self.prefix}job:{job_id}"

    def text(self, job_id: str) -> str:
        return f"{self.prefix}text:{job_id}"

    def part(self, key: bytes) -> str:
        return f"{self.prefix}part:{key.hex()}"

    def adopt_arq(self) -> None:
        """Put arq's own keys under the prefix too. They are constants of its modules: there is one prefix a process."""
        for name, value in _ARQS.items():
            for module in (connections, jobs, worker):
                if hasattr(module, name):
                    setattr(module, name, self.prefix + value)


def hold_prefix() -> str:
    """How the keys begin by which arq holds a job that is at work."""
    prefix: str = vars(worker)["in_progress_key_prefix"]
    return prefix

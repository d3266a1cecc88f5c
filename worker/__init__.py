"""`arq worker.WorkerSettings`: the worker for those who start their workers with arq's own command.

`openai-moodle-sidecar worker` is the better way: arq's command ends when Redis goes away. What a worker does is
wiring's and not here.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    if name != "WorkerSettings":
        raise AttributeError(name)
    from worker.settings import worker_settings  # noqa: PLC0415 - late: importing the package reads no settings

    return worker_settings()

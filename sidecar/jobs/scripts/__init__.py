"""The changes of a job's state, each one Lua script, so that a change happens whole or not at all.

KEYS are the queues of LANES in their order. ARGV begins with the prefix. A record's `gen` is the point in time, in
ms, when it was enqueued; arq knows a job as "id.gen", so that what is left of an earlier one of that id meets nothing.
Keys are made from the prefix inside the scripts: one Redis, no cluster.
"""

from importlib.resources import files
from typing import Final

_FOLDER: Final = files(__name__)


def _script(name: str, *before: str) -> str:
    """Return a script's text, after the scripts that stand `before` it."""
    return "".join(_FOLDER.joinpath(f"{part}.lua").read_text("utf-8") for part in (*before, name))


KNOWN: Final = _script("known", "joined")
ENQUEUE: Final = _script("enqueue", "joined")
CANCEL: Final = _script("cancel")
BEGIN: Final = _script("begin")
RENEW: Final = _script("renew")
KEEP: Final = _script("keep")
FINISH: Final = _script("finish")
PUT_BACK: Final = _script("put_back")

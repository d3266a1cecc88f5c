"""Lua scripts, one for each change of a job's state, so that a change happens whole or not at all.

`count` and `renew_running` are those of limits by user and token. The KEYS of all others are the queues of LANES in
their order. ARGV begins with the prefix. A record's `gen` is the time of its enqueueing in ms; arq knows a job as
"id.gen", so that leftovers of an earlier job of that id match nothing. The scripts make keys from the prefix: one
Redis, no cluster.
"""

from importlib.resources import files
from typing import Final

_FOLDER: Final = files(__name__)


def _script(name: str, *before: str) -> str:
    """Return the text of the scripts `before`, followed by the script's own."""
    return "".join(_FOLDER.joinpath(f"{part}.lua").read_text("utf-8") for part in (*before, name))


KNOWN: Final = _script("known", "sizes", "joined")
ENQUEUE: Final = _script("enqueue", "sizes", "running", "clock", "joined")
CANCEL: Final = _script("cancel", "sizes", "running", "roomless")
BEGIN: Final = _script("begin", "sizes", "running", "roomless")
RENEW: Final = _script("renew", "running", "roomless")
KEEP: Final = _script("keep", "roomless")
FINISH: Final = _script("finish", "sizes", "running", "roomless")
PUT_BACK: Final = _script("put_back", "running", "roomless")
SIGN: Final = _script("sign", "clock")
ALIVE: Final = _script("alive", "sizes")
OVERVIEW: Final = _script("overview")
COUNT: Final = _script("count")
RENEW_RUNNING: Final = _script("renew_running")

"""Users whose requests were refused in the last minute, by a pseudonym that no one outside this process can undo."""

import secrets
from collections import Counter, deque
from hashlib import blake2b
from typing import Final

from sidecar.core.observations import RequestEnd

SLICE_SECONDS: Final = 10
SLICES: Final = 6
MOST_USERS: Final = 500
"""Users counted in one slice; further ones go uncounted."""


class RefusedUsers:
    """Observer of requests. Users appear as a hash under a key that is made at the start and never leaves memory."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._now: Counter[str] = Counter()
        self._slices: deque[Counter[str]] = deque([self._now], maxlen=SLICES)
        self._ticks = 0

    def tick(self) -> None:
        """Count a second; every tenth begins a new slice."""
        self._ticks += 1
        if self._ticks % SLICE_SECONDS == 0:
            self._now = Counter()
            self._slices.append(self._now)

    def minute(self) -> Counter[str]:
        """Return the pseudonyms of the last minute with their numbers."""
        return sum(self._slices, Counter[str]())

    def request_ended(self, end: RequestEnd) -> None:
        if end.code in {"ok", "cancelled"} or not end.user:
            return
        name = blake2b(end.user.encode("utf-8", "replace"), key=self._key, digest_size=4).hexdigest()
        if name in self._now or len(self._now) < MOST_USERS:
            self._now[name] += 1

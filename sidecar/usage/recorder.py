"""Recorder: counts the ends of requests in memory, until they are written. Plain functions, free of await and I/O."""

import time
from collections.abc import Callable
from typing import Final

from sidecar.core import events
from sidecar.core.observations import RequestEnd
from sidecar.usage.counts import HOUR, SUMS, Batch, Counts, Key

MOST_KEYS: Final = 20_000
"""Keys held while the file cannot be written; further ones are dropped, and those held count on."""
USERS_AN_HOUR: Final = 5_000
"""Pseudonyms that one process counts in an hour; further users share the name `others`."""
OTHERS: Final = "others"


class Recorder:
    """Observer that counts by hour. `pseudonym` makes what is stored of a user; None stores no users."""

    def __init__(
        self,
        pseudonym: Callable[[str], str] | None = None,
        *,
        clock: Callable[[], float] = time.time,
        most_keys: int = MOST_KEYS,
        most_users: int = USERS_AN_HOUR,
    ) -> None:
        self._pseudonym = pseudonym
        self._clock = clock
        self._most_keys, self._most_users = most_keys, most_users
        self._counted: dict[Key, list[int]] = {}
        """Sums in the order of `Counts`."""
        self._writing = 0
        """Keys taken, and neither written nor given back."""
        self._users: set[str] = set()
        self._hour = 0
        self._dropped = 0

    def request_ended(self, end: RequestEnd) -> None:
        hour = int(self._clock()) // HOUR * HOUR
        if hour != self._hour:
            self._hour = hour
            self._users.clear()
        key = Key(hour, end.action, end.route, end.token, end.provider, end.code, self._user(end.user))
        sums = self._counted.get(key)
        if sums is None:
            if len(self._counted) + self._writing >= self._most_keys:
                self._drop()
                return
            sums = self._counted[key] = [0] * len(SUMS)
        sums[0] += 1
        sums[1] += bool(end.shed or not end.action) and end.code not in {"ok", "cancelled"}
        sums[2] += bool(end.shared)
        sums[3] += end.calls
        sums[4] += end.prompt_tokens
        sums[5] += end.completion_tokens

    def _user(self, user: str) -> str:
        if self._pseudonym is None or not user:
            return ""
        name = self._pseudonym(user)
        if name not in self._users:
            if len(self._users) >= self._most_users:
                return OTHERS
            self._users.add(name)
        return name

    def _drop(self) -> None:
        if not self._dropped:
            events.warning("usage_dropped", keys=len(self._counted), note="requests are served and not counted")
        self._dropped += 1

    def take(self) -> Batch:
        """Return what was counted since the last time."""
        counted, self._counted = self._counted, {}
        self._writing = len(counted)
        return {key: Counts(*sums) for key, sums in counted.items()}

    def give_back(self, batch: Batch) -> None:
        """Count once more what could not be written."""
        self._writing = 0
        for key, counts in batch.items():
            sums = self._counted.get(key, [0] * len(SUMS))
            self._counted[key] = [one + other for one, other in zip(sums, counts, strict=True)]

    def written(self) -> int:
        """Forget what was taken; return the number of requests dropped since the file was last written."""
        self._writing = 0
        dropped, self._dropped = self._dropped, 0
        return dropped

"""Recorder: counts the ends of requests in memory, until they are written. Plain functions, free of await and I/O."""

import time
from collections.abc import Callable
from typing import Final

from sidecar.core import events
from sidecar.core.observations import CallEnd, RequestEnd
from sidecar.usage.counts import HOUR, NONE, Batch, Counts, Key, added

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
        self._counted: Batch = {}
        self._users: set[str] = set()
        self._hour = 0
        self._dropped = 0

    def request_ended(self, end: RequestEnd) -> None:
        hour = int(self._clock()) // HOUR * HOUR
        if hour != self._hour:
            self._hour = hour
            self._users.clear()
        key = Key(hour, end.action, end.route, end.token, end.provider, end.code, self._user(end.user))
        before = self._counted.get(key)
        if before is None and len(self._counted) >= self._most_keys:
            self._drop()
            return
        turned_away = end.code not in {"ok", "cancelled"} and bool(end.shed or not end.action)
        counts = Counts(1, turned_away, bool(end.shared), end.calls, end.prompt_tokens, end.completion_tokens)
        self._counted[key] = added(before or NONE, counts)

    def call_ended(self, end: CallEnd) -> None:
        """Ignore calls: the request's end has their sum."""

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
        batch, self._counted = self._counted, {}
        return batch

    def give_back(self, batch: Batch) -> None:
        """Count once more what could not be written."""
        for key, counts in self._counted.items():
            batch[key] = added(batch.get(key, NONE), counts)
        self._counted = batch

    def written(self) -> int:
        """Return the number of requests dropped since the file was last written, and begin anew."""
        dropped, self._dropped = self._dropped, 0
        return dropped

"""Key in a file that is read again when the file changes, so that a key can be replaced without a restart."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sidecar.config import types
from sidecar.config.secret_file import read_secret_file
from sidecar.core import events
from sidecar.core.errors import UpstreamAuth
from sidecar.provider.credentials import AUTHORIZATION, Credentials
from sidecar.runtime.daemon_thread import in_daemon_thread

_LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at the file."""


class KeyFile(Credentials):
    """A key in a file that is read again when the file changes. A file that is wrong leaves the key as it was."""

    def __init__(
        self, key: str, path: str, header: str = AUTHORIZATION, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(key, header)
        self._path = path
        self._clock = clock
        self._before = ""
        self._mark: tuple[int, ...] = ()
        self._fault = ""
        self._next_look = clock() + _LOOK_SECONDS
        self._looking: asyncio.Task[None] | None = None

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(filter(None, (self._key, self._before)))

    async def key(self) -> str:
        """Return the key, after a look at the file if the last look is a second old. Only one call waits for it."""
        if self._looking is None and self._clock() >= self._next_look:
            self._looking = asyncio.create_task(self._look(), name="look at the key's file")
            await asyncio.shield(self._looking)
        return self._key

    def refused(self, status: int | None) -> UpstreamAuth:
        """Return the error; the next call looks at the file, which may hold another key by now."""
        self._next_look = self._clock()
        return super().refused(status)

    async def _look(self) -> None:
        fault = ""
        try:
            key = await in_daemon_thread(self._changed, "look at the key's file", (OSError, ValueError))
        except OSError as exc:
            fault = exc.strerror or type(exc).__name__
        except ValueError:
            fault = "it holds no key"
        else:
            if key and key != self._key:
                self._before, self._key = self._key, key
                events.info("key_changed", file=self._path, note="the file holds another key, which is in use")
        finally:
            self._looking = None
            self._next_look = self._clock() + _LOOK_SECONDS
        if fault and fault != self._fault:
            events.warning("key_unreadable", file=self._path, reason=fault, note="the key from before stays in use")
        self._fault = fault

    def _changed(self) -> str:
        """Return the key in the file; blank if the file is as it was."""
        found = Path(self._path).stat()
        mark = (found.st_mtime_ns, found.st_ino, found.st_size)
        if mark == self._mark:
            return ""
        key: str = types.secret(read_secret_file(self._path))
        self._mark = mark
        return key

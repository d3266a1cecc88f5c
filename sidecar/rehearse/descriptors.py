"""Open files that a rehearsal needs, checked before the class starts: a burst must not fail for want of them."""

import resource
from typing import Final

from sidecar.core.errors import ConfigError

_OWN: Final = 64
"""Descriptors of the process itself, beside one for each waiting user."""


def reserve(users: int) -> None:
    """Raise the soft limit of open files to what `users` at once need.

    Raises:
        ConfigError: the hard limit is below that.

    """
    needed = users + _OWN
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        fault = f"--users={users}: needs {needed} open files, and this process may have {hard} (ulimit -Hn)"
        raise ConfigError([fault])
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))

"""The kernel under engine, completions and background runner: calls, single flight, keys, pseudonym."""

from collections.abc import Callable

import msgspec

from sidecar.engine.context_size import ContextSizes
from sidecar.engine.keys import Keys
from sidecar.engine.limiter.calls import Calls
from sidecar.engine.single_flight import SingleFlight


def no_pseudonym(_user: str) -> str:
    """Return a blank: the provider learns nothing of a user (SEND_USER off)."""
    return ""


def pseudonym_under(secret: str) -> Callable[[str], str]:
    """Return a function from user_id to its HMAC-SHA256 under the site's secret: stable, and anonymous."""
    import hmac  # noqa: PLC0415 - late: most sites send no user, and it loads the whole of OpenSSL

    key = secret.encode()
    return lambda user: hmac.new(key, user.encode("utf-8", "replace"), "sha256").hexdigest() if user else ""


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """Five parts, one of each in a process, or in a lane of a worker."""

    calls: Calls
    """The provider, behind gate and limit."""
    flights: SingleFlight
    """Single flight and the answer cache."""
    keys: Keys
    """Makes the keys under which answers may be shared."""
    contexts: ContextSizes
    """Sizes of the models' contexts, as learned."""
    pseudonym: Callable[[str], str] = no_pseudonym
    """Gives what the provider may know of a user; blank for a blank user."""

"""Reach of a text: the providers that may get it, by the text's class and by the names that its token allows."""

from typing import Final, NamedTuple

from sidecar.core.errors import UpstreamUnreachable
from sidecar.core.ports import TRAFFIC, Traffic

Names = tuple[str, ...]
"""Names of providers in PROVIDERS_FILE, sorted."""


class Reach(NamedTuple):
    """Class of a text, and the names of the only providers that may get it."""

    traffic: Traffic
    names: Names | None = None
    """None where every provider of the class may."""


EVERY: Final[dict[Traffic, Reach]] = {traffic: Reach(traffic) for traffic in TRAFFIC}
"""Reach of the texts of each class whose token names no providers."""


def reach_of(traffic: Traffic, names: Names | None) -> Reach:
    """Return the reach of a text of this class; `names` are those that its token allows, None for all."""
    return EVERY[traffic] if names is None else Reach(traffic, names)


class NoProvider(UpstreamUnreachable):
    """No provider in force may have the text, as its token allows others only."""

    sentence = "No AI provider that this token may use is in force; the administrator must check TOKENS_FILE."

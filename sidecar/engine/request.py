"""Requests as engine and completions take them: content, deadline, user and way in."""

import msgspec

from sidecar.core.contract import Request
from sidecar.core.ports import Call, Traffic
from sidecar.core.reach import Names, Reach, reach_of
from sidecar.core.tracing import Span
from sidecar.engine.admission import Place
from sidecar.engine.limiter.ticket import Earlier
from sidecar.engine.limiter.trace import Charge


def user_at(token: str, user: str) -> str:
    """Return the name of a user at the named token, if there is one; blank for a request without a user."""
    return f"{token}/{user}" if token and user else user


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """Facts that every kind of request has."""

    deadline: float
    """The point on the monotonic clock by which the caller must have the answer."""
    request_id: str
    route: str
    """The way in, as the log's field `door` has it: "ai", "stdio" …"""
    token: str = ""
    """Name of the caller's token; blank without one."""
    origin: str = ""
    """Name for the fair queue where the request names no user, such as the caller's address."""
    arrived: float
    """The point on the monotonic clock at which the request came."""
    place: Place | None = None
    """The place held by the request; given back early, but for its bytes, where the request joins work under way."""
    patient: bool = False
    """True for a request that waits however long the estimate says (lines of a file)."""
    fresh: bool = False
    """True to pass by the cache."""
    background: bool = False
    """True for a request behind all interactive ones."""
    charge: Charge | None = None
    """Counts tokens towards limits of the day; None where there are none."""
    span: Span | None = None
    """The request's span; None where the request belongs to no trace."""
    earlier: Earlier | None = None
    """The attempt that was made before, elsewhere."""

    @property
    def reader(self) -> str:
        """The user as the cache knows it; blank where the request names none."""
        return ""

    def of_token(self, user: str) -> str:
        """Return a name of the user that is its token's own: two faculties may both have a user 7."""
        return user_at(self.token, user)

    @property
    def traffic(self) -> Traffic:
        """Class of the request's texts."""
        return "background" if self.background else "interactive"

    @property
    def names(self) -> Names | None:
        """Names of the only providers that the token allows; None for all."""
        return None

    @property
    def reach(self) -> Reach:
        """Providers that may have the request's texts."""
        return reach_of(self.traffic, self.names)

    @property
    def user(self) -> str:
        """Name in the fair queue."""
        return self.reader or f"@{self.origin}"


class ActionRequest(RequestContext, frozen=True, kw_only=True):
    """A request for an action."""

    request: Request

    @property
    def reader(self) -> str:
        return self.of_token(self.request.user_id)

    @property
    def names(self) -> Names | None:
        return self.request.providers or None


class CompletionRequest(RequestContext, frozen=True, kw_only=True):
    """A request for a raw completion."""

    call: Call
    user_id: str = ""
    """The user; blank where the request names none."""
    action: str
    """Name of the action in the log."""
    providers: Names | None = None
    """Names of the only providers that the token allows; None for all."""
    shared: bool = False
    """True if an equal request of another user may have the same answer."""

    @property
    def reader(self) -> str:
        return self.of_token(self.user_id)

    @property
    def names(self) -> Names | None:
        return self.providers

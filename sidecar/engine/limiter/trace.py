"""The trace of one request: what its provider calls cost, and how they ended."""

from collections.abc import Callable

import msgspec

from sidecar.core.errors import DeadlineExceeded, RateLimited, SidecarError
from sidecar.core.tracing import Span

Charge = Callable[[int], None]
"""Takes the tokens that a provider call cost."""


class Trace(msgspec.Struct, kw_only=True):
    """Costs of one request, for its line in the log. Times in seconds."""

    queued: float = 0.0
    """Waiting time for slots, over all calls of the request."""
    upstream: float = 0.0
    """Time in attempts, over all calls of the request."""
    calls: int = 0
    """Attempts, retries included."""
    refused: int = 0
    """Attempts that the provider refused for want of capacity: they cost nothing."""
    answered: int = 0
    """Attempts that were answered."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    shared: str = ""
    """`flight`: the request joined a call in flight; `kept`: its answer was cached; `job`: it was run as a job."""
    provider: str = ""
    """Name of the provider that answered last; blank without PROVIDERS_FILE."""
    charge: Charge | None = None
    """Counts the tokens of each provider call towards limits of the day; None where there are none."""
    job: str = ""
    """The id of the job that goes on after the caller left."""
    span: Span | None = None
    """The request's span; None where the request belongs to no trace."""

    def used(self, prompt_tokens: int, completion_tokens: int, *, estimate: Callable[[], int]) -> None:
        """Record the tokens of a provider call. `estimate` gives those of a call whose provider named none."""
        self.prompt_tokens += prompt_tokens
        self.completion_tokens += completion_tokens
        if self.charge is not None:
            self.charge(prompt_tokens + completion_tokens or estimate())

    def ended_by(self, error: SidecarError) -> SidecarError:
        """Return the error for the caller: `RateLimited` where every attempt was refused until the deadline."""
        if isinstance(error, DeadlineExceeded) and self.refused and not self.failed:
            return RateLimited()
        return error

    @property
    def failed(self) -> bool:
        """Return whether an attempt failed for another reason than want of capacity."""
        return self.calls > self.refused + self.answered

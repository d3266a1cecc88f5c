"""The service of one process, or of one lane of a worker: three verbs side by side, and the parts under them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sidecar.engine.admission import Admission
from sidecar.engine.background import Background
from sidecar.engine.completions import Completions
from sidecar.engine.drain import Drain
from sidecar.engine.engine import Engine
from sidecar.engine.kernel import Kernel
from sidecar.engine.request_log import RequestLog

if TYPE_CHECKING:
    from sidecar.engine.quotas.quotas import Quotas


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """Parts with which HTTP, stdio, batch and worker serve requests; built in wiring.py."""

    kernel: Kernel
    admission: Admission
    drain: Drain
    log: RequestLog
    engine: Engine
    completions: Completions
    background: Background
    quotas: "Quotas | None" = None
    """Limits by site, token and user; None without TOKENS_FILE."""

    @property
    def clock(self) -> Callable[[], float]:
        """The monotonic clock that every deadline is a point on."""
        return self.kernel.calls.clock

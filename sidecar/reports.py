"""Reports of a server or worker while it runs: its state to systemd, and usage to a file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from sidecar.config.load import take_service_manager
from sidecar.config.settings import Settings
from sidecar.engine.kernel import pseudonym_under
from sidecar.engine.service import Service
from sidecar.engine.status import status_line
from sidecar.runtime.systemd import Systemd, notifying


@asynccontextmanager
async def reporting(settings: Settings, services: Sequence[Service]) -> AsyncIterator[Systemd]:
    """Report to the service manager, and count the requests of `services` in USAGE_FILE, during the block.

    Begins before any child process, since the children must not see the manager's socket.
    """
    address, watchdog = take_service_manager()
    async with AsyncExitStack() as stack:
        if settings.usage_file:
            await stack.enter_async_context(_usage(settings, services))
        yield await stack.enter_async_context(notifying(address, watchdog, lambda: status_line(services)))


@asynccontextmanager
async def _usage(settings: Settings, services: Sequence[Service]) -> AsyncIterator[None]:
    # Late: the one-shot process imports the wiring too and must not pay for sqlite.
    from sidecar.usage.recorder import Recorder
    from sidecar.usage.writer import recording

    recorder = Recorder(pseudonym_under(settings.user_secret) if settings.usage_users else None)
    async with recording(settings.usage_file, recorder, days=settings.usage_days):
        for service in services:
            service.log.observers.of_requests.append(recorder)
        yield

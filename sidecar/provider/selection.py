"""Selection of the client that a server, worker or batch calls the provider with."""

from sidecar.config.settings import Settings
from sidecar.provider.base import HttpUpstream


def server_client(settings: Settings) -> HttpUpstream:
    """Return the client. Its library is imported here: the one-shot process must not pay for it."""
    if settings.client == "openai":
        from sidecar.provider.openai_sdk import SdkUpstream  # noqa: PLC0415 - late

        return SdkUpstream(settings)
    from sidecar.provider.aiohttp.client import AiohttpUpstream  # noqa: PLC0415 - late

    return AiohttpUpstream(settings)

"""Choice of the credentials: a key that stays, one from a file that may change, or tokens of Microsoft Entra ID.

Every client takes its header from the credentials, so no client has to be chosen for its authentication.
"""

from typing import Final

from sidecar.config.providers import AZURE_HOSTS
from sidecar.config.settings import Settings
from sidecar.provider.credentials import AUTHORIZATION, Credentials
from sidecar.provider.endpoint import Endpoint

_AZURE_KEY: Final = "api-key"


def credentials_of(settings: Settings, where: Endpoint) -> Credentials:
    """Return the credentials for `where`. Raises `ConfigError` if AZURE_AUTH=entra lacks its package."""
    if settings.azure_auth == "entra":
        from sidecar.provider.entra import entra_token  # noqa: PLC0415 - the one-shot process pays for each import

        return entra_token(where)
    header = AUTHORIZATION
    if settings.azure_auth == "key" or where.host.endswith(AZURE_HOSTS):
        header = _AZURE_KEY
    if settings.openai_api_key_file:
        from sidecar.provider.key_file import KeyFile  # noqa: PLC0415 - as above

        return KeyFile(settings.openai_api_key, settings.openai_api_key_file, header)
    return Credentials(settings.openai_api_key, header)

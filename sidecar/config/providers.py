"""Settings of one provider, as PROVIDERS_FILE (providers_file.py) or the variables have them."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from sidecar.core.ports import TRAFFIC, Traffic

AZURE_HOSTS: Final = tuple(
    f".{service}.azure.{end}"
    for service in ("openai", "cognitiveservices", "services.ai")
    for end in ("com", "us", "cn")
)
"""Ends of the hosts of Azure's resources, whose deployments refuse a key as a bearer token."""


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One provider."""

    name: str
    base_url: str
    model: str
    api_key: str = ""
    """The text of the file that `api_key_file` names; blank sends no key."""
    api_key_file: str = ""
    concurrency: int
    priority: int = 1
    classes: frozenset[Traffic] = frozenset(TRAFFIC)
    client: str
    extra_body: Mapping[str, Any]
    azure_auth: str = "auto"

    def __repr__(self) -> str:
        return f"<ProviderSettings {self.name}>"

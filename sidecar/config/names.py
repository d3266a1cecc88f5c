"""Names of variables: those that are read, and those that were probably meant for the sidecar and are not.

A misspelled name is dangerous in silence: texts and key go to the default host then.
"""

import re
from collections.abc import Collection
from typing import Final

import msgspec

from sidecar.config.settings import SETTINGS
from sidecar.core.errors import plain
from sidecar.core.nearest import nearest

_SETTINGS: Final = frozenset(
    {setting.name for setting in SETTINGS} | {f"{setting.name}_FILE" for setting in SETTINGS if setting.secret}
)
_PLUGIN: Final = frozenset({"OPENAI_SIDECAR_HTTP_URL", "OPENAI_SIDECAR_HTTP_TIMEOUT", "OPENAI_SIDECAR_CONNECT_TIMEOUT"})
"""Variables of the deployed plugin."""
_OURS: Final = _SETTINGS | _PLUGIN
_PREFIXES: Final = ("OPENAI_", "SIDECAR_")
_SDK: Final = frozenset(
    {"OPENAI_ADMIN_KEY", "OPENAI_CUSTOM_HEADERS", "OPENAI_LOG", "OPENAI_WEBHOOK_SECRET"},
)
"""Variables of OpenAI's SDK for which the sidecar has no setting."""
_LINK: Final = r"\w+_(SERVICE_(HOST|PORT)(_\w+)?|PORT(_[0-9]+_(TCP|UDP)(_\w+)?)?)"
"""Variables that Kubernetes and Docker make of the name of a service near by, such as OPENAI_SIDECAR_PORT."""
_OTHER_TOOLS: Final = {
    "API_BASE": "OPENAI_BASE_URL",
    "API_KEY": "OPENAI_API_KEY",
    "AZURE_OPENAI_API_KEY": "OPENAI_API_KEY",
    "AZURE_OPENAI_ENDPOINT": "OPENAI_BASE_URL",
    "BASE_URL": "OPENAI_BASE_URL",
    "LOGLEVEL": "LOG_LEVEL",
    "MODEL": "OPENAI_MODEL",
    "OPENAI_API_BASE": "OPENAI_BASE_URL",
    "OPENAI_API_BASE_URL": "OPENAI_BASE_URL",
    "OPENAI_API_ENDPOINT": "OPENAI_BASE_URL",
    "OPENAI_API_HOST": "OPENAI_BASE_URL",
    "OPENAI_API_MODEL": "OPENAI_MODEL",
    "OPENAI_API_TYPE": "AZURE_AUTH",
    "OPENAI_API_URL": "OPENAI_BASE_URL",
    "OPENAI_API_VERSION": "OPENAI_BASE_URL",
    "OPENAI_ENDPOINT": "OPENAI_BASE_URL",
    "OPENAI_HOST": "OPENAI_BASE_URL",
    "OPENAI_KEY": "OPENAI_API_KEY",
    "OPENAI_ORG": "OPENAI_ORG_ID",
    "OPENAI_ORGANIZATION": "OPENAI_ORG_ID",
    "OPENAI_PROJECT": "OPENAI_PROJECT_ID",
    "OPENAI_PROXY": "HTTPS_PROXY",
    "OPENAI_SECRET": "OPENAI_API_KEY",
    "OPENAI_TIMEOUT": "REQUEST_TIMEOUT",
    "OPENAI_TOKEN": "OPENAI_API_KEY",
    "OPENAI_URL": "OPENAI_BASE_URL",
    "SIDECAR_URL": "OPENAI_SIDECAR_HTTP_URL",
}
"""Names of other tools, and those of the sidecar's own flags, with the sidecar's variables for the same."""


class Misspelled(msgspec.Struct, frozen=True):
    """Name that nothing reads."""

    name: str
    meant: str
    """The name that was probably meant; blank for none that is near."""

    @property
    def advice(self) -> str:
        """Sentence for people. It shows no value."""
        remedy = f"write {self.meant}" if self.meant else "docs/settings.md lists those that are read"
        return f"{plain(self.name, 60)} is no setting of the sidecar; {remedy}"


def misspelled(name: str) -> Misspelled | None:
    """Return `name` with the one meant where it is probably meant for the sidecar; None for known and foreign names."""
    if name in _OURS or name in _SDK:
        return None
    meant = _OTHER_TOOLS.get(name) or nearest(name, _OURS)
    if meant:
        return Misspelled(name, meant)
    return Misspelled(name, nearest(name, _OURS, far=True)) if name.upper().startswith(_PREFIXES) else None


def misspelled_variables(names: Collection[str], given: Collection[str]) -> list[Misspelled]:
    """Return the misspelled of the environment's `names`, sorted.

    Names in lower case are other programs', unless they begin as the sidecar's do; so are those that Kubernetes and
    Docker make. One beside the name that was meant (`given`) does no harm.
    """
    own = [name for name in sorted(names) if name.isupper() or name.upper().startswith(_PREFIXES)]
    found = [misspelled(name) for name in own if not re.fullmatch(_LINK, name.upper())]
    return [one for one in found if one and one.meant not in given]

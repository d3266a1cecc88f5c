"""One setting as administrators see it; the table of all is in settings.py."""

from typing import Any

import msgspec

from sidecar.config import types


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting, as administrators see it."""

    name: str
    """The variable. Its lower-case form is the field of `Settings`, and with hyphens the flag, unless `flag` is set."""
    kind: types.Kind
    default: Any
    help: str
    flag: str = ""
    secret: bool = False
    """True for a value that is never shown, and that may come from the file that NAME_FILE names."""

    @property
    def field(self) -> str:
        return self.name.lower()

    @property
    def option(self) -> str:
        return self.flag or "--" + self.field.replace("_", "-")

    @property
    def shown_default(self) -> str:
        """The default as people write it; blank for none."""
        if self.default in ("", {}):
            return ""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        if isinstance(self.default, float):
            return f"{self.default:.15g}"
        return types.shown_size(self.default) if self.name.endswith("_BYTES") else str(self.default)

"""Facts about a Moodle, and changes to it, as deploy/moodle-setup.php reports them."""

from typing import Final

import msgspec

PLUGIN: Final = "aiprovider_sidecar"
OPENAI: Final = "aiprovider_openai"
ACTIONS: Final = ("generate_text", "summarise_text", "explain_text")
PLACEMENTS: Final = ("courseassist", "editor")
SUMMARY: Final = "summarise_text"


class Provider(msgspec.Struct, frozen=True):
    """A provider instance; before Moodle 5.0, a provider plugin."""

    component: str
    name: str
    id: int = 0
    configured: bool = False
    enabled: bool = False
    url: str = ""
    token: bool = False
    actions: dict[str, bool] = {}

    @property
    def leads_here(self) -> bool:
        """Return whether the provider's calls go to a sidecar: its plugin, or core's with its parameter."""
        return self.component == PLUGIN or (self.component == OPENAI and "?action=" in self.url)

    @property
    def summarises(self) -> bool:
        """Return whether Moodle asks this provider for a summary."""
        return self.enabled and self.configured and self.actions.get(SUMMARY, False)


class Placement(msgspec.Struct, frozen=True):
    """A place in Moodle's pages that has AI buttons."""

    enabled: bool = False
    actions: dict[str, bool] = {}


class Reach(msgspec.Struct, frozen=True):
    """Answer to a call from Moodle's PHP to the sidecar, with a provider's address and token."""

    name: str
    url: str = ""
    status: int = 0
    error: str = ""
    """Blank, `no address`, `blocked` (by Moodle's HTTP security), `no connection`, or a code of the sidecar."""
    provider: str = ""
    """State of the sidecar's provider, by `GET /ready`."""


class Facts(msgspec.Struct, frozen=True):
    """State of each part of the way to a summary. Without `has_ai`, the rest is blank."""

    release: str
    branch: int = 0
    """Version as a number: 405 for Moodle 4.5, 501 for 5.1."""
    has_ai: bool = False
    writable: bool = True
    """Right of PHP's user to write Moodle's data folder."""
    maintenance: bool = False
    pending: list[str] = []
    """Components that wait for Moodle's upgrade."""
    cron_age: int | None = None
    """Seconds since cron began last; None if it never ran."""
    plugin_installed: str = ""
    set_up: bool = False
    providers: list[Provider] = []
    """In the order in which Moodle tries them."""
    placements: dict[str, Placement] = {}
    people: int = 0
    without_policy: int = 0
    roles_without: list[str] = []
    """Roles of students that may not have a summary."""
    overrides: int = 0
    """Contexts below the site that take that right away."""
    courses: int = 0
    courses_off: int = 0
    modules_off: int = 0
    reach: list[Reach] = []


class Change(msgspec.Struct, frozen=True):
    """One value that a run changes, safe to show: secrets are `set` or `not set`."""

    what: str
    before: str
    after: str


class Reply(msgspec.Struct, frozen=True):
    """Reply of the PHP program."""

    error: str = ""
    facts: Facts | None = None
    changes: list[Change] = []
    left: list[str] = []
    """Values that undo left alone, since another hand changed them."""
    remove: bool = False
    """Removal of the plugin's folder is the next step."""

"""Log of the long-lived commands, which begins with what is wrong around them."""

from collections.abc import Mapping

from sidecar.config.load import ignored_variables
from sidecar.config.settings import Settings
from sidecar.core import events
from sidecar.runtime import log
from sidecar.runtime.stderr import NonblockingStderr


def configure_service_log(settings: Settings, flags: Mapping[str, str | None], env_file: str | None) -> None:
    """Send the log to stderr, which never waits, and warn of variables that were probably meant for the sidecar."""
    log.configure(NonblockingStderr(), level=settings.log_level, as_json=settings.log_format == "json")
    for ignored in ignored_variables(flags, env_file):
        events.warning("variable_ignored", variable=ignored.name, note=ignored.advice)

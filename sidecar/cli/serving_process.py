"""Module of a serving process: `-m sidecar.cli.serving_process ROW SOCKET LINK BLOCK`, started by the server alone."""

import sys
from collections.abc import Sequence
from typing import Final

from sidecar.cli.flags import report_faults
from sidecar.config.load import load, with_tokens
from sidecar.core.errors import ConfigError
from sidecar.core.events import LOGGER
from sidecar.runtime import log
from sidecar.runtime.stderr import NonblockingStderr
from sidecar.serving import Passed, run_serving
from sidecar.wiring import run

_PARENTS: Final = frozenset({"provider", "providers_read", "providers_kept", "tokens_read", "tokens_kept"})
"""Events about files that the parent reads too, and logs once for all."""


def main(words: Sequence[str]) -> int:
    """Serve under the parent; return the exit code. The settings are in the environment."""
    try:
        settings = with_tokens(load({}, "/dev/null", need_key=False))
        log.configure(NonblockingStderr(), level=settings.log_level, as_json=settings.log_format == "json")
        LOGGER.addFilter(lambda record: record.msg not in _PARENTS)
        passed = Passed(*map(int, words))
        return run(lambda: run_serving(settings, passed), fast_loop=True)
    except ConfigError as exc:
        return report_faults(exc)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

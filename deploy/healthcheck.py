"""The container's health check: exit 0 when the sidecar in it answers /health with 200.

It finds address and port where the sidecar does, in the variables and the env file; flags it cannot see.
"""

import http.client
import sys

from sidecar.config import load
from sidecar.core.errors import ConfigError

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what it may listen on, told apart from where to ask


def main() -> int:
    try:
        here = load.load({}, need_key=False)
        connection = http.client.HTTPConnection(EVERYWHERE.get(here.host, here.host), here.port, timeout=3)
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (ConfigError, OSError, http.client.HTTPException) as exc:
        sys.stderr.write(f"no answer: {exc}\n")
        return 1
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())

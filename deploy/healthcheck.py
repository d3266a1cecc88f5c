"""Health check of the container: exits with 0 if the sidecar in it answers /health with 200.

Address and port come from the variables and the env file, as in the sidecar; the sidecar's flags are unknown here.
"""

import http.client
import sys

from sidecar.config import load
from sidecar.core.errors import ConfigError

LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - from the address listened on to the one to connect to


def main() -> int:
    try:
        settings = load.load({}, need_key=False)
        host = LOOPBACK.get(settings.host, settings.host)
        connection = http.client.HTTPConnection(host, settings.port, timeout=3)
        connection.request("GET", "/health")
        status = connection.getresponse().status
    except (ConfigError, OSError, http.client.HTTPException) as exc:
        sys.stderr.write(f"no answer: {exc}\n")
        return 1
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())

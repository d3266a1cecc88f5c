"""`python -m sidecar` is the command `openai-moodle-sidecar`."""

import sys

from sidecar.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""The program's name, and its exit codes."""

from typing import Final

PROGRAM: Final = "openai-moodle-sidecar"
BAD_CONFIGURATION: Final = 2
"""The exit code for flags and settings that make no sense."""
FAULT: Final = 1
"""The exit code for an internal fault that left lines without a reply."""
INTERRUPTED: Final = 130
"""The exit code that shells give a process which SIGINT ended."""

"""Command `openai-moodle-sidecar`: a subcommand, help, or the program itself.

This file loads next to nothing: it decides what is loaded.
"""

import gc
import sys
from collections.abc import Sequence
from typing import Final

from sidecar.core.program import BAD_CONFIGURATION, INTERRUPTED, PROGRAM
from sidecar.stdio.descriptors import fill_missing, has_piped_data

COMMANDS: Final = {
    "batch": "sidecar.cli.batch",
    "collect": "sidecar.cli.collect",
    "demo-upstream": "sidecar.demo.command",
    "doctor": "sidecar.doctor.command",
    "enqueue": "sidecar.cli.enqueue",
    "moodle": "sidecar.cli.moodle",
    "rehearse": "sidecar.cli.rehearse",
    "token": "sidecar.cli.token",
    "usage": "sidecar.cli.usage",
    "worker": "sidecar.cli.worker",
}
"""Subcommand → module with `main(argv) -> int`, imported only when chosen."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words and words[0] in COMMANDS:
        from importlib import import_module

        try:
            code: int = import_module(COMMANDS[words[0]]).main(words[1:])
        except KeyboardInterrupt:  # before or after the time in which Ctrl-C has a meaning of its own
            code = INTERRUPTED
        return code
    fill_missing()
    if words and not words[0].startswith("-"):
        from sidecar.cli.first_word import advice

        sys.stderr.write(f"{PROGRAM}: {advice(words[0], COMMANDS)}\n")
        return BAD_CONFIGURATION
    if helps := {"-h", "--help", "--help-all"}.intersection(words):
        from sidecar.cli.help import full_help, short_help
        from sidecar.core.command_line import show

        return show((full_help if "--help-all" in helps else short_help)(COMMANDS), PROGRAM)
    # Imports make objects that stay: collections among them took a twentieth of a start. garbage.py begins them again.
    gc.disable()
    from sidecar.runtime.late_modules import import_late, import_msgspec

    one_shot = has_piped_data() and not any(word.startswith("--http-mode") for word in words)
    if one_shot:
        import_late()
    import_msgspec(late=one_shot)
    from sidecar.cli.program import run_program

    try:
        return run_program(words, COMMANDS)
    finally:
        gc.enable()

"""Command line: the main command, and one module with `main(argv) -> int` for each subcommand."""

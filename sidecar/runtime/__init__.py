"""The process's own affairs: signals and the log."""

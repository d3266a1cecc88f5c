"""Parts of a process that several capabilities share: signals, the log, pipes and lines."""

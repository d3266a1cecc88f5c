"""Setting up a Moodle for the sidecar, and looking at one: Moodle's own PHP does it, started from here."""

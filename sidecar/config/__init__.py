"""Settings: their definitions, the sources of their values, and the source of each value in force."""

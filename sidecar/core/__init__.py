"""The lowest floor: what every other floor means by its words. No I/O but reading settings."""

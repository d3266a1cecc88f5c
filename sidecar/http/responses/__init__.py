"""A reply to bytes."""

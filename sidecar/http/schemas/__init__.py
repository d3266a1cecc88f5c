"""Bytes to a checked request."""

"""Schemas: bytes to a checked request."""

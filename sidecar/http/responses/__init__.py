"""Responses: from a reply, a completion or an error to bytes."""

"""Formats of an answer: HTML for a page that inserts it, Markdown as the provider wrote it, or plain text."""

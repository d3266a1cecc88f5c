"""The dashboard: a page for people, and the feed of events that it shows."""

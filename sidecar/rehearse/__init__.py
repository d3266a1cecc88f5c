"""Rehearsal of a burst: a class of callers against a running sidecar, and what they saw."""

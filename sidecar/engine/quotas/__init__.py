"""Limits by site, token and user: counters, refusals, and what several sidecars share."""

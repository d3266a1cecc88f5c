"""Metrics for Prometheus: what is published, where the numbers come from, and the page of a scrape."""

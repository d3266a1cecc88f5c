"""Adapters to the provider behind the port in sidecar.core.ports: one attempt a call."""

"""Adapters to the provider; one attempt each, behind the port in sidecar.core.ports."""

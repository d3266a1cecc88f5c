"""Spans by OpenTelemetry, with TRACING=true only: nothing else imports this folder or the library."""

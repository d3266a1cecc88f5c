"""Ports of the loopback. No library of the tests, so that benchmarks can use it."""

import socket


def free_port() -> int:
    """Return a port that was free a moment ago, for whatever takes no socket and no 0."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

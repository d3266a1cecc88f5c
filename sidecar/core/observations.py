"""Observations: the end of each request and of each provider call, for those that count, record or trace them.

They hold numbers, names of configuration, and two things of a caller: the request's id and the user's name. An observer
shows neither text nor user.
"""

from typing import Protocol

import msgspec


class RequestEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The end of a request, refused or answered. Times in seconds."""

    request_id: str
    route: str
    """The way in: "ai", "stdio", "job" …"""
    code: str
    """`ok`, `cancelled`, or the error's code."""
    action: str = ""
    """The action; blank for a request refused before it was read."""
    token: str = ""
    """Name of the caller's token; blank without one."""
    user: str = ""
    """The user's name, as the caller sent it: never to be shown."""
    shed: str = ""
    """Cause of an early refusal: `places`, `bytes`, `late`, `jobs`, `pause`, `breaker`; blank for any other end."""
    seconds: float = 0.0
    """Time since the arrival."""
    queued: float = 0.0
    """Waiting time for slots, over all calls."""
    upstream: float = 0.0
    """Time in provider calls."""
    calls: int = 0
    """Provider calls, retries included."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    shared: str = ""
    """`flight`, `kept` or `job`, as in the log; blank for an answer of its own."""
    provider: str = ""
    """Name of the provider that answered last; blank without PROVIDERS_FILE."""


class CallEnd(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The end of one attempt at a provider. Times in seconds."""

    provider: str
    """The provider's name; blank without PROVIDERS_FILE."""
    code: str
    """`ok`, `timeout`, `cancelled`, `internal` for a fault of ours, or the failure's code."""
    scope: str = ""
    """The failure's scope: `provider`, `capacity`, `request` or `account`; blank for any other end."""
    retry: bool = False
    """True for every attempt but a call's first."""
    seconds: float = 0.0
    first: float | None = None
    """Time until a stream's first event; None for whole answers."""


class RequestObserver(Protocol):
    """Port: takes ends of requests. The method returns at once and never raises."""

    def request_ended(self, end: RequestEnd) -> None: ...


class CallObserver(Protocol):
    """Port: takes ends of attempts, as `RequestObserver` takes those of requests."""

    def call_ended(self, end: CallEnd) -> None: ...


class Observers:
    """Observers of one service, one after another."""

    def __init__(self) -> None:
        self.of_requests: list[RequestObserver] = []
        self.of_calls: list[CallObserver] = []

    def request_ended(self, end: RequestEnd) -> None:
        for observer in self.of_requests:
            observer.request_ended(end)

    def call_ended(self, end: CallEnd) -> None:
        for observer in self.of_calls:
            observer.call_ended(end)

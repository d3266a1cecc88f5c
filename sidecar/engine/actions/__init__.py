"""The three actions, by name: plain coroutines from a request to the text of its answer.

An action knows its request, a completer and limits. No HTTP, no Redis, no stream, no logging of text.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from sidecar.core.contract import Request
from sidecar.core.ports import CompleterPort
from sidecar.engine.actions.analyze import analyze
from sidecar.engine.actions.chat import chat
from sidecar.engine.actions.limits import Limits
from sidecar.engine.actions.summarize import summarize

__all__ = ["ACTIONS", "Action", "Limits"]

Action = Callable[[Request, CompleterPort, Limits], Coroutine[Any, Any, str]]
"""Raises the `SidecarError` of the call that failed it; cancellation passes through."""

ACTIONS: Final[Mapping[str, Action]] = {"chat": chat, "summarize": summarize, "analyze": analyze}

"""Halves of characters: an emoji that a provider cut in two, one half an event."""

from typing import Any

from sidecar.core.contract import sendable


class Halves:
    """First halves of surrogate pairs, by choice, until the second half comes."""

    def __init__(self) -> None:
        self._held: dict[object, str] = {}

    def __bool__(self) -> bool:
        return bool(self._held)

    def join(self, event: dict[str, Any]) -> None:
        """Mend the contents of an event in place: a half at the end waits for the next event of its choice."""
        choices = event.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            delta = choice.get("delta") if isinstance(choice, dict) else None
            if not isinstance(delta, dict):
                continue
            index = choice.get("index") if type(choice.get("index")) is int else 0
            content = delta.get("content")
            text = self._held.pop(index, "") + (content if isinstance(content, str) else "")
            if text and "\ud800" <= text[-1] <= "\udbff" and not choice.get("finish_reason"):
                self._held[index], text = text[-1], text[:-1]
            if text or isinstance(content, str):
                delta["content"] = sendable(text)

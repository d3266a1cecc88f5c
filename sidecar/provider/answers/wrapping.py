"""The other wrapping: one whole answer made of a stream's events, and events made of one whole answer."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sidecar.core.long_text import encodable
from sidecar.provider import codec
from sidecar.provider.answers.whole import finish_reason, text_of

_TEXTS: Final = ("content", "refusal", "reasoning_content", "reasoning")
_HEAD: Final = ("id", "created", "model", "system_fingerprint", "service_tier")


def whole_of(events: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the completion that a stream's events are the pieces of."""
    body: dict[str, Any] = {"object": "chat.completion"}
    choices: dict[int, _Choice] = {}
    for event in events:
        body |= {name: event[name] for name in _HEAD if event.get(name) and name not in body}
        body |= {name: value for name in ("usage", "x_groq") if (value := event.get(name))}
        found = event.get("choices")
        for choice in found if isinstance(found, list) else ():
            if isinstance(choice, dict):
                number = choice.get("index")
                number = number if type(number) is int else 0
                choices.setdefault(number, _Choice()).add(choice)
    body["choices"] = [choices[number].whole(place) for place, number in enumerate(sorted(choices))]
    return body


class _Choice:
    """One choice while its pieces come together."""

    def __init__(self) -> None:
        self._texts: dict[str, list[str]] = {}
        self._tools: dict[int, dict[str, Any]] = {}
        self._arguments: dict[int, list[str]] = {}
        self._function: list[dict[str, Any]] = []
        self._reason = ""

    def add(self, choice: Mapping[str, Any]) -> None:
        piece = choice.get("delta")
        piece = piece if isinstance(piece, dict) else choice.get("message")
        self._reason = finish_reason(choice) or self._reason
        if not isinstance(piece, dict):
            return
        for name in _TEXTS:
            if text := text_of(piece.get(name)):
                self._texts.setdefault(name, []).append(text)
        tools = piece.get("tool_calls")
        for place, tool in enumerate(tools if isinstance(tools, list) else ()):
            if isinstance(tool, dict):
                number = tool.get("index")
                self._add_tool(number if type(number) is int else place, tool)
        if isinstance(function := piece.get("function_call"), dict):
            self._function.append(function)

    def _add_tool(self, number: int, tool: Mapping[str, Any]) -> None:
        whole = self._tools.setdefault(number, {"id": "", "type": "function", "function": {"name": ""}})
        whole["id"] = tool.get("id") or whole["id"]
        if isinstance(function := tool.get("function"), dict):
            whole["function"]["name"] = function.get("name") or whole["function"]["name"]
            if isinstance(arguments := function.get("arguments"), str):
                self._arguments.setdefault(number, []).append(arguments)

    def whole(self, place: int) -> dict[str, Any]:
        """Return the choice at this place in the list."""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        message |= {name: "".join(pieces) for name, pieces in self._texts.items()}
        for number, tool in self._tools.items():
            tool["function"]["arguments"] = "".join(self._arguments.get(number, ()))
        if self._tools:
            message["tool_calls"] = [self._tools[number] for number in sorted(self._tools)]
        if self._function:
            arguments = [piece["arguments"] for piece in self._function if isinstance(piece.get("arguments"), str)]
            name = next((piece["name"] for piece in self._function if piece.get("name")), "")
            message["function_call"] = {"name": name, "arguments": "".join(arguments)}
        return {"index": place, "message": message, "finish_reason": self._reason or "stop"}


def delta_for_message(event: dict[str, Any]) -> bool:
    """Turn an event that holds whole messages into one that holds deltas, in place; return whether it was such."""
    choices, found = event.get("choices"), False
    for number, choice in enumerate(choices if isinstance(choices, list) else ()):
        if isinstance(choice, dict) and "delta" not in choice and isinstance(choice.get("message"), dict):
            choice |= {"index": number, "delta": _delta(choice.pop("message"))}
            event["object"], found = "chat.completion.chunk", True
    return found


def events_of(body: Mapping[str, Any], *, usage: bool) -> Iterator[bytes]:
    """Yield the data of events that say what the completion `body` says; `usage`: counts come in one more event."""
    head = {name: value for name, value in body.items() if name not in ("choices", "usage", "object")}
    head["object"] = "chat.completion.chunk"
    choices = [choice for choice in body.get("choices", ()) if isinstance(choice, dict)]
    for number, choice in enumerate(choices):
        event = {"index": number, "delta": _delta(choice.get("message")), "finish_reason": None}
        yield codec.encode(encodable({**head, "choices": [event]}))
    for number, choice in enumerate(choices):
        event = {"index": number, "delta": {}, "finish_reason": finish_reason(choice) or "stop"}
        yield codec.encode(encodable({**head, "choices": [event]}))
    if usage and body.get("usage"):
        yield codec.encode({**head, "choices": [], "usage": body["usage"]})


def _delta(message: object) -> dict[str, Any]:
    if not isinstance(message, dict):
        return {}
    delta = {"role": "assistant", **message}
    if isinstance(delta.get("content"), list):
        delta["content"] = text_of(delta["content"])
    if isinstance(tools := delta.get("tool_calls"), list):
        delta["tool_calls"] = [{"index": number, **tool} for number, tool in enumerate(tools) if isinstance(tool, dict)]
    return delta

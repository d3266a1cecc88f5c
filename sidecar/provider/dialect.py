"""Dialects: request bodies as this provider takes them for each model.

A refusal that names a field or role is a lesson: the call is mended and sent once more, and the lesson is remembered
for its model once the mended call was not refused in the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from sidecar.core import events
from sidecar.core.errors import plain
from sidecar.core.late_pattern import late_pattern
from sidecar.core.ports import Call
from sidecar.core.raw_json import TooMuch, opened
from sidecar.provider.http_answer import Answer

Fields = dict[str, Any]

_OLD_LIMIT: Final = "max_tokens"
_NEW_LIMIT: Final = "max_completion_tokens"
_RESERVED: Final = ("messages", "stream")
"""Fields that EXTRA_BODY does not merge: messages are the caller's, and a true `stream` there is for every call."""
_MODELS_REMEMBERED: Final = 1000
_REFUSED_AS: Final = (400, 422)
_TEMPLATE_FAILED: Final = 500
"""Status of model servers whose chat template refuses a role."""
_OPENED: Final = 8 * 2**20
"""Bytes of memory that one raw content may take once it is decoded to be mended."""
_BODY: Final = 8192
"""Bytes of a refusal that are searched for a lesson."""

_UNKNOWN: Final = late_pattern(
    r"unsupported|not support|instead|deprecated|unrecognized|unexpected|extra_forbidden|extra (?:inputs|fields)"
    r"|not permitted|additional properties"
)
_NO_SYSTEM: Final = late_pattern(
    r"system['\"`]* role (?:is )?not supported|not support[^.]{0,40}system"
    r"|system (?:prompt|message|instruction)s? (?:is|are) not (?:supported|enabled|allowed)"
    r"|developer instruction is not enabled"
)
_USER: Final = late_pattern(r"['\"`]user['\"`]|(?:supplied|argument|parameter|field|property):? user\b")


class Lesson(msgspec.Struct, frozen=True):
    """Lesson of a refusal: what a provider refuses in requests for a model, and how they are mended."""

    name: str
    subject: str
    """Subject of the lesson; a call is mended once for each."""
    refused: Callable[[Fields, int, str], bool]
    """Test of whether a status and a body, in lower case, refuse the fields so."""
    mend: Callable[[Fields], Fields]


class Dialect:
    """Request bodies: the fields of the settings, and what each model's refusals taught."""

    def __init__(self, model: str, extra_body: Mapping[str, Any]) -> None:
        self._model = model
        self._extra = {name: value for name, value in extra_body.items() if name not in _RESERVED}
        # Some servers notice only in a stream that its caller left; whole answers are read from events as well.
        self._always_streams = extra_body.get("stream") is True
        self._learned: dict[str, tuple[Lesson, ...]] = {}

    def fields(self, call: Call, *, stream: bool = False) -> Fields:
        """Return the body of `call`: its own fields, EXTRA_BODY over them, `call.extra` over both (top level only).

        A null in EXTRA_BODY removes the field; a null in `call.extra` is sent, since the caller set it. A layer that
        names a limit, under either name, replaces the limits of the layers below.
        """
        fields: Fields = {"model": call.model or self._model, "messages": call.messages}
        fields[_OLD_LIMIT] = call.max_tokens
        if call.user:
            fields["user"] = call.user
        if self._extra:
            _overlay(fields, self._extra)
            fields = {name: value for name, value in fields.items() if value is not None}
        if call.extra:
            _overlay(fields, call.extra)
        if stream or self._always_streams:
            fields["stream"] = True
        else:
            fields.pop("stream", None)
            fields.pop("stream_options", None)
        if _NEW_LIMIT in fields:
            fields.pop(_OLD_LIMIT, None)  # providers refuse both at once
        for lesson in self._learned.get(_model(fields), ()):
            fields = lesson.mend(fields)
        return fields

    def lesson(self, fields: Fields, answer: Answer, before: Sequence[Lesson] = ()) -> Lesson | None:
        """Return what this refusal of `fields` teaches, None for nothing; `before`: this call's lessons so far."""
        if answer.status not in (*_REFUSED_AS, _TEMPLATE_FAILED):
            return None
        body = answer.body[:_BODY].decode("utf-8", "replace").lower()
        subjects = {lesson.subject for lesson in before}
        return next(
            (
                lesson
                for lesson in LESSONS
                if lesson.subject not in subjects and lesson.refused(fields, answer.status, body)
            ),
            None,
        )

    def learn(self, fields: Fields, lessons: Sequence[Lesson], status: int) -> None:
        """Remember the lessons of a mended call for its model, unless the call was refused like this again."""
        if not lessons or status in (*_REFUSED_AS, _TEMPLATE_FAILED):
            return
        model = _model(fields)
        subjects = {lesson.subject for lesson in lessons}
        known = [lesson for lesson in self._learned.get(model, ()) if lesson.subject not in subjects]
        if len(self._learned) >= _MODELS_REMEMBERED:
            self._learned.clear()  # names can come from callers; learning one again costs one refused call
        self._learned[model] = (*known, *lessons)
        for lesson in lessons:
            events.info("dialect", model=plain(model, 80), learned=lesson.name)

    def learned(self, model: str = "") -> tuple[str, ...]:
        """Return the names of what was learned for `model`, blank for the configured one."""
        return tuple(lesson.name for lesson in self._learned.get(model or self._model, ()))


def _model(fields: Mapping[str, Any]) -> str:
    return str(fields.get("model"))


def _overlay(fields: Fields, layer: Mapping[str, Any]) -> None:
    if _OLD_LIMIT in layer or _NEW_LIMIT in layer:
        fields.pop(_OLD_LIMIT, None)
        fields.pop(_NEW_LIMIT, None)
    fields.update(layer)


def _renamed(old: str, new: str) -> Lesson:
    """Return the lesson that a limit goes under the name `new`.

    The name alone is too little evidence: vLLM names both where a value is merely too large.
    """

    def refused(fields: Fields, status: int, body: str) -> bool:
        return status in _REFUSED_AS and old in fields and old in body and bool(_UNKNOWN.search(body))

    def mend(fields: Fields) -> Fields:
        return {(new if name == old else name): value for name, value in fields.items()}

    return Lesson(new, "limit", refused, mend)


def _no_system(fields: Fields, _status: int, body: str) -> bool:
    return bool(_NO_SYSTEM.search(body)) and _without_system(fields) is not fields


def _without_system(fields: Fields) -> Fields:
    """Return the fields with the system's words before the user's first text, or as they are where there are none.

    Raw messages stay raw but for these two; where those take too much memory, the fields stay as they are.
    """
    try:
        messages = [dict(message) for message in fields["messages"]]
        system = [message for message in messages if message.get("role") == "system"]
        texts = [opened(message.get("content"), _OPENED) for message in system]
        rest = [message for message in messages if message.get("role") != "system"]
        first = next((message for message in rest if message.get("role") == "user"), None)
        content = opened(first.get("content"), _OPENED) if first is not None else None
    except TooMuch:
        return fields
    if not system:
        return fields
    words = "\n\n".join(text for text in texts if isinstance(text, str) and text)
    if first is None:
        return {**fields, "messages": [{"role": "user", "content": words}, *rest] if words else rest}
    if isinstance(content, list):
        first["content"] = [{"type": "text", "text": words}, *content]
    elif words:
        first["content"] = f"{words}\n\n{content}"
    return {**fields, "messages": rest}


def _no_user(fields: Fields, status: int, body: str) -> bool:
    # A refusal that speaks of roles means the role `user`.
    known = status in _REFUSED_AS and "user" in fields and "role" not in body
    return known and bool(_UNKNOWN.search(body) and _USER.search(body))


def _without_user(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name != "user"}


LESSONS: Final = (
    Lesson("no system role", "system", _no_system, _without_system),
    _renamed(_OLD_LIMIT, _NEW_LIMIT),
    _renamed(_NEW_LIMIT, _OLD_LIMIT),
    Lesson("no field user", "user", _no_user, _without_user),
)

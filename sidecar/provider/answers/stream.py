"""Reader of a streamed answer: bytes in pieces of any size to the data of events, whatever the wrapping.

One JSON object that came although a stream was wanted is delivered as events; so is what came compressed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from sidecar.core.errors import UpstreamError
from sidecar.core.long_text import encodable
from sidecar.core.ports import Call, Usage
from sidecar.provider import codec
from sidecar.provider.answers.plain_events import plain_events
from sidecar.provider.answers.surrogates import Halves
from sidecar.provider.answers.usage import note_usage
from sidecar.provider.answers.whole import (
    MAX_ANSWER_BYTES,
    TOO_LARGE,
    completion_of,
    finish_reason,
    leniently,
    not_json,
    object_of,
    refusal,
    reported,
    strictly,
)
from sidecar.provider.answers.wrapping import delta_for_message, events_of, whole_of
from sidecar.provider.decompression import MOST_PACKED, BrokenPackingError, Unpacker
from sidecar.provider.http_answer import Answer
from sidecar.provider.sse import Event, Events, EventTooLargeError

SIGN_OF_LIFE: Final = b""
"""Data of no event: the provider said that it is still at work."""
_BOM: Final = b"\xef\xbb\xbf"
_EVENT_STARTS: Final = b"deir:"
"""First bytes of an event stream's lines: data, event, id, retry and comments."""


class StreamReader:
    """Reads one streamed answer. Every method raises the `UpstreamFailure` that the answer reports or is."""

    def __init__(self, headers: Mapping[str, str], call: Call, secrets: tuple[str, ...], usage: Usage) -> None:
        self.done = False
        """True once the provider said that the stream is over."""
        self._headers = headers
        self._call = call
        self._secrets = secrets
        self._usage = usage
        self._unpacker = Unpacker(headers)
        self._start: bytes | None = b""
        """The bytes before the wrapping is known; None afterwards."""
        self._document: bytearray | None = None
        """The bytes of what is no event stream."""
        self._events = Events()
        self._halves = Halves()
        self._finished = False
        self._rest = b""
        """The beginning of an event, between plain ones."""

    def weight(self, chunk: bytes = b"") -> int:
        """Return the bytes that may be parsed at once when `chunk` comes, or at the end: those held, and the chunk's.

        Those of a packed chunk are estimated by the most that it may hold.
        """
        held = len(self._rest) + (len(self._document) if self._document is not None else self._events.held)
        return held + len(chunk) * (MOST_PACKED if self._unpacker.packed else 1)

    def feed(self, chunk: bytes) -> Iterable[bytes]:
        """Return the events that `chunk` completes, as the port `Upstream` gives them.

        `SIGN_OF_LIFE` stands where `chunk` holds no more than that. All must be taken before the next chunk.
        """
        chunk, self._rest = self._rest + chunk, b""
        if self._may_be_plain() and (found := plain_events(chunk, self._usage)) is not None:
            if self._start is not None:
                self._begin(chunk)
            self._rest, self.done = found.rest, found.done
            self._finished = self._finished or found.finished
            return found.pieces
        return self.data(chunk)

    def _may_be_plain(self) -> bool:
        """Return whether the next bytes are events, as far as it depends on those before."""
        if self._document is not None or self._halves or not self._events.between:
            return False
        return self._unpacker.plain if self._start is None else not (self._start or self._unpacker.packed)

    def _begin(self, chunk: bytes) -> None:
        """Record that the stream begins with an event."""
        self._start = None
        self._events.begin()
        for _ in self._unpacker.feed(chunk):  # it passes unchanged
            pass

    def data(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of the events that `chunk` completes, one by one, as `feed` does."""
        try:
            for piece in self._unpacker.feed(chunk):
                yield from self._take(piece)
                if self.done:
                    return
        except BrokenPackingError as exc:
            raise UpstreamError("The AI provider's compressed answer is broken.") from exc
        except (_NotJSONError, RecursionError) as exc:
            raise UpstreamError("The AI provider's stream holds something that is not JSON.") from exc
        except EventTooLargeError as exc:
            raise UpstreamError("The AI provider's stream holds an event larger than 16 MiB.") from exc

    def end(self) -> Iterator[bytes]:
        """Yield the data of the events that the end of the body completes."""
        rest, self._rest = self._rest, b""
        if rest:
            yield from self.data(rest)
        if self._start is not None:
            raise not_json(Answer(200, self._headers, self._start))
        if self._document is not None:
            answer = Answer(200, self._headers, bytes(self._document))
            completion = completion_of(object_of(answer, self._call, self._secrets), len(answer.body))
            note_usage(completion.body, self._usage)
            options = self._call.extra.get("stream_options")
            wanted = isinstance(options, dict) and bool(options.get("include_usage"))
            yield from events_of(completion.body, usage=wanted)
            return
        if (last := self._events.finish()) is not None:
            try:
                yield from self._read(last)
            except _NotJSONError:
                raise _ended_early() from None
        if not (self._finished or self.done):  # some gateways leave out [DONE], which is fine after a finished choice
            raise _ended_early()

    def _take(self, piece: bytes) -> Iterator[bytes]:
        if self._start is not None:
            start = (self._start + piece).lstrip().removeprefix(_BOM).lstrip()
            self._start = start
            if not start or _BOM.startswith(start):
                return
            piece, self._start = start, None
            if self._is_document(start[:1]):
                self._document = bytearray()
        if self._document is not None:
            self._document += piece
            if len(self._document) > MAX_ANSWER_BYTES:
                raise UpstreamError(TOO_LARGE, status=200)
            return
        signs, found = self._events.signs, False
        for event in self._events.feed(piece):
            for data in self._read(event):
                found = found or bool(data)
                yield data
            if self.done:
                return
        if not found and self._events.signs > signs:
            yield SIGN_OF_LIFE

    def _is_document(self, first: bytes) -> bool:
        """Return whether an answer with this first byte is no event stream, whatever its headers say."""
        declared = self._headers.get("content-type", "").lower().startswith("text/event-stream")
        return first in b"{[<" or not (declared or first in _EVENT_STARTS)

    def _read(self, event: Event) -> Iterator[bytes]:
        data = event.data.strip()
        if data == b"[DONE]":
            self.done = True
        elif not data or data == b"null":  # some gateways send these to hold the connection open
            yield SIGN_OF_LIFE
        else:
            body, data = self._body(event.data)
            error = body if event.name == b"error" else reported(body)
            if error is not None:
                raise refusal(Answer(200, self._headers, codec.encode(error)), self._call, self._secrets)
            note_usage(body, self._usage)
            choices = body.get("choices")
            for choice in choices if isinstance(choices, list) else ():
                self._finished = self._finished or (isinstance(choice, dict) and bool(finish_reason(choice)))
            hollow = body.pop("error", None)  # the official SDK takes a blank error's object for an error
            yield codec.encode(encodable(body)) if delta_for_message(body) or hollow else data

    def _body(self, data: bytes) -> tuple[dict[str, Any], bytes]:
        """Return an event's object, and its data as strict parsers take it."""
        strict = True
        try:
            try:
                body = strictly(data)
            except ValueError:
                body, strict = leniently(data), False
        except (ValueError, RecursionError) as exc:
            raise _NotJSONError from exc
        if isinstance(body, list) and len(body) == 1:
            body = body[0]  # Google's list
        if not isinstance(body, dict):
            raise _NotJSONError
        if self._halves or not strict:
            self._halves.join(body)
            data = codec.encode(encodable(body))
        return body, data


class _NotJSONError(ValueError):
    """The data of an event is no JSON object."""


def _ended_early() -> UpstreamError:
    return UpstreamError("The AI provider's answer was cut off: its stream ended before the answer did.", status=200)


def assembled(answer: Answer, call: Call, secrets: tuple[str, ...]) -> dict[str, Any]:
    """Return the completion in an answer that came as events although a whole one was wanted."""
    reader = StreamReader(answer.headers, call, secrets, Usage())
    found = list(reader.data(answer.body))
    if not reader.done:
        found += reader.end()
    return whole_of(strictly(data) for data in found if data)

"""Request and reply of /ai and stdio: parsed from bytes and encoded to bytes.

Source: CONTRACT, "POST /ai". HTTP statuses and streams belong to `sidecar/http`.
"""

import codecs
from sys import getsizeof
from typing import Final, Literal, get_args

import msgspec

from sidecar.core.errors import InvalidJSON, InvalidRequest, JobGoesOn, SidecarError, UnknownAction
from sidecar.core.late_pattern import late_pattern
from sidecar.core.long_text import PIECE, add_json
from sidecar.core.reach import Names

Action = Literal["chat", "summarize", "analyze"]
ACTIONS: Final[tuple[Action, ...]] = ("chat", "summarize", "analyze")
Format = Literal["html", "markdown", "text"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
LONGEST_USER: Final = 255
"""Characters of a user_id. Bounded because the id stays in memory as long as its user's cached answers."""

_HEADER: Final = 80
"""Bytes of a string object beside its characters."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request of the /ai shape, checked."""

    action: Action
    content: str
    context: str = ""
    """The text that the chat is about; may be blank."""
    user_id: str = ""
    """Moodle's id of the user; blank when the request names none."""
    format: Format | msgspec.UnsetType = msgspec.UNSET
    """The format of the caller's `data`; unset for the usual one. No part of what may be shared, nor of a job."""
    token: str | msgspec.UnsetType = msgspec.UNSET
    """Name of the token that came with the request, at which a job's tokens count; unset for the unnamed one.

    Unset, since the text of a job without the name is the one that earlier versions write.
    """
    providers: Names | msgspec.UnsetType = msgspec.UNSET
    """Names of the only providers that the token allows; unset for all. A job carries them to its worker."""
    trace: str | msgspec.UnsetType = msgspec.UNSET
    """The `traceparent` of a request that becomes a job, unset for none; no field of a caller's JSON."""

    @property
    def held(self) -> int:
        """Bytes of memory that the texts hold: after one emoji each character of its text takes four."""
        return sum(max(0, getsizeof(text) - _HEADER) for text in (self.content, self.context))


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One reply; exactly one of `data` and `error` is set.

    Those two have no default, so that both are always encoded: callers read either one without testing for its key.
    """

    success: bool
    data: str | None
    error: str | None
    code: str | None = None
    job_id: str | None = None
    """The job that continues the request, if there is one."""


# No containers: a list of millions of lists is refused at its first byte, before it is built.
_Plain = str | int | float | bool | None


class _Wire(msgspec.Struct):
    action: _Plain | msgspec.UnsetType = msgspec.UNSET
    content: _Plain | msgspec.UnsetType = msgspec.UNSET
    context: _Plain = None
    user_id: _Plain = None
    format: _Plain = None


_decoder: Final = msgspec.json.Decoder(_Wire)
_whole: Final = msgspec.json.Decoder(msgspec.Raw)
_FIELD: Final = late_pattern(r" - at `\$\.(\w+)`$")
_encoder: Final = msgspec.json.Encoder()
_STEP: Final = 2**18
"""Characters looked at in one call, in 1 ms."""


def parse_request(body: bytes) -> Request:
    """Return the request in `body`.

    Raises `InvalidJSON`, `InvalidRequest` or `UnknownAction`, each with a sentence that names the field.
    """
    wire = _decode(body)
    action = _text("action", wire.action, required=True)
    content = _text("content", wire.content, required=True)
    if action not in ACTIONS:
        raise UnknownAction
    return Request(
        action=action,
        content=content,
        context=_text("context", wire.context),
        user_id=_user(wire.user_id),
        format=format_in(wire.format),
    )


def of_token(request: Request, token: str, providers: Names | None) -> Request:
    """Return the request with the name of the token that it came with, and the providers that the token allows."""
    if not token:
        return request
    return msgspec.structs.replace(request, token=token, providers=providers or msgspec.UNSET)


def format_in(value: object) -> Format | msgspec.UnsetType:
    """Return the format that a request names, unset for none; raise `InvalidRequest` for an unknown one."""
    if value is None or value == "":
        return msgspec.UNSET
    for known in FORMATS:
        if value == known:
            return known
    raise InvalidRequest("The field format must be html, markdown or text.")


def _decode(body: bytes) -> _Wire:
    body = body.removeprefix(codecs.BOM_UTF8)
    try:
        try:
            return _decoder.decode(body)
        except msgspec.ValidationError as exc:
            _whole.decode(body)  # the rest of the body, behind the wrong field, may be invalid JSON
            if found := _FIELD.search(str(exc)):
                raise _wrong(found[1]) from exc
            raise InvalidJSON from exc
    except RecursionError as exc:
        raise InvalidJSON("The request is nested too deeply.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidJSON from exc


def _wrong(name: str) -> InvalidRequest:
    allowed = "a string, a number or null" if name == "user_id" else "a string"
    return InvalidRequest(f"The field {name} must be {allowed}.")


def _text(name: str, value: object, *, required: bool = False) -> str:
    if value is msgspec.UNSET or (value is None and required):
        raise InvalidRequest(f"The field {name} is missing.")
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(name)
    if not value or value.isspace():
        if required:
            raise InvalidRequest(f"The field {name} is blank.")
        return ""
    return value


def _user(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _wrong("user_id")
    name = value.strip() if isinstance(value, str) else str(value)
    if len(name) > LONGEST_USER:
        raise InvalidRequest(f"The field user_id is longer than {LONGEST_USER} characters.")
    return name


def answered(data: str) -> Reply:
    """Return the reply that carries an answer, written in the caller's format."""
    return Reply(success=True, data=sendable(data), error=None)


def failed(error: SidecarError) -> Reply:
    """Return the reply that carries a failure."""
    job_id = error.job_id if isinstance(error, JobGoesOn) else None
    return Reply(success=False, data=None, error=str(error), code=error.code, job_id=job_id)


def sendable(text: str) -> str:
    """Return text that PHP's decoder takes: surrogate pairs joined, lone ones replaced, NUL dropped."""
    if not _unsendable(text):
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole.replace("\x00", "")


def _unsendable(text: str) -> bool:
    if text.isascii():  # known of every string
        return "\x00" in text
    # In steps, between which other threads run: a long answer is looked at in the thread beside the loop.
    return any(_unsendable_part(text[at : at + _STEP]) for at in range(0, len(text), _STEP))


def _unsendable_part(text: str) -> bool:
    if "\x00" in text:
        return True
    try:
        text.encode()  # takes half of a pattern's time
    except UnicodeEncodeError:
        return True
    return False


def encode_reply(reply: Reply) -> bytes:
    """Encode the reply as one line of JSON, UTF-8, without a line end."""
    return bytes(reply_body(reply))


def reply_body(reply: Reply) -> bytes | bytearray:
    """Encode the reply as `encode_reply` does; a long one grows piece by piece, and is copied nowhere as a whole."""
    data = reply.data
    if data is None or len(data) <= PIECE:
        return _encoder.encode(reply)
    before, name, after = _encoder.encode(msgspec.structs.replace(reply, data="")).partition(b'"data":')
    whole = bytearray(before + name)
    add_json(whole, data)
    whole += after.removeprefix(b'""')
    return whole

"""Bodies of the jobs' routes: one request, a list of requests, or ids."""

import codecs
import re
from typing import Any, Final

import msgspec

from sidecar.core.contract import Format, Request, format_in, parse_request
from sidecar.core.errors import InvalidJSON, InvalidRequest, SidecarError
from sidecar.core.jobs import MOST_AT_ONCE

_ID: Final = re.compile(r"[!-~]{1,128}")

# A structure of so many fields refuses one entry more at its first byte; a list would first be built whole, and
# 64 MiB of JSON can be gigabytes of objects. Each entry is parsed by itself, so that a thread releases the GIL often.
_Entries: Final = msgspec.defstruct(
    "_Entries",
    [(f"e{number}", msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for number in range(MOST_AT_ONCE)],
    array_like=True,
    forbid_unknown_fields=True,
)
_Body: Final = msgspec.defstruct("_Body", [("jobs", _Entries | msgspec.UnsetType, msgspec.UNSET)])


class _StatusBody(msgspec.Struct):
    job_ids: Any = msgspec.UNSET
    format: Any = None


_decoder: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_Body)
_status_decoder: Final = msgspec.json.Decoder(_StatusBody)


class WrongEntry(InvalidRequest):
    """A list with a wrong entry: its index and its own error."""

    def __init__(self, index: int = 0, fault: SidecarError | None = None, *, of: str = "jobs") -> None:
        self.index = index
        """Counted from 0."""
        self.fault = fault or InvalidRequest()
        super().__init__(f"{of}[{index}]: {self.fault}")


def requests_in(body: bytes) -> Request | list[Request]:
    """Return the request in `body`, or those of its list, at least one.

    Raises `InvalidJSON`, `InvalidRequest`, `UnknownAction` or `WrongEntry`.
    """
    entries = _entries(body.removeprefix(codecs.BOM_UTF8))
    if entries is None:
        return parse_request(body)
    if not entries:
        raise InvalidRequest("The field jobs is empty.")
    return [_entry(index, bytes(entry)) for index, entry in enumerate(entries)]


def named(requests: list[Request], token: str) -> list[Request]:
    """Return the requests with the name of the token that they came with."""
    return [msgspec.structs.replace(request, token=token) for request in requests] if token else requests


def _entries(body: bytes) -> list[msgspec.Raw] | None:
    try:
        found = _decoder.decode(body).jobs
    except RecursionError as exc:
        raise InvalidJSON("The request is nested too deeply.") from exc
    except msgspec.ValidationError as exc:
        if "at most length" in str(exc):
            raise InvalidRequest(f"The field jobs has more than {MOST_AT_ONCE} entries.") from exc
        if "`$.jobs`" in str(exc):
            raise InvalidRequest("The field jobs must be a list of requests.") from exc
        raise InvalidJSON from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidJSON from exc
    if found is msgspec.UNSET:
        return None
    return [entry for entry in msgspec.structs.astuple(found) if entry is not msgspec.UNSET]


def _entry(index: int, body: bytes) -> Request:
    try:
        return parse_request(body)
    except SidecarError as exc:
        raise WrongEntry(index, exc) from exc


def ids_in(body: bytes) -> tuple[list[str], Format | msgspec.UnsetType]:
    """Return the ids in `body`, at least one, and the format of the results.

    Raises `InvalidJSON`, `InvalidRequest` or `WrongEntry`.
    """
    try:
        found = _status_decoder.decode(body.removeprefix(codecs.BOM_UTF8))
    except RecursionError as exc:
        raise InvalidJSON("The request is nested too deeply.") from exc
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidJSON from exc
    ids = found.job_ids
    if ids is msgspec.UNSET:
        raise InvalidRequest("The field job_ids is missing.")
    if not isinstance(ids, list):
        raise InvalidRequest("The field job_ids must be a list of ids.")
    if not ids:
        raise InvalidRequest("The field job_ids is empty.")
    if len(ids) > MOST_AT_ONCE:
        raise InvalidRequest(f"The field job_ids has more than {MOST_AT_ONCE} entries.")
    for index, name in enumerate(ids):
        if not isinstance(name, str) or not _ID.fullmatch(name):
            raise WrongEntry(index, InvalidRequest("This is not the id of a job."), of="job_ids")
    return ids, format_in(found.format)

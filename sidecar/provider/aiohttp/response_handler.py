"""Protocol of a connection to the provider, and its reader of bodies.

A body that breaks HTTP's rules in its middle fails at once: the library's own protocol notes the fault at the
connection alone, so that the body's reader would wait for its deadline.
"""

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_exceptions import HttpProcessingError

from sidecar.core.errors import UpstreamError
from sidecar.provider.connection_errors import broken_off, cut


class BrokenBody(ClientPayloadError):
    """A body that stopped being HTTP."""


class FailingResponseHandler(ResponseHandler):
    """The library's protocol, whose errors of parsing reach the body too."""

    def set_exception(self, exc: BaseException, *cause: BaseException) -> None:
        """Note the end of the connection's use, and of the body that it breaks off."""
        body = self._payload
        super().set_exception(exc, *cause)
        if isinstance(exc, HttpProcessingError) and body is not None and not body.is_eof():
            body.set_exception(BrokenBody())


class _Joining(StreamReader):
    """The library's reader of a body, which takes all that is here in one step.

    The library's own takes chunk by chunk and asks its connection for more after each, which is a third of a stream's
    cost where many events arrive at once.
    """

    __slots__ = ()

    def _read_nowait(self, n: int) -> bytes:
        buffer = self._buffer
        if n < 0 and len(buffer) > 1 and not self._buffer_offset:
            whole = b"".join(buffer)
            buffer.clear()
            buffer.append(whole)
        return super()._read_nowait(n)


def joining(payload: StreamReader) -> StreamReader:
    """Return the reader of a body, made one that joins: the library's parser makes no other class than its own."""
    if type(payload) is StreamReader:
        payload.__class__ = _Joining
    return payload


def body_failure(exc: Exception) -> UpstreamError:
    """Return the error for a body whose reading failed."""
    return broken_off() if isinstance(exc, BrokenBody) else cut()

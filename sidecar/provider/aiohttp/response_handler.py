"""Protocol of a connection to the provider: a body that breaks HTTP's rules in its middle fails at once.

The library's own notes the fault at the connection alone, so that the body's reader would wait for its deadline.
"""

from aiohttp import ClientPayloadError
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


def body_failure(exc: Exception) -> UpstreamError:
    """Return the error for a body whose reading failed."""
    return broken_off() if isinstance(exc, BrokenBody) else cut()

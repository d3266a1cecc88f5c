"""The requests of one connection, answered in the connection's own task, and whole responses written in one piece.

The library starts one more task for each request, so that its context variables are its own; nothing here has any. A
response of the library's goes through its writer's coroutines, which cost more than what they write.
"""

import asyncio
from typing import Any, Final

from aiohttp import HttpVersion11, StreamReader, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_writer import StreamWriter, _serialize_headers
from aiohttp.web_protocol import ERROR, RequestHandler, _ErrInfo

JOINED: Final = 64 * 1024
"""Bytes of a body that is copied behind its head, for one write."""
STEP: Final = 256 * 1024
"""Bytes of a body that is written at a time."""
_BODIES: Final = (bytes, bytearray)
_BODILESS: Final = frozenset({204, 205, 304})


class _Few(list[Any]):
    """Queue of the library's messages: nearly always one, and a deque takes ten times the memory of a short list."""

    __slots__ = ()

    def popleft(self) -> Any:
        return self.pop(0)


class OneTask(RequestHandler):
    """The library's connection, with a loop over requests and a writer of whole responses of its own."""

    __slots__ = ("_current_handler", "_final_body", "in_steps")
    _no_task: Any = None
    """The task that the library's request would hold: it is the connection's, and the reference would be a cycle."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._messages: Any = _Few()
        self._final_body: StreamReader | None = None
        """Body of the request that its caller has said to be the last, while it arrives."""
        self.in_steps = False
        """Flag: a long answer is being written."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The library's timer for idle connections begins after an answer; before, there is the time for headers.
        idle, self._keepalive_timeout = self._keepalive_timeout, 0.0
        super().connection_made(transport)
        self._keepalive_timeout = idle

    def data_received(self, data: bytes) -> None:
        """Parse what came; drop the parser behind a last request: with all that it read, 2 KB a waiting caller."""
        known = self._request_count
        super().data_received(data)
        if self._request_count != known:
            message, body = self._messages[-1]
            self._final_body = body if not isinstance(message, _ErrInfo) and message.should_close else None
        if self._final_body is not None and self._final_body.is_eof():
            self._parser = self._final_body = None

    async def start(self) -> None:
        """Answer requests until the connection ends."""
        try:
            while not self._force_close:
                if not self._messages:
                    await self._message()
                if (request := self._next_request()) is None:
                    break
                # One frame between the task and the application: each has 300 bytes for every caller that waits.
                outcome: web.StreamResponse | Exception
                try:
                    outcome = await self._current_handler(request)
                except Exception as exc:  # noqa: BLE001 - the connection's outermost
                    outcome = exc
                finally:
                    self._current_request = None
                if not await self._respond(request, outcome):
                    break
                del request, outcome
                if self._messages:
                    await asyncio.sleep(0)  # one caller's pipelined requests are not answered in one turn of the loop
        except BaseException:
            self.force_close()
            raise
        finally:
            self._answered()
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _message(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _next_request(self) -> web.BaseRequest | None:
        """Return the next request, and set its handler; None once the caller has left."""
        message, payload = self._messages.popleft()
        if self._parser is not None:
            self._parser.message_consumed()
        if self._buffer_paused and len(self._messages) <= self._msg_queue_resume_size:
            self._resume_reading_if_drained()
        manager, handler, factory = self._manager, self._request_handler, self._request_factory
        if manager is None or handler is None or factory is None:
            return None
        manager.requests_count += 1
        if isinstance(message, _ErrInfo):
            handler, message = self._make_error_handler(message), ERROR
        request = factory(message, payload, self, StreamWriter(self, self._loop), self._no_task)
        self._current_handler = handler
        self._current_request, self._request_in_progress = request, True
        return request

    def _answered(self) -> None:
        """Let a shutdown of the library's go on, which waits for the answer to the current request."""
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)

    async def _respond(self, request: web.BaseRequest, outcome: web.StreamResponse | Exception) -> bool:
        """Send the response, or the one to an error; return whether the connection is there for another request."""
        try:
            response = self.handle_error(request, 500, outcome) if isinstance(outcome, Exception) else outcome
            response, reset = await self.finish_response(request, response, None)
        except ConnectionError:
            return False
        except Exception as exc:  # noqa: BLE001 - the connection's outermost
            self.log_exception(exc_info=exc)
            self.force_close()
            return False
        finally:
            self._answered()
        self._keepalive = not reset and response.keep_alive is not False
        if not request.content.is_eof() and not self._force_close:
            self.close()
        if not self._keepalive or self._close or self._force_close:
            return False
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)
        return True

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response, or the rest of one; return it, and whether the caller has left."""
        if (body := self._write_whole(request, resp)) is not None:
            try:
                if len(body) > STEP:
                    self.in_steps = True
                    await self._write_in_steps(request, body)
                if self.writing_paused:  # the caller reads slowly, and the response is under way until it is read
                    await request.writer.drain()
            except ConnectionError:
                return resp, True
            finally:
                self.in_steps = False
            return resp, False
        return await super().finish_response(request, resp, start_time)

    def _write_whole(self, request: web.BaseRequest, response: web.StreamResponse) -> bytes | bytearray | None:
        """Write a whole response, of a long one the head, and return its body.

        Returns None for a response that the library has to write.
        """
        if type(response) is not web.Response or response.prepared or response.status in _BODILESS or self._upgraded:
            return None
        body = response.body
        if not isinstance(body, _BODIES) or request.version != HttpVersion11 or request.method == hdrs.METH_HEAD:
            return None
        if self.transport is None:
            return None
        headers = response.headers
        headers[hdrs.CONTENT_LENGTH] = str(len(body))
        headers[hdrs.DATE] = rfc822_formatted_time()
        if response.keep_alive is None and not request.keep_alive:
            response.force_close()
        if response.keep_alive is False:
            headers[hdrs.CONNECTION] = "close"
        head = _serialize_headers(f"HTTP/1.1 {response.status} {response.reason}", headers)
        if len(body) <= JOINED:
            self.transport.write(head + body)
        elif len(body) <= STEP:
            self.transport.writelines((head, body))
        else:
            self.transport.write(head)
        return body

    async def _write_in_steps(self, request: web.BaseRequest, body: bytes | bytearray) -> None:
        """Write a long body as the caller reads it: a transport copies what is left of a write.

        Raises `ConnectionError` once the caller has left.
        """
        view = memoryview(body)
        for at in range(0, len(body), STEP):
            if self.transport is None or self.transport.is_closing():
                raise ConnectionResetError
            self.transport.write(view[at : at + STEP])
            if self.writing_paused:
                await request.writer.drain()
            else:
                await asyncio.sleep(0)

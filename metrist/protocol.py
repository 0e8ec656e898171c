"""HTTP/1.1 with limits: the server's own parser would take headers of any size, at any pace."""

import asyncio
import json
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX_BYTES = 65_536
HEAD_WITHIN_S = 30.0


class Protocol(HttpToolsProtocol):
    """One connection; its request's head comes in time and in bounds, or the connection is closed."""

    _head_bytes = 0
    _arrived = 0
    _in_head = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._await_head()
        self._in_head = True

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._end_head()

    def data_received(self, data: bytes) -> None:
        self._arrived = len(data)
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_MAX_BYTES:
                self._refuse_size()

    def send_400_response(self, msg: str) -> None:
        if self._in_head and self._head_bytes + self._arrived > HEAD_MAX_BYTES:
            self._refuse_size()  # the parser takes no address above its own bound, which is the same
        else:
            self._refuse(HTTPStatus.BAD_REQUEST, "This is not HTTP/1.1")

    def _refuse_size(self) -> None:
        self._refuse(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
            f"Address and headers take at most {HEAD_MAX_BYTES} bytes together",
        )

    def _await_head(self) -> None:
        self._end_head()
        self._head_timer = self.loop.call_later(HEAD_WITHIN_S, self.transport.close)

    def _end_head(self) -> None:
        self._in_head, self._head_bytes = False, 0
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Answer without the application: there is no request yet to hand to it."""
        if self.transport.is_closing():
            return
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
        body = json.dumps(problem).encode()
        head = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

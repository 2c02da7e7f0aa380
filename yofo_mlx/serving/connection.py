"""One client's connection: what it may send and how long it may take, whether it is still there."""

import io
import json
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from yofo_mlx import __version__
from yofo_mlx.serving.refusals import Refusal, bad

MOST_BYTES = 4 * 1024 * 1024  # of a body
REQUEST_S = 30.0  # for a whole request to come, and for a client to read a piece of an answer
IDLE_S = 60.0  # between two requests
_DRAINED = 64 * 1024 * 1024  # bytes of a refused body that are read, so that the client hears why


class _Deadline(io.RawIOBase):
    """Bytes of a socket, all of which are to come before a point in time."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the request takes too long")
        self._connection.settimeout(left)
        count = self._connection.recv_into(buffer)
        self._connection.settimeout(REQUEST_S)
        return count


class Connection(BaseHTTPRequestHandler):
    """What all requests have in common."""

    protocol_version = "HTTP/1.1"
    server_version = f"yofo/{__version__}"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Read by a deadline: a client that sends a byte now and then holds nothing for long."""
        super().setup()
        self.rfile.close()
        self._deadline = _Deadline(self.connection)
        self.rfile = io.BufferedReader(self._deadline)

    def handle_one_request(self) -> None:
        """Answer a request; a client that is gone, or too slow, is left."""
        self._is_read, self._is_begun, self.command = True, False, ""
        self._deadline.until = time.monotonic() + IDLE_S
        try:
            super().handle_one_request()
        except (OSError, ValueError):  # a closed file is a ValueError
            self.close_connection = True

    def parse_request(self) -> bool:
        """Read the rest of the head, whose first line has come."""
        self._deadline.until = time.monotonic() + REQUEST_S
        is_sound = super().parse_request()
        if is_sound:
            has_none = self.headers.get("Content-Length", "0").strip() == "0"
            self._is_read = has_none and "Transfer-Encoding" not in self.headers
        return is_sound

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing: what clients ask is their own business."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Tell in JSON what the standard library refuses."""
        status = HTTPStatus(code)
        self.close_connection = True
        self.send_json(status, Refusal(status, message or status.phrase).body())

    @property
    def is_there(self) -> bool:
        """Tell whether the client still waits."""
        self.connection.settimeout(0)
        try:
            return bool(self.connection.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self.connection.settimeout(REQUEST_S)

    def body(self) -> bytes:
        """Return the body of the request."""
        self._is_read = False
        if "Transfer-Encoding" in self.headers or "Content-Length" not in self.headers:
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length")
        if (kind := self.headers.get_content_type()) != "application/json":
            wrong = f"the body is {kind}: send it as application/json"
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, wrong)
        length = self.headers["Content-Length"].strip()
        if not (length.isascii() and length.isdigit()):
            raise bad("Content-Length is no number")
        if int(length) > MOST_BYTES:
            wrong = f"the body has {int(length):,} bytes, and may have {MOST_BYTES:,}"
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, wrong)
        try:
            content = self.rfile.read(int(length))
        except TimeoutError as error:
            raise Refusal(HTTPStatus.REQUEST_TIMEOUT, "the body did not come in time") from error
        if len(content) < int(length):
            raise ConnectionAbortedError("the client left")
        self._is_read = True
        return content

    def send_json(
        self, status: HTTPStatus, content: Any, headers: Mapping[str, str] | None = None
    ) -> None:
        """Send an answer in one piece."""
        whole = json.dumps(content).encode()
        self._send_head(status, {"Content-Length": str(len(whole)), **(headers or {})})
        if self.command != "HEAD":
            self.wfile.write(whole)
        if not self._is_read:
            self._drain()

    def begin_stream(self, headers: Mapping[str, str]) -> None:
        """Begin an answer in pieces."""
        self._is_begun = True
        self._has_chunks = self.request_version == "HTTP/1.1"
        kind = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}
        framing = {"Transfer-Encoding": "chunked"} if self._has_chunks else {}
        self.close_connection = self.close_connection or not self._has_chunks
        self._send_head(HTTPStatus.OK, {**kind, **framing, **headers})

    @property
    def is_begun(self) -> bool:
        """Tell whether an answer in pieces has begun: its status cannot be changed any more."""
        return self._is_begun

    def send_event(self, content: Any) -> None:
        """Send a piece of a stream."""
        self._send_piece(f"data: {content if content == '[DONE]' else json.dumps(content)}\n\n")

    def send_comment(self, words: str) -> None:
        """Send what no client shows: it keeps a stream open while nothing is said."""
        self._send_piece(f": {words}\n\n")

    def end_stream(self) -> None:
        """Send the end of a stream."""
        if self._has_chunks:
            self.wfile.write(b"0\r\n\r\n")

    def _send_piece(self, text: str) -> None:
        whole = text.encode()
        if self._has_chunks:
            whole = f"{len(whole):x}\r\n".encode() + whole + b"\r\n"
        self.wfile.write(whole)

    def _send_head(self, status: HTTPStatus, headers: Mapping[str, str]) -> None:
        if self.request_version == "HTTP/0.9":  # which has no head: nobody speaks it any more
            self.request_version = "HTTP/1.0"
        self.send_response(status)
        if not self._is_read:
            self.close_connection = True
        closes = {"Connection": "close"} if self.close_connection else {}
        kind = {"Content-Type": "application/json", "X-Content-Type-Options": "nosniff"}
        for name, value in {**kind, **headers, **closes}.items():
            self.send_header(name, value)
        self.end_headers()

    def _drain(self) -> None:
        """Read some of what is refused: a client that still sends would not read why."""
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self._deadline.until = time.monotonic() + 2
            left = _DRAINED
            while left > 0 and (piece := self.rfile.read1(65536)):
                left -= len(piece)

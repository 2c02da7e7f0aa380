"""The HTTP server: a thread for each client, which waits there for the thread of the model."""

import queue
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import ThreadingHTTPServer
from secrets import randbits
from typing import Any
from urllib.parse import unquote

from yofo_mlx.errors import RecipeError
from yofo_mlx.serving import requests, responses
from yofo_mlx.serving.connection import Connection
from yofo_mlx.serving.conversations import conversation_of
from yofo_mlx.serving.engine import Engine
from yofo_mlx.serving.gate import Gate
from yofo_mlx.serving.jobs import Choosing, Event, Finished, Job, Labelled, Piece, Writing
from yofo_mlx.serving.models import Served
from yofo_mlx.serving.refusals import Refusal, bad, defect, refusal_of
from yofo_mlx.serving.sampling import Sampling
from yofo_mlx.system.text import shorten

_LOOK_S = 0.5  # between two looks whether a client is still there
_SILENT_S = 10.0  # after which a stream says that it is open
_MOST_CONNECTIONS = 512


@dataclass(frozen=True)
class Offered:
    """What a server offers."""

    models: Mapping[str, Served]  # by all the names that they may be asked by
    most_tokens: int  # of an answer

    @property
    def names(self) -> list[str]:
        """Return the names that are listed, each model by its own."""
        return list(dict.fromkeys(one.name for one in self.models.values()))

    def find(self, name: str) -> Served:
        """Return what answers to a name; the first one where a request says none."""
        if not name:
            return next(iter(self.models.values()))
        if name not in self.models:
            wrong = f"there is no model {shorten(name, 80)!r}: there are {', '.join(self.names)}"
            raise Refusal(
                HTTPStatus.NOT_FOUND, shorten(wrong, 1000), code="model_not_found", param="model"
            )
        return self.models[name]


class Server(ThreadingHTTPServer):
    """Listens for clients."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    offered: Offered

    def __init__(self, host: str, port: int, *, engine: Engine, gate: Gate) -> None:
        """Listen at once; once it has what to offer, `serve_forever` answers."""
        self.engine, self.gate = engine, gate
        self.created = int(time.time())
        self._connections = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._busy, self._changed = 0, threading.Condition()
        try:
            (self.address_family, *_, address), *_ = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
            super().__init__((str(address[0]), port), Handler)
        except (OSError, OverflowError) as error:
            raise RecipeError(
                f"cannot listen on {host}, port {port}: {error}", "give another --port, or 0: any"
            ) from error

    @property
    def url(self) -> str:
        """Return where clients find it."""
        host = self.server_name
        name = f"[{host}]" if self.address_family == socket.AF_INET6 else host
        return f"http://{name}:{self.server_port}/v1"

    def server_bind(self) -> None:
        """Bind without asking a name server who this is."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a client a thread; too many at once are turned away."""
        if not self._connections.acquire(blocking=False):
            with suppress(OSError):
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\n")
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer a client."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Show a defect; clients that leave are none."""
        if not isinstance(sys.exception(), OSError):
            traceback.print_exc()

    def count(self, change: int) -> None:
        """Note that a request begins (1) or is answered (-1)."""
        with self._changed:
            self._busy += change
            self._changed.notify_all()

    def wait_until_answered(self, seconds: float) -> None:
        """Wait until all that was asked is sent, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._busy, seconds)


class Handler(Connection):
    """Answers the requests of one client."""

    server: Server

    def do_GET(self) -> None:
        """Answer what costs nothing."""
        self._guarded(self._get)

    do_HEAD = do_GET

    def do_POST(self) -> None:
        """Answer what the model has to be asked for."""
        self._guarded(self._post)

    def do_OPTIONS(self) -> None:
        """Tell a browser what a page may ask."""
        self._guarded(lambda: self._send({}))

    def _guarded(self, answer: Any) -> None:
        """Answer whoever may ask; whatever goes wrong becomes an answer."""
        self.server.count(1)
        try:
            self.server.gate.check(self.headers)
            if self.command != "OPTIONS" and self.path != "/health":
                self.server.gate.check_key(self.headers)
            answer()
        except OSError:
            raise
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                traceback.print_exc()
                refusal = defect()
            self._refuse(refusal)
        finally:
            self.server.count(-1)

    def _refuse(self, refusal: Refusal) -> None:
        if self.is_begun:
            self.send_event(refusal.body())
            self.end_stream()
            return
        headers = {**self.server.gate.allowed(self.headers), **refusal.headers}
        self.send_json(refusal.status, refusal.body(), headers)

    def _send(self, content: Any) -> None:
        self.send_json(HTTPStatus.OK, content, self.server.gate.allowed(self.headers))

    def _get(self) -> None:
        path, server = self.path.partition("?")[0], self.server
        if path == "/health":
            self._send({"status": "ok"})
        elif path == "/v1/models":
            self._send(responses.models(server.offered.names, server.created))
        elif path.startswith("/v1/models/"):
            served = server.offered.find(unquote(path.removeprefix("/v1/models/")))
            self._send(responses.model(served.name, server.created))
        else:
            raise _no_such(path)

    def _post(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/v1/chat/completions":
            chat = requests.parse(requests.ChatRequest, self.body())
            self._write(chat, conversation_of(chat.messages), "chat")
        elif path == "/v1/completions":
            completion = requests.parse(requests.CompletionRequest, self.body())
            self._write(completion, completion.text, "text")
        elif path == "/v1/classify":
            self._classify(requests.parse(requests.ClassifyRequest, self.body()))
        else:
            raise _no_such(path)

    def _write(self, wanted: requests.Generation, asked: Any, kind: Any) -> None:
        offered = self.server.offered
        served = offered.find(wanted.model)
        most = wanted.most_tokens or min(requests.MAX_TOKENS, offered.most_tokens)
        if most > offered.most_tokens:
            wrong = f"an answer may have {offered.most_tokens} tokens (`--max-tokens`), not {most}"
            raise bad(wrong, "max_tokens")
        seed = randbits(62) if wanted.seed is None else wanted.seed
        job = Writing(
            served,
            asked=asked,
            max_tokens=most,
            sampling=Sampling(wanted.temperature, wanted.top_p, seed),
            stops=wanted.stops,
            alternatives=wanted.alternatives,
        )
        reply = responses.Reply(kind, served.name, wanted.alternatives is not None)
        events = self._events(job)
        if wanted.stream:
            self._stream(reply, events, tells_usage=wanted.stream_options.include_usage)
            return
        for event in events:
            if isinstance(event, Piece):
                reply.pieces.append(event)
            elif isinstance(event, Finished):
                self._send(reply.whole(event.reason, event.usage))

    def _stream(
        self, reply: responses.Reply, events: Iterator[Event | None], *, tells_usage: bool
    ) -> None:
        """Send an answer as it is written; None among events: nothing has come for a while."""
        for event in events:
            if not self.is_begun:
                self.begin_stream(self.server.gate.allowed(self.headers))
                for content in reply.begin():
                    self.send_event(content)
            if event is None:
                self.send_comment("open")
            elif isinstance(event, Piece):
                self.send_event(reply.piece(event))
            elif isinstance(event, Finished):
                self.send_event(reply.end(event.reason))
                if tells_usage:
                    self.send_event(reply.used(event.usage))
                self.send_event("[DONE]")
                self.end_stream()

    def _classify(self, wanted: requests.ClassifyRequest) -> None:
        served = self.server.offered.find(wanted.model)
        found: list[Labelled] = []
        for event in self._events(Choosing(served, texts=wanted.texts, labels=wanted.labels)):
            if isinstance(event, Labelled):
                found.append(event)
            elif isinstance(event, Finished):
                self._send(responses.classification(served.name, found, event.usage))

    def _events(self, job: Job) -> Iterator[Event | None]:
        """Yield what comes of a job, to its end; it ends as well when its client leaves."""
        self.server.engine.submit(job)
        try:
            event: Event | None = None
            said = time.monotonic()
            while not isinstance(event, Finished):
                try:
                    event = job.events.get(timeout=_LOOK_S)
                except queue.Empty:
                    if not self.is_there:
                        raise ConnectionAbortedError("the client left") from None
                    if time.monotonic() - said < _SILENT_S:
                        continue
                    event = None
                if isinstance(event, Refusal):
                    raise event
                said = time.monotonic()
                yield event
        finally:
            job.leave()


def _no_such(path: str) -> Refusal:
    wrong = f"there is nothing at {shorten(path, 100)}"
    return Refusal(HTTPStatus.NOT_FOUND, wrong, code="unknown_url")

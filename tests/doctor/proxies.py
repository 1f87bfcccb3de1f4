"""A proxy that spoils what passes through it, as those in front of a router do now and then."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from typing import Any

import httpx2

KEPT = ("content-type", "date", "x-content-type-options", "content-security-policy", "referrer-policy")
ANSWERS_WITHIN_S = 60.0


class Proxy(ThreadingHTTPServer):
    """Passes everything on to the first of *upstreams*; what may go wrong is switched on by its fields."""

    daemon_threads = True

    def __init__(self, upstreams: Sequence[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstreams = upstreams
        self.http = httpx2.Client(timeout=ANSWERS_WITHIN_S, trust_env=False)
        self.buffers = False
        self.headers: dict[str, str] = {}  # set on every answer
        self.without: tuple[str, ...] = ()  # headers that are dropped
        self.changed: Callable[[dict[str, Any]], dict[str, Any]] = lambda body: body  # JSON objects
        self.answers: dict[str, tuple[int, bytes]] = {}  # in the upstream's place, by path
        self.key = ""  # put into every request
        self.cuts_after: int | None = None  # events of a stream
        self.scatters = False  # a session's later turns go to the second upstream
        self._seen: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def upstream(self, body: bytes) -> str:
        if not self.scatters or not body:
            return self.upstreams[0]
        session = json.loads(body).get("session_id", "")
        known = session in self._seen
        self._seen.add(session)
        return self.upstreams[known]


class _Handler(BaseHTTPRequestHandler):
    server: Proxy

    def _pass(self) -> None:
        proxy, length = self.server, int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if self.path in proxy.answers:
            self._answer(*proxy.answers[self.path], {"content-type": "text/html"})
            return
        forwarded = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
        if proxy.key:
            forwarded["Authorization"] = f"Bearer {proxy.key}"
        url = proxy.upstream(body) + self.path
        with proxy.http.stream(self.command, url, content=body, headers=forwarded) as response:
            if "event-stream" in response.headers.get("content-type", "") and not proxy.buffers:
                self._head(response.status_code, dict(response.headers))
                for part in islice(response.iter_raw(), proxy.cuts_after):
                    self.wfile.write(part)
                return
            self._answer(response.status_code, self._spoilt(response.read()), dict(response.headers))

    def _spoilt(self, body: bytes) -> bytes:
        try:
            told = json.loads(body)
        except ValueError:
            return body
        return json.dumps(self.server.changed(told)).encode()

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, headers | {"content-length": str(len(body))})
        self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response_only(status)
        told = {name: value for name, value in headers.items() if name in (*KEPT, "content-length")}
        for name, value in (told | self.server.headers).items():
            if name not in self.server.without:
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()
        self.close_connection = True

    do_GET = do_POST = do_DELETE = _pass  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def a_proxy(*upstreams: str) -> Iterator[Proxy]:
    with Proxy(upstreams) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,), name="proxy")
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
            proxy.http.close()

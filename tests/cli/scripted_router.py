"""Something at an address that answers as a test says, and remembers what it was asked."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


class Reply(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]


class ScriptedRouter(ThreadingHTTPServer):
    """Answers what is scripted for a method and path, else the answer for everything; at first a 404 of a router's."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self._scripted: dict[tuple[str, str], list[Reply]] = {}
        self.asked: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.keys: set[str | None] = set()
        self.refuses(404, "not_found", "Not Found; see /docs for what there is")
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,))
        self._thread.start()

    def leave(self) -> None:
        """From now on nobody is there."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
            self.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answers(self, status: int, body: Any, method: str = "", path: str = "", **headers: str) -> None:
        """From now on; with *method* and *path* only there."""
        self._scripted[method, path] = [_reply(status, body, headers)]

    def answers_in_turn(self, method: str, path: str, *bodies: Any) -> None:
        """Each once, the last for ever."""
        self._scripted[method, path] = [_reply(200, body, {}) for body in bodies]

    def refuses(self, status: int, code: str, message: str, **headers: str) -> None:
        self.answers(status, {"success": False, "error_code": code, "error_message": message}, **headers)

    def next_reply(self, method: str, path: str) -> Reply:
        replies = self._scripted.get((method, path)) or self._scripted["", ""]
        return replies.pop(0) if len(replies) > 1 else replies[0]


def _reply(status: int, body: Any, headers: dict[str, str]) -> Reply:
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, encoded, {name.replace("_", "-"): value for name, value in headers.items()})


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedRouter

    def _answer(self) -> None:
        sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.server.asked.append((self.command, self.path))
        self.server.bodies.append(json.loads(sent) if sent else None)
        self.server.keys.add(self.headers["Authorization"])
        reply = self.server.next_reply(self.command, self.path.partition("?")[0])
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    do_GET = do_POST = do_DELETE = do_PATCH = _answer  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def a_scripted_router(port: int = 0) -> Iterator[ScriptedRouter]:
    server = ScriptedRouter(port)
    try:
        yield server
    finally:
        server.leave()

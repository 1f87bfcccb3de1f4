"""A server that behaves as Grafana's API does for the calls that we make. It is no Grafana."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_right"
VIEWER = "glsa_may_only_look"
Json = dict[str, Any]
Answer = tuple[HTTPStatus, Any]


@dataclass
class FakeGrafana:
    """What is stored, and how to play the person who changes it by hand."""

    url: str = ""
    below: str = ""  # the path that comes before all of its own
    boards: dict[str, Json] = field(default_factory=dict)
    versions: dict[str, list[Json]] = field(default_factory=dict)  # by uid, the latest first
    folders: list[Json] = field(default_factory=list)
    folder_of: dict[str, str] = field(default_factory=dict)
    overtaken: bool = False  # somebody saves between our look and our save
    provisioned: bool = False
    plain_lists: bool = False  # as Grafana told versions before 11

    def save(self, board: Json, message: str = "") -> int:
        """As a person does in the browser; keys come back sorted, as from Grafana."""
        uid, version = board["uid"], len(self.versions.get(board["uid"], [])) + 1
        self.boards[uid] = json.loads(json.dumps({**board, "id": 7, "version": version}, sort_keys=True))
        self.versions.setdefault(uid, []).insert(0, {"version": version, "message": message})
        return version

    def change_by_hand(self, uid: str) -> None:
        self.save({**self.boards[uid], "title": "mine"})

    def answer(self, method: str, path: str, token: str, body: Json) -> Answer:
        if not path.startswith(self.below):
            return HTTPStatus.NOT_FOUND, {"message": "Not found"}
        path = path.removeprefix(self.below)
        if path == "/api/health":
            return HTTPStatus.OK, {"database": "ok", "version": "simulated"}
        if token not in (TOKEN, VIEWER):
            return HTTPStatus.UNAUTHORIZED, {"message": "Invalid API key"}
        if method == "POST" and token == VIEWER:
            return HTTPStatus.FORBIDDEN, {"message": "You'll need additional permissions"}
        return self._allowed(method, path, body)

    def _allowed(self, method: str, path: str, body: Json) -> Answer:
        if path == "/api/folders":
            return HTTPStatus.OK, self._new_folder(body) if method == "POST" else self.folders
        if path == "/api/dashboards/db" and method == "POST":
            return self._stored(body)
        uid, _, rest = path.removeprefix("/api/dashboards/uid/").partition("/")
        if uid not in self.boards:
            return HTTPStatus.NOT_FOUND, {"message": "Dashboard not found"}
        if rest == "versions":
            told = self.versions[uid]
            return HTTPStatus.OK, told if self.plain_lists else {"continueToken": "", "versions": told}
        return HTTPStatus.OK, {"meta": {"version": self.boards[uid]["version"]}, "dashboard": self.boards[uid]}

    def _new_folder(self, body: Json) -> Json:
        self.folders.append({"uid": f"f{len(self.folders)}", "title": body["title"]})
        return self.folders[-1]

    def _stored(self, body: Json) -> Answer:
        board, uid = body["dashboard"], body["dashboard"]["uid"]
        if self.provisioned:
            return HTTPStatus.BAD_REQUEST, {"message": "Cannot save provisioned dashboard"}
        if self.overtaken:
            self.change_by_hand(uid)
        known = self.boards.get(uid)
        if known and not body["overwrite"] and board.get("version") != known["version"]:
            told = {"status": "version-mismatch", "message": "The dashboard has been changed by someone else"}
            return HTTPStatus.PRECONDITION_FAILED, told
        self.folder_of[uid] = body["folderUid"]
        return HTTPStatus.OK, {"status": "success", "uid": uid, "version": self.save(board, body["message"])}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    grafana: FakeGrafana
    content_type: str
    page: str


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._reply("GET")

    def do_POST(self) -> None:
        self._reply("POST")

    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""

    def _reply(self, method: str) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, told = self.server.grafana.answer(method, self.path.partition("?")[0], token, body)
        data = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


class _Stranger(_Handler):
    def _reply(self, method: str) -> None:
        data = self.server.page.encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.server.content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def a_grafana() -> Iterator[FakeGrafana]:
    with _serving(_Handler) as server:
        server.grafana.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield server.grafana


@contextmanager
def a_stranger(content_type: str, page: str) -> Iterator[str]:
    """Something else than a Grafana, which answers everything with this *page*."""
    with _serving(_Stranger) as server:
        server.content_type, server.page = content_type, page
        yield f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def _serving(handler: type[_Handler]) -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), handler) as server:
        server.grafana = FakeGrafana()
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()

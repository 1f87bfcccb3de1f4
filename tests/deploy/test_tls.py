"""docker/nginx.conf in a real nginx: HTTPS outside, nothing held back, metrics for the inside only."""

import os
import re
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread

import pytest
from benchmarks.nginx import find_nginx

from smart_router.cli.processes import Server, all_running, free_port
from tests.deploy.composed import ROOT, services
from tests.needs import missing

CONFIGURATION = (ROOT / "docker" / "nginx.conf").read_text()
WITHIN_S = 30.0


class Upstream(ThreadingHTTPServer):
    """Stands for the router: its stream's second part waits for the test, and it tells when half an upload has come."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.first_was_read, self.half_has_come = Event(), Event()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Upstream

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Host-Was", self.headers["Host"])
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(b"data: one\n\n")
        if self.path == "/stream":
            assert self.server.first_was_read.wait(WITHIN_S)
        self._chunk(b"data: two\n\n")
        self._chunk(b"")

    def do_POST(self) -> None:
        half = int(self.headers["Content-Length"]) // 2
        self.rfile.read(half)
        self.server.half_has_come.set()
        self.rfile.read(half)
        self.send_response(204)
        self.end_headers()

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def nginx_program() -> str:
    return find_nginx() or missing("no nginx: install it, or run scripts/install_servers.sh as root")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made by the very command that the documentation gives for trying it out."""
    folder = tmp_path_factory.mktemp("certs")
    (command,) = re.findall(r"^\$ (openssl req .*)$", (ROOT / "docs" / "deployment.md").read_text(), re.MULTILINE)
    (folder / "docker" / "certs").mkdir(parents=True)
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, capture_output=True)
    return folder / "docker" / "certs"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def door(nginx_program: str, certificates: Path, upstream: Upstream, tmp_path: Path) -> Iterator[int]:
    """The port of an nginx with our configuration, where only places differ."""
    port, plain = free_port(), free_port()
    here = {
        "/tmp/": f"{tmp_path}/",
        "router:8001": f"127.0.0.1:{upstream.server_port}",
        "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl; listen 127.0.0.1:{plain};",
        "/certs/": f"{certificates}/",
        "events {": f"{_user()}\ndaemon off;\nevents {{",
    }
    text = CONFIGURATION
    for there, place in here.items():
        assert there in text
        text = text.replace(there, place)
    (tmp_path / "nginx.conf").write_text(text)
    command = [nginx_program, "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")]
    with all_running([Server(command, plain, "/livez")]):
        yield port


def _user() -> str:
    """nginx started by root would leave its workers no right to the test's folders."""
    return "user root;" if os.getuid() == 0 else ""


@contextmanager
def asking(port: int, certificates: Path) -> Iterator[HTTPConnection]:
    context = ssl.create_default_context(cafile=str(certificates / "fullchain.pem"))
    connection = HTTPSConnection("localhost", port, timeout=WITHIN_S, context=context)
    try:
        yield connection
    finally:
        connection.close()


def get(connection: HTTPConnection, path: str) -> HTTPResponse:
    connection.request("GET", path)
    return connection.getresponse()


def test_the_router_answers_by_https_under_the_name_that_was_asked_for(door: int, certificates: Path) -> None:
    with asking(door, certificates) as connection:
        response = get(connection, "/livez")
        assert (response.status, response.headers["Host-Was"]) == (200, "localhost")
        assert response.read() == b"data: one\n\ndata: two\n\n"


def test_a_part_of_a_stream_arrives_before_the_next_one_exists(
    door: int, certificates: Path, upstream: Upstream
) -> None:
    with asking(door, certificates) as connection:
        response = get(connection, "/stream")
        assert response.read1() == b"data: one\n\n"
        upstream.first_was_read.set()
        assert response.read() == b"data: two\n\n"


def test_an_upload_reaches_the_router_while_it_is_being_sent(door: int, certificates: Path, upstream: Upstream) -> None:
    half = b"x" * 2_000_000  # more than nginx takes unless told
    with asking(door, certificates) as connection:
        connection.putrequest("POST", "/route")
        connection.putheader("Content-Length", str(2 * len(half)))
        connection.endheaders(half)
        assert upstream.half_has_come.wait(WITHIN_S)
        connection.send(half)
        assert connection.getresponse().status == 204


def test_metrics_are_not_shown_outside(door: int, certificates: Path) -> None:
    with asking(door, certificates) as connection:
        assert get(connection, "/metrics").status == 404


@pytest.mark.parametrize("mode", ["standard", "realtime"])
def test_compose_gives_nginx_the_files_and_the_port_of_its_configuration(mode: str) -> None:
    service = services(mode)["tls"]
    assert service["ports"] == ["443:8443"]
    assert "listen 8443 ssl;" in CONFIGURATION
    assert service["volumes"] == ["./docker/nginx.conf:/etc/nginx/nginx.conf:ro", "./docker/certs:/certs:ro"]
    assert set(re.findall(r"^\s*ssl_certificate(?:_key)? /certs/(.*);$", CONFIGURATION, re.MULTILINE)) == {
        "fullchain.pem",
        "privkey.pem",
    }
    assert (
        services(mode, TLS_CERTS="/etc/letsencrypt/live/x")["tls"]["volumes"][1] == "/etc/letsencrypt/live/x:/certs:ro"
    )

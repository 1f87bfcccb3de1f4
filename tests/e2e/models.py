"""Three simulated model servers, as the shipped registry wants them, and what they can tell afterwards."""

import json
import os
import re
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BufferedIOBase
from typing import Any

import httpx2

from smart_router.simulate import FaultName, Kind, SimulatedModel, running
from tests.upstream.scripted import HANG_UP, RESET, STALL, Step, answer, completion

AGENT = "Qwen/Qwen2.5-7B-Instruct"
MULTIMODAL = "Qwen/Qwen2.5-VL-7B-Instruct"
AUDIO = "Qwen/Qwen2-Audio-7B"
KINDS: Mapping[str, Kind] = {AGENT: "text", MULTIMODAL: "image", AUDIO: "any"}
SERVED_AS = {AGENT: "served/agent", MULTIMODAL: 'served "pictures" \\ größer', AUDIO: "served/audio"}  # by a recorder
COMPLETION: bytes = answer(200, completion())
SOON_S = 20.0
POLL_S = 0.02


@dataclass(frozen=True)
class ModelServer:
    """One simulated server, seen from outside."""

    id: str
    url: str
    http: httpx2.Client

    def requests(self) -> list[dict[str, Any]]:
        """The requests it got that had a body, the latest last: method, path, headers, body."""
        told: list[dict[str, Any]] = self.http.get(f"{self.url}/simulate/requests").json()["requests"]
        return told

    def received(self) -> list[dict[str, Any]]:
        """The bodies of the requests it got, the latest last."""
        return [request["body"] for request in self.requests()]

    def fail(self, fault: FaultName, count: int | None = None) -> None:
        self.http.post(f"{self.url}/simulate/faults", json={"fault": fault, "count": count}).raise_for_status()

    def reset(self) -> None:
        self.http.delete(f"{self.url}/simulate/faults").raise_for_status()
        self.http.delete(f"{self.url}/simulate/requests").raise_for_status()

    def running(self) -> float:
        """How many requests it is working on."""
        found = re.search(r"^vllm:num_requests_running{[^}]*} (\S+)$", self.http.get(f"{self.url}/metrics").text, re.M)
        assert found
        return float(found[1])

    def wait_for_running(self, count: int) -> None:
        """Within twenty seconds, or the test fails."""
        deadline = time.monotonic() + SOON_S
        while (now := self.running()) != count:
            assert time.monotonic() < deadline, f"{self.id} is working on {now} requests, not on {count}"
            time.sleep(POLL_S)


@dataclass(frozen=True)
class Models:
    agent: ModelServer
    multimodal: ModelServer
    audio: ModelServer

    @property
    def all(self) -> tuple[ModelServer, ...]:
        return (self.agent, self.multimodal, self.audio)

    @property
    def endpoints(self) -> dict[str, list[str]]:
        return {server.id: [server.url] for server in self.all}

    def requests(self) -> int:
        """How many requests reached any of them."""
        return sum(len(server.received()) for server in self.all)

    def reset(self) -> None:
        for server in self.all:
            server.reset()


@contextmanager
def three_models(**options: Any) -> Iterator[Models]:
    with ExitStack() as stack:
        http = stack.enter_context(httpx2.Client(timeout=5, trust_env=False))
        urls = {
            id: stack.enter_context(running(SimulatedModel(id, kind, ttft_ms=0, tokens_per_second=0, **options)))
            for id, kind in KINDS.items()
        }
        yield Models(*(ModelServer(id, url, http) for id, url in urls.items()))


@dataclass
class Taken:
    """One request as it came; the body grows until it is *whole*."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    whole: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def header(self, name: str) -> str:
        """All values of *name*, joined; empty when there is none."""
        return ", ".join(value for its, value in self.headers if its == name)


@dataclass
class Recorder:
    """A model server that keeps requests byte for byte, and answers with the bytes that a test told it to."""

    url: str
    requests: list[Taken] = field(default_factory=list)  # without probes of its health
    script: Callable[[Taken], Iterable[Step]] = field(default=lambda _: [COMPLETION])
    closed: threading.Event = field(default_factory=threading.Event)  # set once a connection was given up

    def tell(self, *steps: Step) -> None:
        """Answer every request with *steps*."""
        self.script = lambda _: steps

    def reset(self) -> None:
        self.requests.clear()
        self.closed.clear()
        self.tell(COMPLETION)

    @property
    def last(self) -> Taken:
        assert self.requests, "no request reached the model server"
        return self.requests[-1]

    def wait_for(self, holds: Callable[["Recorder"], bool], what: str) -> None:
        """Within twenty seconds, or the test fails."""
        deadline = time.monotonic() + SOON_S
        while not holds(self):
            assert time.monotonic() < deadline, f"the model server still waits for {what}"
            time.sleep(POLL_S)


_PROBES = {"/health": b"", "/metrics": b"", "/is_sleeping": b'{"is_sleeping": false}', "/v1/models": b'{"data": []}'}


@contextmanager
def a_recorder() -> Iterator[Recorder]:
    with _Listening(("127.0.0.1", 0), _Connection) as server:
        server.recorder = Recorder(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="recorder", daemon=True)
        thread.start()
        try:
            yield server.recorder
        finally:
            server.shutdown()
            thread.join()


class _Listening(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 64
    recorder: Recorder


class _Connection(socketserver.StreamRequestHandler):
    server: _Listening

    def handle(self) -> None:
        try:
            while self._exchange(self.server.recorder):
                pass
        except (ConnectionError, EOFError):
            self.server.recorder.closed.set()

    def _exchange(self, recorder: Recorder) -> bool:
        """One request and its answer; False when the connection is over."""
        taken = _read_head(self.rfile)
        if taken is None:
            return False
        if taken.method == "GET" and taken.path in _PROBES:  # on connections of their own, so that none is reused
            self.wfile.write(answer(200, _PROBES[taken.path], Connection="close"))
            return False
        recorder.requests.append(taken)
        _read_body(self.rfile, taken)
        for step in recorder.script(taken):
            if step is HANG_UP:
                return False
            if step is RESET:
                _reset(self.connection)
                return False
            if step is STALL:
                self.rfile.read(1)  # until the client leaves
                recorder.closed.set()
                return False
            assert isinstance(step, bytes)
            self.wfile.write(step)
        return True


def _reset(connection: socket.socket) -> None:
    """Close without goodbye."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os.close(connection.detach())


def _read_head(stream: BufferedIOBase) -> Taken | None:
    first = stream.readline().decode("latin-1")
    if not first:
        return None
    method, target, _ = first.split(" ", 2)
    headers = []
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers.append((name.lower(), value.strip()))
    return Taken(method, target, tuple(headers))


def _read_body(stream: BufferedIOBase, taken: Taken) -> None:
    """
    Raises:
        EOFError: the client left before its end.
    """
    if taken.header("transfer-encoding") != "chunked":
        _take(stream, int(taken.header("content-length") or "0"), taken)
    else:
        while size := int(stream.readline() or _gone(), 16):
            _take(stream, size, taken)
            stream.readline()
        stream.readline()
    taken.whole = True


def _take(stream: BufferedIOBase, size: int, taken: Taken) -> None:
    while size:
        data = stream.read1(min(size, 65_536))
        taken.body += data or _gone()
        size -= len(data)


def _gone() -> bytes:
    raise EOFError


def texts(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Role and text of every message in a chat request."""
    return [(message["role"], _text(message["content"])) for message in body["messages"]]


def parts(body: Mapping[str, Any], type: str) -> list[dict[str, Any]]:
    """The content parts of one type in the last message."""
    content = body["messages"][-1]["content"]
    return [part for part in content if part["type"] == type] if isinstance(content, list) else []


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return " ".join(part["text"] for part in content if part["type"] == "text")

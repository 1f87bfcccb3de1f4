"""A whole router on a real socket, and a client that talks to it."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import uvicorn
import yaml

from smart_router.api.server import SECURITY_HEADERS, HttpProtocol
from smart_router.app import create_app
from smart_router.settings import Settings

from .asking import CHAT, a_session, saying

SHIPPED_REGISTRY = Path(__file__).parents[2] / "config" / "model_registry.yaml"
BODY_LIMIT = 1024 * 1024
KEY = "sk-Correct.Horse-Battery_Staple"  # of routers that ask for one
READY_WITHIN_S = 30.0
POLL_S = 0.02
SOON_S = 20.0
_OURS = {name.upper() for name in Settings.model_fields} | {"PORT"}


@dataclass(frozen=True)
class Router:
    url: str
    http: httpx2.Client

    def route(self, query: str, **fields: Any) -> httpx2.Response:
        return self.http.post("/route", json={"query": query, **fields})

    def answer(self, query: str, **fields: Any) -> dict[str, Any]:
        """The record of an answer that must be a 200."""
        response = self.route(query, **fields)
        assert response.status_code == 200, response.text
        record: dict[str, Any] = response.json()
        return record

    def classify(self, query: str, **fields: Any) -> httpx2.Response:
        return self.http.post("/classify", json={"query": query, **fields})

    def post(self, path: str, body: Any, *, session: str | None = None, **headers: str) -> httpx2.Response:
        """*body* to one of the OpenAI-style paths, in a session that no other test uses unless one is named."""
        headers = {"X-Session-ID": session or a_session()} | headers
        if isinstance(body, bytes):
            return self.http.post(path, content=body, headers={"Content-Type": "application/json"} | headers)
        return self.http.post(path, json=body, headers=headers)

    def chat(
        self, said: str | Sequence[Mapping[str, Any]], *, session: str | None = None, **fields: Any
    ) -> httpx2.Response:
        return self.post(CHAT, saying(said, **fields), session=session)

    def chatted(
        self, said: str | Sequence[Mapping[str, Any]], *, session: str | None = None, **fields: Any
    ) -> httpx2.Response:
        """The same, where the answer must be a 200."""
        response = self.chat(said, session=session, **fields)
        assert response.status_code == 200, response.text
        return response

    def session(self, id: str) -> dict[str, Any]:
        response = self.http.get(f"/sessions/{id}")
        assert response.status_code == 200, response.text
        record: dict[str, Any] = response.json()
        return record

    def knows(self, id: str) -> bool:
        status = self.http.get(f"/sessions/{id}").status_code
        assert status in (200, 404)
        return status == 200

    def get(self, path: str) -> Any:
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return response.json()

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


def environment(**ours: str) -> dict[str, str]:
    """This process's environment with no other settings of the router's than *ours*."""
    foreign = (name for name in os.environ if name not in _OURS and not name.startswith(("VLLM_", "OTEL_")))
    theirs = {name: os.environ[name] for name in foreign}
    return theirs | ours


def a_registry(
    folder: Path, endpoints: Mapping[str, Sequence[str]], changed: Mapping[str, Mapping[str, Any]] | None = None
) -> Path:
    """The shipped registry with other *endpoints* (model id -> addresses) and *changed* fields of models."""
    registry = yaml.safe_load(SHIPPED_REGISTRY.read_text())
    for model in registry["models"]:
        model |= {"endpoints": list(endpoints[model["id"]]), "served_as": model["id"], "api": "chat"}
        model |= (changed or {}).get(model["id"], {})
    for use_case in registry["use_cases"]:
        use_case["examples"] = str(SHIPPED_REGISTRY.parent / use_case["examples"])
    registry |= {key: str(SHIPPED_REGISTRY.parent / registry[key]) for key in ("conversations", "out_of_scope")}
    path = folder / "model_registry.yaml"
    path.write_text(yaml.safe_dump(registry, allow_unicode=True))
    return path


@contextmanager
def running_router(registry: Path, **options: Any) -> Iterator[Router]:
    """A router in a thread of this process while the block runs; patient, as the machine may be busy."""
    options = {"redis_timeout_ms": 2000, "classifier_timeout": 20.0, **options}
    with patch.dict(os.environ, environment(), clear=True):
        settings = Settings(
            _env_file=None, model_registry=registry, max_body_bytes=BODY_LIMIT, log_level="error", **options
        )
        app = create_app(settings)
    with socket.create_server(("127.0.0.1", 0)) as listening, patch.dict(os.environ, environment(), clear=True):
        server = uvicorn.Server(_config(app))
        thread = threading.Thread(target=server.run, args=([listening],), name="router", daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with a_client(url) as http:
                yield Router(url, http)
        finally:
            server.should_exit = True
            thread.join()


def a_client(url: str, **headers: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, timeout=40, trust_env=False, headers=headers)


def eventually(router: Router, path: str, field: str, value: object) -> None:
    """Wait until the JSON at *path* says so; at most twenty seconds."""
    deadline = time.monotonic() + SOON_S
    while (seen := router.http.get(path).json())[field] != value:
        assert time.monotonic() < deadline, f"{path} still says {seen}, not {field}: {value}"
        time.sleep(POLL_S)


def until(happens: Callable[[], bool]) -> None:
    """Wait for it; at most twenty seconds."""
    deadline = time.monotonic() + SOON_S
    while not happens():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(POLL_S)


def wait_until_rested(router: Router) -> None:
    """A replica that said "busy" in an earlier test is left alone for as long as it asked for."""
    deadline = time.monotonic() + SOON_S
    while any(r["resting"] for g in router.get("/health")["model_endpoints"].values() for r in g["replicas"]):
        assert time.monotonic() < deadline, "a replica still rests"
        time.sleep(POLL_S)


def in_flight(router: Router) -> float:
    """The sum of all in-flight gauges; one below zero shows, too."""
    found = re.findall(r"^smart_router_in_flight{[^}]*} (\S+)$", router.http.get("/metrics").text, re.M)
    assert found
    assert min(map(float, found)) >= 0
    return sum(map(float, found))


def wait_for_idle(router: Router) -> None:
    """Until no place is taken; at most twenty seconds."""
    deadline = time.monotonic() + SOON_S
    while (now := in_flight(router)) != 0:
        assert time.monotonic() < deadline, f"{now} requests are still in flight"
        time.sleep(POLL_S)


def raw_exchange(router: Router, *parts: bytes) -> bytes:
    """All that the router says to these bytes until it closes the connection, which it must within twenty seconds."""
    with socket.create_connection(("127.0.0.1", router.port), timeout=SOON_S) as connection:
        said = b""
        try:
            for part in parts:
                connection.sendall(part)
            while more := connection.recv(65_536):
                said += more
        except (BrokenPipeError, ConnectionResetError):
            pass  # closed in the middle of our words
        return said


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=HttpProtocol,
        headers=SECURITY_HEADERS,
        log_config=None,
        access_log=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not server.started:
        assert thread.is_alive(), "the router ended instead of starting"
        assert time.monotonic() < deadline, "the router did not start"
        time.sleep(POLL_S)

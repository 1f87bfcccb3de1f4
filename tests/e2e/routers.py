"""A whole router on a real socket, and a client that talks to it."""

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx2
import uvicorn
import yaml

from smart_router.app import create_app
from smart_router.settings import Settings

SHIPPED_REGISTRY = Path(__file__).parents[2] / "config" / "model_registry.yaml"
BODY_LIMIT = 1024 * 1024
READY_WITHIN_S = 30.0
POLL_S = 0.02
SOON_S = 5.0
_OURS = {name.upper() for name in Settings.model_fields} | {"PORT", "API_KEYS_FILE", "RATE_LIMIT_PER_MINUTE"}


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
    theirs = {name: value for name, value in os.environ.items() if name not in _OURS and not name.startswith("VLLM_")}
    return theirs | ours


def a_registry(folder: Path, endpoints: Mapping[str, Sequence[str]]) -> Path:
    """The shipped registry with other *endpoints* (model id -> addresses)."""
    registry = yaml.safe_load(SHIPPED_REGISTRY.read_text())
    for model in registry["models"]:
        model |= {"endpoints": list(endpoints[model["id"]]), "served_as": model["id"], "api": "chat"}
    for use_case in registry["use_cases"]:
        use_case["examples"] = str(SHIPPED_REGISTRY.parent / use_case["examples"])
    path = folder / "model_registry.yaml"
    path.write_text(yaml.safe_dump(registry, allow_unicode=True))
    return path


@contextmanager
def running_router(registry: Path, **options: Any) -> Iterator[Router]:
    """A router in a thread of this process while the block runs; patient with Redis, as the machine may be busy."""
    options = {"redis_timeout_ms": 2000, **options}
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
    return httpx2.Client(base_url=url, timeout=20, trust_env=False, headers=headers)


def eventually(router: Router, path: str, field: str, value: object) -> None:
    """Wait until the JSON at *path* says so; at most five seconds."""
    deadline = time.monotonic() + SOON_S
    while (seen := router.http.get(path).json())[field] != value:
        assert time.monotonic() < deadline, f"{path} still says {seen}, not {field}: {value}"
        time.sleep(POLL_S)


def _config(app: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http="httptools",
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

"""The schema that a router answers with, of the shipped registry and settings as they are by default."""

import asyncio
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "config" / "model_registry.yaml"


@cache
def openapi() -> Mapping[str, Any]:
    from smart_router.app import create_app
    from smart_router.settings import Settings

    bare = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "XDG_CACHE_HOME", "TMPDIR")}
    with patch.dict(os.environ, bare, clear=True):
        app = create_app(Settings(_env_file=None, model_registry=SHIPPED, log_level="error"))
        return asyncio.run(_answer(app, "/openapi.json"))


async def _answer(app: Any, path: str) -> Mapping[str, Any]:
    sent = list[Mapping[str, Any]]()

    async def receive() -> Mapping[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [(b"host", b"docs")],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {},
    }  # fmt: skip
    await app(scope, receive, send)
    found: Mapping[str, Any] = json.loads(b"".join(message.get("body", b"") for message in sent))
    return found

"""One model of a kind that comes and goes, with a server of its own, for the tests that every kind must pass."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from smart_router.cli.processes import free_port
from smart_router.lifecycle import KINDS
from smart_router.lifecycle.base import Lifecycle
from smart_router.registry import Model
from smart_router.settings import Settings
from smart_router.simulate import SimulatedModel, running
from tests.fakes import a_model

WITHIN = aiohttp.ClientTimeout(total=30)
BASE = "base"
SOON_S = 30.0


@dataclass(frozen=True)
class World:
    """*kind* has been started. *absent_sleeps*: where nobody listens, such a model sleeps; else that is an error."""

    kind: Lifecycle
    model: Model
    endpoint: str
    absent_sleeps: bool = False

    async def ask(self, words: str) -> str:
        """The answer's text, in which *words* occur."""
        return "".join([piece async for piece in self.pieces(words)])

    async def pieces(self, words: str) -> AsyncIterator[str]:
        """The answer's text as it comes."""
        body = {"model": self.model.served_name, "messages": [{"role": "user", "content": words}], "max_tokens": 200}
        async with (
            aiohttp.ClientSession(self.endpoint, timeout=WITHIN) as http,
            http.post("/v1/chat/completions", json=body | {"stream": True}) as answer,
        ):
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])["choices"][0]["delta"].get("content") or ""


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what only asking can tell."""
    async with asyncio.timeout(SOON_S):
        while not await holds():  # noqa: ASYNC110 - a server sets no event of ours
            await asyncio.sleep(0.01)


@asynccontextmanager
async def started(name: str, **settings: Any) -> AsyncIterator[Lifecycle]:
    kind = KINDS[name](Settings(**settings))
    await kind.start()
    try:
        yield kind
    finally:
        await kind.close()


def a_server(**options: Any) -> SimulatedModel:
    given: dict[str, Any] = {"id": BASE, "kind": "text", "ttft_ms": 0, "tokens_per_second": 100} | options
    return SimulatedModel(**given)


@asynccontextmanager
async def a_sleeper(level: int = 1, **options: Any) -> AsyncIterator[World]:
    with running(a_server(**options)) as url:
        async with started("sleep") as kind:
            yield World(kind, a_model(BASE, url, lifecycle="sleep", sleep_level=level), url)


@asynccontextmanager
async def a_deep_sleeper() -> AsyncIterator[World]:
    async with a_sleeper(2) as world:
        yield world


@asynccontextmanager
async def an_adapter(path: str = "/adapters/legal", **options: Any) -> AsyncIterator[World]:
    with running(a_server(**{"enable_lora": True} | options)) as url:
        async with started("lora") as kind:
            lora = {"path": path, "base": BASE}
            yield World(kind, a_model("legal", url, lifecycle="lora", lora=lora), url)


@asynccontextmanager
async def a_process() -> AsyncIterator[World]:
    command = [sys.executable, "-m", "smart_router", "simulate", "--model", BASE, "--port", "{port}"]
    command += ["--ttft-ms", "0", "--tokens-per-second", "100"]
    url = f"http://127.0.0.1:{free_port()}"
    async with started("process", process_dir=Path.cwd() / "processes", process_stop_timeout=SOON_S) as kind:
        model = a_model(BASE, url, lifecycle="process", process={"command": command})
        yield World(kind, model, url, absent_sleeps=True)


@asynccontextmanager
async def one_in_ollama() -> AsyncIterator[World]:
    with running(a_server(server="ollama")) as url:
        async with started("ollama") as kind:
            yield World(kind, a_model(BASE, url, backend="ollama", lifecycle="ollama"), url)

"""Asking a server, in few words."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp

from smart_router.simulate import SimulatedModel

ID = "Qwen/Qwen2.5-7B-Instruct"
CHAT = "/v1/chat/completions"
SOON_S = 20.0
Start = Callable[..., str]  # takes options of the model, returns the address


def quick(**options: Any) -> SimulatedModel:
    """A model that does not keep a test waiting, unless *options* say so."""
    all_options: dict[str, Any] = {"id": ID, "ttft_ms": 0, "tokens_per_second": 0} | options
    return SimulatedModel(**all_options)


def saying(text: str = "Hello", **changed: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]} | changed


async def ask(http: aiohttp.ClientSession, url: str, body: Any = None, method: str | None = None) -> Any:
    """The JSON of an answer that must be a 200; POST with a body, else GET."""
    async with http.request(method or ("GET" if body is None else "POST"), url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def refused(http: aiohttp.ClientSession, url: str, body: Any) -> tuple[int, dict[str, Any]]:
    async with http.post(url, json=body) as answer:
        return answer.status, await answer.json()


async def said(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> str:
    """The text of a chat answer."""
    answer = await ask(http, url + CHAT, body)
    return str(answer["choices"][0]["message"]["content"])


async def events(http: aiohttp.ClientSession, url: str, body: dict[str, Any]) -> list[Any]:
    """The data of all events of a stream; the last is "[DONE]" """
    async with http.post(url, json=body | {"stream": True}) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        return [event async for event in read_events(answer)]


async def read_events(answer: aiohttp.ClientResponse) -> AsyncIterator[Any]:
    async for line in answer.content:
        if line.startswith(b"data: "):
            data = line[6:].strip()
            yield data.decode() if data == b"[DONE]" else json.loads(data)


def text_of(events: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content", "") for event in events if event != "[DONE]" for choice in event["choices"]
    )


async def metric(http: aiohttp.ClientSession, url: str, name: str, label: str = "") -> float:
    async with http.get(f"{url}/metrics") as answer:
        found = re.search(rf"^vllm:{name}{{[^}}]*{label}[^}}]*}} (\S+)$", await answer.text(), re.MULTILINE)
        assert found, f"no metric {name}"
        return float(found[1])


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until *holds*, which only asking can tell; at most twenty seconds."""
    async with asyncio.timeout(SOON_S):
        while not await holds():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(0.005)


async def until_running(http: aiohttp.ClientSession, url: str, count: int) -> None:
    async def reached() -> bool:
        return await metric(http, url, "num_requests_running") == count

    await eventually(reached)

"""Servers that want a key before anything get the model's own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from pydantic import SecretStr

from smart_router.errors import LifecycleFailed
from smart_router.registry import Model
from tests.fakes import a_model
from tests.lifecycle.worlds import started

pytestmark = pytest.mark.usefixtures("bare_environment")

KEY = "sk-own"


@asynccontextmanager
async def a_guarded_server() -> AsyncIterator[str]:
    """A vLLM server behind a proxy that lets nobody pass without the key; it has one adapter, `legal`."""
    asleep, loaded = False, False

    async def answer(request: web.Request) -> web.Response:
        nonlocal asleep, loaded
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "Unauthorized"}}, status=401)
        asleep = {"/sleep": True, "/wake_up": False}.get(request.path, asleep)
        loaded = {"/v1/load_lora_adapter": True, "/v1/unload_lora_adapter": False}.get(request.path, loaded)
        data = [{"id": "base"}, *([{"id": "legal"}] if loaded else ())]
        return web.json_response({"is_sleeping": asleep, "data": data})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


def a_guarded_model(kind: str, url: str, key: str = KEY) -> Model:
    lora = {"path": "/adapters/legal", "base": "base"} if kind == "lora" else None
    return a_model("legal", url, lifecycle=kind, lora=lora, api_key=SecretStr(key))


@pytest.mark.parametrize("name", ["lora", "sleep"])
async def test_the_models_key_goes_along(name: str) -> None:
    async with a_guarded_server() as url, started(name) as kind:
        model = a_guarded_model(name, url)
        await kind.sleep(model, url)
        assert await kind.look(model, url) == "sleeping"
        await kind.wake(model, url)
        assert await kind.look(model, url) == "awake"


@pytest.mark.parametrize("name", ["lora", "sleep"])
async def test_a_key_that_is_not_taken_is_said(name: str) -> None:
    async with a_guarded_server() as url, started(name) as kind:
        with pytest.raises(LifecycleFailed, match="does not take the router's key: correct its api_key"):
            await kind.look(a_guarded_model(name, url, "sk-other"), url)

"""Routers, and ground to start servers from, that end with their test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from smart_router.registry import Registry
from smart_router.upstream import KINDS
from tests.lifecycle.fakes import Board, FakeAgreement, Router, Servers, running
from tests.lifecycle.programs import Ground, until

Start = Callable[..., Awaitable[Router]]


@pytest.fixture
async def start(bare_environment: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """start(registry, servers, board=None, **settings): a router, running."""
    async with AsyncExitStack() as stack:

        async def one(registry: Registry, servers: Servers, board: Board | None = None, **changed: Any) -> Router:
            monkeypatch.setitem(KINDS, "vllm", lambda *_: servers.as_upstream)
            return await stack.enter_async_context(running(Router(registry, servers, FakeAgreement(board), **changed)))

        yield one


@pytest.fixture
async def ground(bare_environment: Path) -> AsyncIterator[Ground]:
    """Nothing may stay behind on it."""
    ground = Ground(bare_environment)
    yield ground
    await until(lambda: not ground.guardians())
    assert await asyncio.to_thread(ground.living) == []

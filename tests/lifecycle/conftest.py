"""Routers that are ended with their test."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from smart_router.registry import Registry
from smart_router.upstream import KINDS
from tests.lifecycle.fakes import Board, FakeAgreement, Router, Servers, running

Start = Callable[..., Awaitable[Router]]


@pytest.fixture
async def start(bare_environment: object, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """start(registry, servers, board=None, **settings): a router, running."""
    async with AsyncExitStack() as stack:

        async def one(registry: Registry, servers: Servers, board: Board | None = None, **changed: Any) -> Router:
            monkeypatch.setitem(KINDS, "vllm", lambda *_: servers)
            return await stack.enter_async_context(running(Router(registry, servers, FakeAgreement(board), **changed)))

        yield one

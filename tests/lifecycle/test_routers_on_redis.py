"""Routers that agree through a real Redis."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from smart_router.sessions.agreement import RedisAgreement
from smart_router.upstream import KINDS
from tests.lifecycle.fakes import Router, Servers, a_sleeper, registry_of, running, until

A, B = a_sleeper("a"), a_sleeper("b")


@pytest.fixture
async def two(
    redis_url: str, bare_environment: object, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Router, Router]]:
    """Two routers, one set of servers, of which a is awake."""
    servers, registry = Servers("a"), registry_of(A, B)
    monkeypatch.setitem(KINDS, "vllm", lambda *_: servers.as_upstream)
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(2):
            agreement = RedisAgreement(redis_url, timeout_ms=10_000)
            stack.push_async_callback(agreement.close)
            found.append(await stack.enter_async_context(running(Router(registry, servers, agreement))))
        yield found[0], found[1]


async def test_they_take_turns_for_one_place(two: tuple[Router, Router]) -> None:
    async def client(router: Router, model: str) -> None:
        for i in range(5):
            await router.served(model, f"{model}{i}")

    await asyncio.gather(*(client(router, model) for router in two for model in ("a", "b")))
    assert two[0].servers.most_awake == 1


async def test_what_one_keeps_busy_the_other_does_not_put_to_sleep(two: tuple[Router, Router]) -> None:
    one, other = two
    lease = await other.ask("a")
    here = one.manager._inventory.residences["a"]
    await until(lambda: here.known.told.in_flight)
    request = one.begin("b")
    await until(lambda: other.state("a") == "draining")
    assert one.servers.times("sleep", "a") == 0
    lease.release()
    await request
    await until(lambda: other.admits("b"))

"""Requests that may go to several models, some of which sleep."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from smart_router.errors import BackendBroke
from smart_router.opening import Opened, Opener
from smart_router.registry import Model
from smart_router.types import Headers
from smart_router.upstream.fleet import Lease
from tests.fakes import a_model, an_ask
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Router, Servers, a_sleeper, registry_of, until

A, B = a_sleeper("a", max_in_flight=1), a_sleeper("b")


class Asking:
    """Models that are *failing* do not answer."""

    again = True

    def __init__(self, *failing: str) -> None:
        self._failing = failing

    async def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> str:
        if lease.model.id in self._failing:
            raise BackendBroke("the model server answered 500")
        return lease.model.id


def begin(router: Router, models: Sequence[Model], *failing: str) -> "asyncio.Task[Opened[Any]]":
    opener = Opener(router.fleet, router.settings, router.metrics, router.manager)
    return asyncio.create_task(opener.open(an_ask(), models, None, Asking(*failing)))


async def test_a_model_that_is_only_busy_does_not_lose_its_room_to_its_fallback(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    lease = await router.ask("a")
    request = begin(router, [A, B])
    await until(lambda: router.fleet.waiting("a") or router.manager.waiting("b"))
    assert router.manager.waiting("b") == 0
    lease.release()
    opened = await request
    opened.lease.release()
    assert (opened.answer, router.servers.times("sleep", "a")) == ("a", 0)


async def test_a_fallback_that_is_awake_is_asked_although_one_that_sleeps_comes_before_it(start: Start) -> None:
    other = a_model("c", "http://c:8000")
    router = await start(registry_of(A, B, other), Servers("a", "c"))
    lease = await router.ask("a")
    opened = await begin(router, [A, B, other])
    opened.lease.release()
    lease.release()
    assert opened.answer == "c"


async def test_nobody_is_woken_for_a_retry_that_the_traffic_does_not_bear(start: Start) -> None:
    always = a_model("m", "http://m:8000")
    router = await start(registry_of(always, A), Servers("m"), retry_budget=0.0)
    with pytest.raises(BackendBroke):
        await begin(router, [always, A], "m")
    assert router.servers.times("wake", "a") == 0

"""Who is asked, in which order, and who waits: on a fleet of fakes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from smart_router.errors import BackendUnreachable, NoModelAvailable, Overloaded, UpstreamError
from smart_router.observe.metrics import Metrics
from smart_router.opening import Opener
from smart_router.types import Headers
from smart_router.upstream.fleet import Fleet, Lease
from tests.fakes import a_model, an_ask, settings
from tests.upstream.fleets import World, in_flight, until

A, B = "http://a:1", "http://b:1"
MODELS = a_model("m", A, max_in_flight=1), a_model("n", B, max_in_flight=1)


class Asking:
    """*failing*: endpoints whose server cannot be reached."""

    again = True

    def __init__(self, *failing: str) -> None:
        self.asked: list[str] = []
        self._failing = failing

    async def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> str:
        self.asked.append(lease.endpoint)
        if lease.endpoint in self._failing:
            raise BackendUnreachable("down")
        return lease.endpoint


class Opening:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
        self.world = World(monkeypatch)
        self.fleet: Fleet = self.world.fleet(*MODELS, **changed)
        self.metrics = Metrics()
        self._opener = Opener(self.fleet, settings(**changed), self.metrics)

    async def open(self, attempt: Asking, models: Sequence[str] = ("m", "n")) -> str:
        """Where it was accepted; the place is given back."""
        wanted = [model for model in MODELS if model.id in models]
        opened = await self._opener.open(an_ask(), wanted, None, attempt)
        opened.lease.release()
        return opened.answer

    def occupied(self, model: str) -> Lease:
        return self.fleet.lease(model, None, "somebody")


async def test_where_the_first_model_has_no_room_the_next_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch)
    opening.occupied("m")
    assert await opening.open(Asking()) == B


@pytest.mark.parametrize("free", ["m", "n"])
async def test_whoever_waits_is_served_by_the_first_model_that_has_room(
    monkeypatch: pytest.MonkeyPatch, free: str
) -> None:
    opening = Opening(monkeypatch)
    held = {name: opening.occupied(name) for name in ("m", "n")}
    answer = asyncio.create_task(opening.open(Asking()))
    await until(lambda: opening.fleet.waiting("m"))
    held[free].release()
    assert await answer == held[free].endpoint


async def test_whoever_waited_in_vain_is_told_which_models_had_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch, queue_timeout=0.01)
    opening.occupied("m"), opening.occupied("n")
    with pytest.raises(Overloaded, match="m or n had no room"):
        await opening.open(Asking())


async def test_whoever_may_not_try_again_does_not_wait_to_hear_it(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch, retry_budget=0.0)
    opening.occupied("n")
    attempt = Asking(A)
    with pytest.raises((UpstreamError, NoModelAvailable)):
        async with asyncio.timeout(8):
            await opening.open(attempt)
    assert (attempt.asked, in_flight(opening.fleet)) == ([A], {A: 0, B: 1})


async def test_a_place_that_was_waited_for_may_be_at_a_replica_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else somebody would wait for the other one alone, and hold up whoever comes behind."""
    opening = Opening(monkeypatch)
    held = opening.occupied("n")
    attempt = Asking(A)
    answer = asyncio.create_task(opening.open(attempt))
    await until(lambda: opening.fleet.waiting("n"))
    held.release()
    assert await answer == B
    assert attempt.asked == [A, B]

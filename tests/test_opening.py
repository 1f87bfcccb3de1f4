"""Who is asked, in which order, and who waits: on a fleet of fakes."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from smart_router.errors import BackendUnreachable, ModelNotReady, NoModelAvailable, Overloaded, UpstreamError
from smart_router.observe.metrics import Metrics
from smart_router.opening import Opener
from smart_router.registry import Model
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


class FakeWaker:
    """Wakes a model once it may; or fails with its *trouble*."""

    def __init__(self, trouble: NoModelAvailable | None = None) -> None:
        self.trouble = trouble
        self.asked, self.may_go = asyncio.Event(), asyncio.Event()
        self.wakes: Callable[[str], None] = lambda _: None

    async def awake(self, model: str, within_s: float) -> None:
        self.asked.set()
        await self.may_go.wait()
        if self.trouble is not None:
            raise self.trouble
        self.wakes(model)

    def used(self, model: str, session: str) -> None:
        pass


class Opening:
    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        waker: "FakeWaker | None" = None,
        models: Sequence[Model] = MODELS,
        **changed: Any,
    ) -> None:
        self.world = World(monkeypatch)
        self.fleet: Fleet = self.world.fleet(*models, **changed)
        self._models = models
        self.metrics = Metrics()
        self._opener = Opener(self.fleet, settings(**changed), self.metrics, waker)

    async def open(self, attempt: Asking, models: Sequence[str] = ("m", "n")) -> str:
        """Where it was accepted; the place is given back."""
        wanted = [model for model in self._models if model.id in models]
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


@pytest.mark.parametrize("trouble", [None, ModelNotReady("it does not wake")])
async def test_how_long_a_request_waited_for_its_model_is_counted_whatever_came_of_it(
    monkeypatch: pytest.MonkeyPatch, trouble: NoModelAvailable | None
) -> None:
    waker = FakeWaker(trouble)
    opening = Opening(monkeypatch, waker, [a_model("m", A, lifecycle="sleep")])
    waker.wakes = lambda model: opening.fleet.admit(model, A)
    answer = asyncio.create_task(opening.open(Asking()))
    await asyncio.wait_for(waker.asked.wait(), 10)
    waker.may_go.set()
    (found,) = await asyncio.gather(answer, return_exceptions=True)
    assert found == (A if trouble is None else trouble)
    assert 'smart_router_model_wait_seconds_count{model="m"} 1.0' in opening.metrics.exposition()[0].decode()


async def test_a_model_that_is_awake_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch, FakeWaker())
    await opening.open(Asking())
    assert "smart_router_model_wait_seconds_count{" not in opening.metrics.exposition()[0].decode()

"""A request whose model sleeps: it waits until that is awake, or goes elsewhere."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import pytest

from smart_router.errors import BackendAsleep, ModelNotReady, NoModelAvailable
from smart_router.observe.metrics import Metrics
from smart_router.opening import Opener
from smart_router.types import Ask, Decision, Headers
from smart_router.upstream.fleet import Lease
from tests.fakes import a_model, an_ask, settings
from tests.upstream.fleets import World, in_flight, until

T = TypeVar("T")
A, B = "http://a:1", "http://b:1"
MODELS = a_model("m", A, lifecycle="sleep"), a_model("n", B)


class Waking:
    """Wakes whom it is asked to, unless `trouble` says why not."""

    def __init__(self, opening: "Opening") -> None:
        self.asked: list[str] = []
        self.uses: list[tuple[str, str]] = []
        self.trouble: NoModelAvailable | None = None
        self.lets_sleep = False  # whoever it wakes sleeps again at once
        self._opening = opening

    async def awake(self, model: str, within_s: float) -> None:
        self.asked.append(model)
        if self.trouble:
            raise self.trouble
        if not self.lets_sleep:
            self._opening.fleet.admit(model, A)

    def used(self, model: str, session: str) -> None:
        self.uses.append((model, session))


class Opening:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
        self.world = World(monkeypatch)
        self.fleet = self.world.fleet(*MODELS, **changed)
        self.waking = Waking(self)
        self._opener = Opener(self.fleet, settings(**changed), Metrics(), self.waking)

    async def open(self, attempt: Any = None, ask: Ask | None = None, models: str = "mn") -> str:
        opened = await self._opener.open(
            ask or an_ask(), [m for m in MODELS if m.id in models], None, attempt or answer
        )
        opened.lease.release()
        answered: str = opened.answer
        return answered


class Answering:
    again = True

    async def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> str:
        return lease.endpoint


answer = Answering()


class Hanging:
    """As a model server that sleeps; `begun` as soon as it was asked. The second time it answers."""

    again = True

    def __init__(self) -> None:
        self.begun = 0

    async def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> str:
        self.begun += 1
        if self.begun == 1:
            await asyncio.Event().wait()
        return lease.endpoint


@pytest.fixture
def opening(monkeypatch: pytest.MonkeyPatch) -> Opening:
    return Opening(monkeypatch)


async def test_the_preferred_model_is_woken_although_another_one_is_awake(opening: Opening) -> None:
    assert await opening.open() == A
    assert opening.waking.asked == ["m"]


async def test_who_is_awake_is_not_woken_and_each_use_is_noted(opening: Opening) -> None:
    opening.fleet.admit("m", A)
    assert await opening.open() == A
    assert opening.waking.asked == []
    assert opening.waking.uses == [("m", f"{an_ask().caller}/{an_ask().session_id}")]


async def test_uses_of_models_that_are_always_awake_are_noted_where_models_are_woken_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for early in (False, True):
        opening = Opening(monkeypatch, predictive_wake=early)
        assert await opening.open(models="n") == B
        assert [model for model, _ in opening.waking.uses] == (["n"] if early else [])


async def test_a_model_that_cannot_be_woken_gives_way_to_the_next(opening: Opening) -> None:
    opening.waking.trouble = ModelNotReady("m is not awake yet", retry_after_s=7.0)
    assert await opening.open() == B


async def test_where_there_is_no_other_its_client_is_told_when_to_come_again(opening: Opening) -> None:
    opening.waking.trouble = ModelNotReady("m is not awake yet", retry_after_s=7.0)
    with pytest.raises(ModelNotReady) as told:
        await opening.open(models="m")
    assert (told.value.retry_after_s, told.value.status, told.value.code) == (7.0, 503, "model_not_ready")


async def test_one_that_sleeps_again_each_time_is_given_up(opening: Opening) -> None:
    opening.waking.lets_sleep = True
    assert await opening.open() == B
    assert 1 < len(opening.waking.asked) < 5


async def test_a_request_that_hangs_at_one_that_sleeps_is_asked_again_once_it_is_awake(opening: Opening) -> None:
    opening.fleet.admit("m", A)
    attempt = Hanging()
    answered = asyncio.create_task(opening.open(attempt))
    await until(lambda: attempt.begun)
    opening.fleet.found_asleep("m", A)
    assert await answered == A
    assert (attempt.begun, opening.waking.asked, in_flight(opening.fleet)) == (2, ["m"], {A: 0, B: 0})


async def test_that_one_slept_uses_up_nothing_of_the_retry_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch, retry_budget=0.0)
    opening.fleet.admit("m", A)
    attempt = Hanging()
    answered = asyncio.create_task(opening.open(attempt))
    await until(lambda: attempt.begun)
    opening.fleet.found_asleep("m", A)
    assert await answered == A


async def test_what_cannot_be_sent_again_is_told_that_its_server_sleeps(opening: Opening) -> None:
    opening.fleet.admit("m", A)
    attempt = Hanging()
    attempt.again = False
    answered = asyncio.create_task(opening.open(attempt))
    await until(lambda: attempt.begun)
    opening.fleet.found_asleep("m", A)
    with pytest.raises(BackendAsleep):
        await answered


async def test_a_client_that_leaves_while_it_waits_is_gone(opening: Opening) -> None:
    opening.fleet.admit("m", A)
    attempt = Hanging()
    answered = asyncio.create_task(opening.open(attempt))
    await until(lambda: attempt.begun)
    answered.cancel()
    opening.fleet.found_asleep("m", A)
    with pytest.raises(asyncio.CancelledError):
        await answered
    assert in_flight(opening.fleet) == {A: 0, B: 0}


async def test_who_waits_for_a_place_at_a_model_that_is_put_to_sleep_wakes_it(opening: Opening) -> None:
    opening.fleet.admit("m", A)
    held = [opening.fleet.lease("m", None, "somebody") for _ in range(MODELS[0].max_in_flight)]
    answered = asyncio.create_task(opening.open(models="m"))
    await until(lambda: opening.fleet.waiting("m"))
    opening.fleet.shut("m", A)
    await until(lambda: opening.waking.asked and opening.fleet.waiting("m"))
    for lease in held:
        lease.release()
    assert await answered == A


class Companion:
    """A patience that only records."""

    def __init__(self) -> None:
        self.waited_for: list[str] = []

    def decided(self, decision: Decision, model: str) -> None:
        pass

    async def waiting(self, model: str, awaited: Awaitable[T]) -> T:
        self.waited_for.append(model)
        return await awaited


async def test_a_client_that_takes_a_stream_is_kept_company(opening: Opening) -> None:
    companion = Companion()
    assert await opening.open(ask=an_ask(patience=companion)) == A
    assert companion.waited_for == ["m"]

"""Models that sessions usually go on to are woken before they are asked, at nobody's cost; that is counted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio

from smart_router.decide.expected import FORESEEN_S
from smart_router.decide.succession import LEAST_SEEN, Habits, Succession
from smart_router.errors import LifecycleFailed, StoreUnavailable
from smart_router.lifecycle import foresight
from smart_router.lifecycle.foresight import Foresight
from smart_router.observe.metrics import Metrics
from tests.fakes import Clock, a_model
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Router, Servers, a_sleeper, at, registry_of, until

ALWAYS = a_model("stt", at("stt"))
AGENT, TTS, VISION = a_sleeper("agent"), a_sleeper("tts"), a_sleeper("vision")
WAY = ("stt", "agent", "tts")


class Voice:
    """A router whose sessions went stt, agent, tts so far; *agent* is awake now."""

    def __init__(self, router: Router) -> None:
        self.router = router
        for number in range(LEAST_SEEN):
            for model in WAY:
                router.manager.used(model, f"before-{number}")

    async def reaches_agent(self, session: str = "new") -> None:
        self.router.manager.used("stt", session)
        await self.router.served("agent", session)

    async def early(self, model: str = "tts") -> None:
        await until(lambda: self.router.state(model) == "awake")

    async def falls_asleep(self, model: str) -> None:
        """As somebody put it to sleep."""
        self.router.servers.awake.discard(at(model))
        await until(lambda: self.router.state(model) == "sleeping")

    async def is_looked_at(self, model: str = "tts") -> None:
        """Time enough for it to be woken, if it were."""
        looked = self.router.servers.times("look", model)
        await until(lambda: self.router.servers.times("look", model) > looked + 3)

    def counted(self, outcome: str, model: str = "tts") -> float:
        return self.router.counted("predicted_wakes", model, outcome)


@pytest_asyncio.fixture
async def voice(start: Start) -> AsyncIterator[Voice]:
    """With room for two of three, of which agent is awake."""
    registry = registry_of(ALWAYS, AGENT, TTS, VISION, gpu=2)
    yield Voice(await start(registry, Servers("stt", "agent"), predictive_wake=True))


async def test_what_sessions_usually_go_on_to_is_awake_before_they_do(voice: Voice) -> None:
    assert voice.router.state("tts") == "sleeping"
    await voice.reaches_agent()
    await voice.early()
    await voice.router.served("tts", "new", within_s=0)
    await until(lambda: voice.counted("used") == 1)
    assert voice.counted("unused") == 0


async def test_nothing_is_foreseen_unless_that_is_wanted(start: Start) -> None:
    voice = Voice(await start(registry_of(ALWAYS, AGENT, TTS, gpu=2), Servers("stt", "agent")))
    await voice.reaches_agent()
    await voice.is_looked_at()
    assert voice.router.state("tts") == "sleeping"


async def test_one_that_no_session_stands_with_makes_room(start: Start) -> None:
    registry = registry_of(ALWAYS, AGENT, TTS, VISION, gpu=2)
    voice = Voice(await start(registry, Servers("stt", "agent", "vision"), predictive_wake=True))
    await voice.reaches_agent()
    await voice.early()
    assert voice.router.state("vision") == "sleeping"
    assert voice.router.servers.most_awake <= 3


async def test_one_that_a_session_stands_with_does_not(start: Start) -> None:
    registry = registry_of(ALWAYS, AGENT, TTS, VISION, gpu=2)
    voice = Voice(await start(registry, Servers("stt", "agent", "vision"), predictive_wake=True))
    await voice.router.served("vision", "somebody")
    await voice.reaches_agent()
    await voice.is_looked_at()
    assert (voice.router.state("tts"), voice.router.state("vision")) == ("sleeping", "awake")


async def test_one_that_all_its_sessions_have_left_does(start: Start) -> None:
    registry = registry_of(ALWAYS, AGENT, TTS, VISION, gpu=2)
    voice = Voice(await start(registry, Servers("stt", "agent", "vision"), predictive_wake=True))
    await voice.router.served("vision", "new")
    assert voice.router.report("vision").sessions == 1
    await voice.reaches_agent("new")
    assert voice.router.report("vision").sessions == 0
    await voice.router.served("vision", "somebody")
    await voice.router.served("agent", "somebody")
    await voice.reaches_agent("another")
    await voice.early()
    assert voice.router.state("vision") == "sleeping"


async def test_who_waits_is_served_before_what_is_foreseen(voice: Voice) -> None:
    wake = voice.router.servers.hold("wake", "vision")
    waits = voice.router.begin("vision", "somebody")
    await until(lambda: voice.router.servers.times("wake", "vision"))
    await voice.reaches_agent()
    wake()
    await waits
    assert voice.router.state("tts") == "sleeping"


async def test_what_nobody_asks_in_time_was_woken_in_vain(voice: Voice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "FORESEEN_S", 0.3)
    await voice.reaches_agent()
    await voice.early()
    await until(lambda: voice.counted("unused") == 1)
    assert voice.router.state("tts") == "awake", "the place is free until somebody needs it"
    await voice.router.served("tts")
    await until(lambda: voice.router.report("tts").last_used)
    assert voice.counted("used") == 0


async def test_what_makes_room_before_it_is_asked_was_woken_in_vain_and_is_not_woken_again(voice: Voice) -> None:
    await voice.reaches_agent()
    await voice.early()
    await voice.router.served("vision", "somebody")
    await until(lambda: voice.counted("unused") == 1)
    await voice.falls_asleep("vision")
    await voice.is_looked_at()
    assert voice.router.state("tts") == "sleeping"


async def test_what_is_asked_while_it_wakes_was_foreseen(voice: Voice) -> None:
    wake = voice.router.servers.hold("wake", "tts")
    await voice.reaches_agent()
    await until(lambda: voice.router.servers.times("wake", "tts"))
    request = voice.router.begin("tts", "new")
    await until(lambda: voice.router.manager.waiting("tts"))
    wake()
    await request
    await until(lambda: voice.counted("used") == 1)


async def test_what_was_asked_for_is_no_foresight(voice: Voice) -> None:
    await voice.router.served("tts", "somebody")
    await until(lambda: voice.router.counted("model_wakes", "tts", "ok") == 1)
    await voice.is_looked_at()
    assert voice.counted("used") == voice.counted("unused") == 0


async def test_an_early_wake_that_fails_is_a_failed_wake_and_no_more(voice: Voice) -> None:
    voice.router.servers.fail("wake", "tts", LifecycleFailed("out of memory"))
    await voice.reaches_agent()
    await until(lambda: voice.router.counted("model_wakes", "tts", "failed") == 1)
    await voice.router.served("tts", "new")
    assert voice.counted("unused") == 0


async def test_what_a_session_has_gone_on_to_is_not_foreseen_for_it_any_more(voice: Voice) -> None:
    await voice.reaches_agent()
    await voice.router.served("tts", "new")
    await voice.falls_asleep("tts")
    await voice.is_looked_at()
    assert voice.router.state("tts") == "sleeping"


async def test_models_that_are_gone_are_not_foreseen(voice: Voice) -> None:
    registry = registry_of(ALWAYS, AGENT, VISION, gpu=2)
    await voice.router.fleet.change(registry)
    await voice.router.manager.change(registry)
    await voice.reaches_agent()
    assert [report.id for report in voice.router.manager.report()] == ["agent", "vision"]


# shared with other routers


class Ledger:
    """Habits as routers share them; *lost*: nobody reaches it."""

    def __init__(self) -> None:
        self.lost = False
        self.asked = 0
        self._all = Succession(frozenset(("stt", "agent", "tts")))

    async def add(self, habits: Habits) -> Habits:
        self.asked += 1
        if self.lost:
            raise StoreUnavailable("lost")
        self._all.put_back(habits)
        found = self._all.take()
        self._all.put_back(found)
        return found


@asynccontextmanager
async def sharing(ledger: Ledger) -> AsyncIterator[Foresight]:
    """Of one router; what it counted is shared when it ends."""
    ahead, asked = Foresight(registry_of(ALWAYS, AGENT, TTS), ledger, Metrics(), Clock()), ledger.asked
    ahead.start()
    await until(lambda: ledger.asked > asked)
    yield ahead
    await ahead.close()


def live(ahead: Foresight, sessions: int) -> None:
    for number in range(sessions):
        for model in WAY:
            ahead.used(f"s-{number}", model)


def foreseen(ahead: Foresight) -> str | None:
    ahead.used("new", "stt")
    return ahead.used("new", "agent")


async def test_what_one_router_saw_another_foresees(bare_environment: object) -> None:
    ledger = Ledger()
    async with sharing(ledger) as one:
        live(one, LEAST_SEEN)
    async with sharing(ledger) as other:
        assert foreseen(other) == "tts"


async def test_without_redis_a_router_goes_by_what_it_saw_and_tells_it_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "SHARE_EVERY_S", 0.01)
    ledger = Ledger()
    ledger.lost = True
    async with sharing(ledger) as one:
        live(one, LEAST_SEEN)
        asked = ledger.asked
        await until(lambda: ledger.asked >= asked + 2)
        assert foreseen(one) == "tts"
        ledger.lost = False
    async with sharing(ledger) as other:
        assert foreseen(other) == "tts"


async def test_what_is_counted_is_shared_while_the_router_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foresight, "SHARE_EVERY_S", 0.01)
    ledger = Ledger()
    async with sharing(ledger) as one, sharing(ledger) as other:
        live(one, LEAST_SEEN)
        asked = ledger.asked
        await until(lambda: ledger.asked >= asked + 6)
        assert foreseen(other) == "tts"


async def test_only_models_that_come_and_go_are_foreseen() -> None:
    registry = registry_of(AGENT, a_model("tts", at("tts")), a_model("stt", at("stt")))
    ahead = Foresight(registry, None, Metrics(), Clock())
    live(ahead, LEAST_SEEN)
    assert foreseen(ahead) is None


async def test_who_is_expected_at_a_model_that_goes_is_not_when_it_returns() -> None:
    registry = registry_of(ALWAYS, AGENT, TTS)
    ahead = Foresight(registry, None, Metrics(), Clock())
    live(ahead, LEAST_SEEN)
    assert foreseen(ahead) == "tts"
    ahead.change(registry_of(ALWAYS, AGENT))
    ahead.change(registry)
    assert not ahead.foresees("tts")


async def test_a_session_that_does_not_go_on_is_waited_for_a_while() -> None:
    clock = Clock()
    ahead = Foresight(registry_of(ALWAYS, AGENT, TTS), None, Metrics(), clock)
    live(ahead, LEAST_SEEN)
    assert foreseen(ahead) == "tts"
    clock.pass_(FORESEEN_S - 1)
    assert ahead.foresees("tts")
    clock.pass_(1)
    assert not ahead.foresees("tts")

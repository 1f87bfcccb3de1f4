"""Bypassed turns that are classified afterwards: counted, bounded, and never in anybody's way."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
import structlog

from smart_router.chooser import Chooser
from smart_router.classify.base import Query
from smart_router.classify.classifier import Scores
from smart_router.decide.switch import Standing
from smart_router.observe.metrics import Metrics
from smart_router.observe.stats import Stats, report
from smart_router.shadow import MOST_AT_ONCE, Shadow
from tests.choosing import REGISTRY, FakeClassifier
from tests.fakes import an_ask, settings

pytestmark = pytest.mark.usefixtures("bare_environment")

ON_AGENT = Standing("agent", 0.9)
SAME, OTHER = an_ask("and now shorter"), an_ask("please transcribe the recording")


class SlowClassifier(FakeClassifier):
    """Waits until it may go; knows how many wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.may_go = asyncio.Event()

    async def scores(self, query: Query) -> Scores:
        self.waiting += 1
        try:
            await self.may_go.wait()
        finally:
            self.waiting -= 1
        return await super().scores(query)


class World:
    """A shadow and what it counts in."""

    def __init__(self, share: float, classifier: FakeClassifier, chance: Callable[[], float]) -> None:
        self.metrics, self.stats, self.classifier = Metrics(), Stats(), classifier
        chooser = Chooser(REGISTRY, classifier, settings(routing_mode="standard"))
        self.shadow = Shadow(chooser, self.metrics, self.stats, share, chance)

    @property
    def counted(self) -> tuple[int, int]:
        """Checks and disagreements; metrics and statistics say the same."""
        told = report(self.stats.counts())
        found = told["shadow_checks"], told["shadow_disagreements"]
        names = "smart_router_shadow_checks_total", "smart_router_shadow_disagreement_total"
        assert tuple(self.metrics.registry.get_sample_value(name) for name in names) == found
        return found

    async def settled(self) -> None:
        """Everything that is under way has been checked."""
        async with asyncio.timeout(5):
            while self.shadow._running:
                await asyncio.gather(*self.shadow._running, return_exceptions=True)


Make = Callable[..., World]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    made: list[World] = []

    def make_one(
        share: float = 1.0, classifier: FakeClassifier | None = None, chance: Callable[[], float] = random.random
    ) -> World:
        made.append(World(share, classifier or FakeClassifier(), chance))
        return made[-1]

    yield make_one
    for world in made:
        await world.shadow.close()


async def test_with_a_share_of_one_every_bypassed_turn_is_checked(make: Make) -> None:
    world = make(share=1.0)
    for _ in range(3):
        world.shadow.bypassed(SAME, ON_AGENT, "")
    await world.settled()
    assert world.counted == (3, 0)


async def test_a_session_whose_bypass_was_asked_for_is_checked_all_the_same(make: Make) -> None:
    world = make(share=1.0)
    world.shadow.bypassed(SAME, Standing("agent", 0.9, bypass=True), "")
    await world.settled()
    assert (world.counted, len(world.classifier.classified)) == ((1, 0), 1)


async def test_with_a_share_of_zero_none_is(make: Make) -> None:
    world = make(share=0.0, chance=lambda: 0.0)
    world.shadow.bypassed(SAME, ON_AGENT, "")
    await world.settled()
    assert (world.counted, world.classifier.classified) == ((0, 0), [])


async def test_a_share_is_what_chance_makes_of_it(make: Make) -> None:
    chances = iter([0.1, 0.24, 0.25, 0.9])
    world = make(share=0.25, chance=lambda: next(chances))
    for _ in range(4):
        world.shadow.bypassed(SAME, ON_AGENT, "")
    await world.settled()
    assert world.counted == (2, 0)


async def test_a_turn_that_would_have_left_its_session_is_a_disagreement_and_is_logged(make: Make) -> None:
    world = make()
    with structlog.testing.capture_logs() as logs:
        world.shadow.bypassed(OTHER, ON_AGENT, "")
        await world.settled()
    assert world.counted == (1, 1)
    assert [(line["event"], line["stayed"], line["would"]) for line in logs] == [
        ("bypassing disagrees", "agent", "stt")
    ]


async def test_the_log_does_not_hold_what_was_said(make: Make) -> None:
    world = make()
    with structlog.testing.capture_logs() as logs:
        world.shadow.bypassed(OTHER, ON_AGENT, "a secret")
        await world.settled()
    assert not any(words in str(logs) for words in ("transcribe", "a secret"))


async def test_it_classifies_as_the_turn_itself_would_have_been(make: Make) -> None:
    world = make()
    world.shadow.bypassed(SAME, ON_AGENT, "Write a haiku")
    await world.settled()
    assert world.classifier.classified == [Query("and now shorter", (), "agent", "Write a haiku")]


async def test_a_back_channel_is_classified_too(make: Make) -> None:
    world = make(classifier=FakeClassifier({"": {"stt": 1.0}}))
    world.shadow.bypassed(an_ask("why?"), ON_AGENT, "")
    await world.settled()
    assert world.counted == (1, 1)


async def test_nobody_waits_for_a_check(make: Make) -> None:
    classifier = SlowClassifier()
    world = make(classifier=classifier)
    world.shadow.bypassed(SAME, ON_AGENT, "")  # not awaited, and it returns
    await asyncio.sleep(0)
    assert (classifier.waiting, world.counted) == (1, (0, 0))


async def test_a_burst_is_checked_in_part(make: Make) -> None:
    classifier = SlowClassifier()
    world = make(classifier=classifier)
    for _ in range(10 * MOST_AT_ONCE):
        world.shadow.bypassed(SAME, ON_AGENT, "")
    await asyncio.sleep(0)
    assert classifier.waiting == MOST_AT_ONCE
    classifier.may_go.set()
    await world.settled()
    world.shadow.bypassed(SAME, ON_AGENT, "")  # there is room again
    await world.settled()
    assert world.counted == (MOST_AT_ONCE + 1, 0)


async def test_a_classifier_that_fails_harms_nobody_and_counts_for_nothing(make: Make) -> None:
    world = make()
    world.classifier.failure = RuntimeError("broken")
    with structlog.testing.capture_logs() as logs:
        world.shadow.bypassed(OTHER, ON_AGENT, "")
        await world.settled()
    assert [line["event"] for line in logs] == ["a bypassed turn could not be checked"]
    assert world.counted == (0, 0)
    world.classifier.failure = None
    world.shadow.bypassed(OTHER, ON_AGENT, "")
    await world.settled()
    assert world.counted == (1, 1)


async def test_without_a_session_there_is_nothing_to_disagree_with(make: Make) -> None:
    world = make()
    world.shadow.bypassed(OTHER, None, "")
    await world.settled()
    assert world.counted == (0, 0)


async def test_closing_ends_what_is_under_way(make: Make) -> None:
    classifier = SlowClassifier()
    world = make(classifier=classifier)
    world.shadow.bypassed(SAME, ON_AGENT, "")
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await world.shadow.close()
    assert (classifier.waiting, world.counted) == (0, (0, 0))


async def test_there_may_be_nothing_to_close(make: Make) -> None:
    await make().shadow.close()

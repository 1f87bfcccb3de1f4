"""The router's own policy, and those that it is compared with."""

from typing import Any

import pytest

from smart_router.chooser import Chooser
from smart_router.classify.base import Query
from smart_router.decide.switch import Standing
from smart_router.evaluate.policies import EveryTurn, Margin, Policy, Router, Sticky, policies
from smart_router.types import Decision
from tests.choosing import REGISTRY, FakeClassifier
from tests.fakes import an_ask, settings

pytestmark = pytest.mark.usefixtures("bare_environment")

ON_AGENT = Standing("agent", 0.7)
LEAVING, UNSURE, STAYING = "please transcribe it", "perhaps so", "and now shorter"
# "perhaps": stt leads agent by 0.1


@pytest.fixture
def classifier() -> FakeClassifier:
    return FakeClassifier()


@pytest.fixture
def chooser(classifier: FakeClassifier) -> Chooser:
    return Chooser(REGISTRY, classifier, settings(confidence_threshold=0.35))


async def decided(policy: Policy, text: str, standing: Standing | None = ON_AGENT, **ask: Any) -> Decision:
    return await policy.decide(an_ask(text, **ask), standing, "before")


async def test_the_router_decides_with_the_session_and_what_was_said(
    chooser: Chooser, classifier: FakeClassifier
) -> None:
    assert (await decided(Router("realtime", chooser), STAYING)).bypass
    assert (await decided(Router("realtime", chooser), LEAVING)).reason == "switched"
    assert classifier.classified == [Query(LEAVING, (), "agent", "before")]


async def test_every_turn_is_decided_as_if_it_were_the_first(chooser: Chooser, classifier: FakeClassifier) -> None:
    found = await decided(EveryTurn("every turn", chooser), UNSURE)
    assert (found.use_case, found.reason, found.bypass) == ("stt", "classified", False)
    assert classifier.classified == [Query(UNSURE)]


async def test_a_sticky_session_stays_whatever_is_said(chooser: Chooser, classifier: FakeClassifier) -> None:
    found = await decided(Sticky("sticky", chooser), LEAVING)
    assert (found.use_case, found.confidence, found.bypass) == ("agent", 0.7, True)
    assert classifier.classified == []


async def test_a_sticky_session_goes_where_an_attachment_leads(chooser: Chooser) -> None:
    assert (await decided(Sticky("sticky", chooser), STAYING, modality="audio")).use_case == "stt"


async def test_a_sticky_session_begins_as_any_other(chooser: Chooser) -> None:
    assert (await decided(Sticky("sticky", chooser), LEAVING, None)).use_case == "stt"


@pytest.mark.parametrize(
    ("margin", "text", "use_case"),
    [
        (0.05, UNSURE, "stt"),
        (0.15, UNSURE, "agent"),
        (0.9, LEAVING, "stt"),
        (0.95, LEAVING, "agent"),
        (0.0, STAYING, "agent"),
    ],
)
async def test_with_a_margin_another_use_case_must_lead_by_it(
    chooser: Chooser, margin: float, text: str, use_case: str
) -> None:
    assert (await decided(Margin(chooser, margin), text)).use_case == use_case


async def test_a_margin_counts_neither_on_first_turns_nor_against_attachments(chooser: Chooser) -> None:
    wide = Margin(chooser, 1.0)
    assert (await decided(wide, LEAVING, None)).use_case == "stt"
    assert (await decided(wide, STAYING, modality="audio")).use_case == "stt"


def test_all_that_are_compared_have_names_of_their_own_and_the_router_comes_first(chooser: Chooser) -> None:
    names = [policy.name for policy in policies(chooser, chooser)]
    assert names == ["realtime", "standard", "sticky", "every turn", "margin 0.4", "margin 0.8"]


async def test_the_two_modes_are_the_two_choosers(classifier: FakeClassifier, chooser: Chooser) -> None:
    standard = Chooser(REGISTRY, classifier, settings(routing_mode="standard"))
    first, second, *_ = policies(chooser, standard)
    assert ((await decided(first, STAYING)).bypass, (await decided(second, STAYING)).bypass) == (True, False)


def test_a_lane_is_that_of_the_model_that_answers(chooser: Chooser) -> None:
    assert [policy.lane("stt") for policy in policies(chooser, chooser)] == ["hearer"] * 6

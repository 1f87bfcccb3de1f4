"""The pure decision, fed by the registry and the classifier."""

from typing import Any

import pytest

from smart_router.chooser import Chooser, policy_from
from smart_router.classify.classifier import Classifier
from smart_router.classify.train import train_head
from smart_router.decide.switch import Standing
from smart_router.errors import BadRequest, UnknownUseCase
from smart_router.types import Decision
from tests.classify.worlds import EXAMPLES, USE_CASES
from tests.fakes import a_model, a_registry, a_use_case, an_ask, an_image, settings

pytestmark = pytest.mark.usefixtures("bare_environment")

REGISTRY = a_registry(
    a_model("writer"),
    a_model("seer", accepts=["text", "image"]),
    a_model("hearer", accepts=["text", "audio"]),
    use_cases=[
        a_use_case("agent", "writer"),
        a_use_case("multimodal", "seer", modalities=["text", "image"]),
        a_use_case("stt", "hearer", modalities=["text", "audio"]),
    ],
)


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier(train_head(EXAMPLES, USE_CASES, None, "none"), None)


@pytest.fixture
def choose(classifier: Classifier) -> Any:
    async def choose_one(standing: str | None = None, *, explain: bool = False, **ask: Any) -> Decision:
        chooser = Chooser(REGISTRY, classifier, settings())
        return await chooser.choose(an_ask(**ask), Standing(standing, 0.9) if standing else None, explain=explain)

    return choose_one


async def test_a_first_turn_is_classified(choose: Any) -> None:
    found = await choose(query="please transcribe the recording")
    assert (found.use_case, found.reason) == ("stt", "degraded")


async def test_a_follow_up_skips_the_classifier(choose: Any) -> None:
    found = await choose("agent", query="and now shorter")
    assert (found.use_case, found.bypass, found.scores) == ("agent", True, {})


async def test_explaining_a_bypass_gives_scores_and_the_same_choice(choose: Any) -> None:
    found = await choose("agent", query="and now shorter", explain=True)
    assert (found.use_case, found.bypass) == ("agent", True)
    assert set(found.scores) == set(USE_CASES)


async def test_an_attachment_decides(choose: Any) -> None:
    found = await choose("agent", query="look", attachments=(an_image(),))
    assert (found.use_case, found.reason, found.context_changed) == ("multimodal", "modality", True)


async def test_a_session_of_a_use_case_that_is_gone_begins_anew(choose: Any) -> None:
    found = await choose("retired", query="please transcribe the recording")
    assert (found.use_case, found.context_changed, found.because.session) == ("stt", False, None)


async def test_an_unknown_use_case_is_told_with_the_known_ones(choose: Any) -> None:
    with pytest.raises(UnknownUseCase, match="agent, multimodal, stt"):
        await choose(use_case="agnt")


async def test_an_attachment_that_nobody_takes_is_told(classifier: Classifier) -> None:
    blind = Chooser(a_registry(a_model("writer")), classifier, settings())
    with pytest.raises(BadRequest, match="attachments: no use case here takes image"):
        await blind.choose(an_ask(attachments=(an_image(),)), None)


def test_standard_mode_classifies_every_turn() -> None:
    assert policy_from(REGISTRY, settings()).bypass
    assert not policy_from(REGISTRY, settings(routing_mode="standard")).bypass

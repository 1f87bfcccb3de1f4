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


# requests that are passed on: a model by name, a path of one purpose, media of earlier turns

PASSING = a_registry(
    a_model("writer", fallbacks=["seer"]),
    a_model("seer", accepts=["text", "image"]),
    a_model("hearer", accepts=["text", "audio"], api="transcriptions", fallbacks=["spare-ear"]),
    a_model("spare-ear", accepts=["text", "audio"], capabilities=["transcriptions"]),
    a_model("ranker", capabilities=["rerank"]),
    a_model("unlisted", capabilities=["score"]),
    a_model("agent"),  # called like a use case
    use_cases=[
        a_use_case("agent", "writer"),
        a_use_case("multimodal", "seer", "writer", modalities=["text", "image"]),
        a_use_case("stt", "hearer", modalities=["text", "audio"]),
        a_use_case("search", "writer", "ranker"),
    ],
)


@pytest.fixture
def passing(classifier: Classifier) -> Chooser:
    return Chooser(PASSING, classifier, settings())


def names(chooser: Chooser, decision: Decision, **ask: Any) -> list[str]:
    return [model.id for model in chooser.candidates(an_ask(**ask), decision)]


@pytest.mark.parametrize(
    ("model", "standing", "use_case", "changed"),
    [
        ("writer", None, "agent", False),
        ("seer", None, "multimodal", False),
        ("spare-ear", None, "stt", False),  # nobody lists it; one falls back to it
        ("unlisted", None, "agent", False),  # the default
        ("writer", "search", "search", False),
        ("writer", "multimodal", "multimodal", False),
        ("writer", "stt", "agent", True),
        ("seer", "agent", "agent", False),  # as a fallback
        ("hearer", "retired", "stt", False),
    ],
)
async def test_a_named_model_is_taken_in_the_sessions_use_case_if_it_serves_that(
    passing: Chooser, model: str, standing: str | None, use_case: str, changed: bool
) -> None:
    found = await passing.choose(an_ask(model=model), Standing(standing, 0.9) if standing else None)
    assert (found.use_case, found.reason, found.confidence) == (use_case, "explicit", 1.0)
    assert found.context_changed == changed
    assert names(passing, found, model=model)[0] == model


async def test_a_named_model_is_not_classified(passing: Chooser) -> None:
    found = await passing.choose(an_ask("please transcribe the recording", model="writer"), None, explain=True)
    assert (found.use_case, found.scores) == ("agent", {})


async def test_a_named_model_has_its_own_fallbacks_and_no_others(passing: Chooser) -> None:
    decision = await passing.choose(an_ask(model="writer"), Standing("search", 0.9))
    assert names(passing, decision, model="writer") == ["writer", "seer"]
    assert names(passing, decision, model="writer", held_at="http://a:8000") == ["writer"]


async def test_a_named_model_is_asked_whatever_is_attached_but_its_fallbacks_must_take_it(passing: Chooser) -> None:
    """It is the model server's to refuse."""
    decision = await passing.choose(an_ask(model="writer", media=frozenset({"audio"})), None)
    assert names(passing, decision, model="writer", media=frozenset({"audio"})) == ["writer"]
    assert names(passing, decision, model="writer", carried=frozenset({"audio"})) == ["writer"]
    assert names(passing, decision, model="writer", media=frozenset({"image"})) == ["writer", "seer"]


@pytest.mark.parametrize("model_first", [True, False])
async def test_a_model_called_like_a_use_case_is_not_it(passing: Chooser, model_first: bool) -> None:
    by_model, by_use_case = an_ask(model="agent"), an_ask(use_case="agent")
    for ask in (by_model, by_use_case) if model_first else (by_use_case, by_model):
        decision = await passing.choose(ask, None)
        expected = ["agent"] if ask.model else ["writer", "seer"]
        assert [model.id for model in passing.candidates(ask, decision)] == expected


@pytest.mark.parametrize(
    ("needs", "usual", "use_case", "reason", "models"),
    [
        ({"transcriptions"}, None, "stt", "modality", ["hearer", "spare-ear"]),
        ({"rerank", "reranking"}, None, "search", "modality", ["ranker"]),
        ({"rerank", "reranking"}, "no-such", "search", "modality", ["ranker"]),
        ({"rerank"}, "stt", "stt", "modality", ["hearer", "spare-ear"]),  # meant, though nothing there can
    ],
)
async def test_a_path_of_one_purpose_leads_to_the_usual_use_case_or_to_a_model_that_can(
    passing: Chooser, needs: set[str], usual: str | None, use_case: str, reason: str, models: list[str]
) -> None:
    wanted: dict[str, Any] = {"needs": frozenset(needs), "usual": usual}
    found = await passing.choose(an_ask("", **wanted), Standing("agent", 0.9))
    assert (found.use_case, found.reason) == (use_case, reason)
    assert names(passing, found, **wanted) == models


async def test_a_use_case_that_is_named_beats_the_usual_one(passing: Chooser) -> None:
    wanted: dict[str, Any] = {"needs": frozenset({"rerank"}), "usual": "stt", "use_case": "search"}
    found = await passing.choose(an_ask(**wanted), None)
    assert (found.use_case, found.reason) == ("search", "explicit")
    assert names(passing, found, **wanted) == ["ranker"]
    assert names(passing, found) == ["writer", "ranker", "seer"], "without the need, all of them"


async def test_what_no_model_can_is_told(passing: Chooser) -> None:
    with pytest.raises(BadRequest, match="model: no model here is registered for embedding or embeddings"):
        await passing.choose(an_ask(needs=frozenset({"embeddings", "embedding"})), None)


async def test_only_models_of_a_use_case_count_for_a_need(passing: Chooser) -> None:
    with pytest.raises(BadRequest, match="registered for score"):
        await passing.choose(an_ask(needs=frozenset({"score"})), None)


IMAGE: frozenset[Any] = frozenset({"image"})


async def test_media_of_earlier_turns_need_a_model_that_takes_them(passing: Chooser) -> None:
    found = await passing.choose(an_ask("and now shorter", carried=IMAGE), Standing("multimodal", 0.9))
    assert found.use_case == "multimodal"
    assert names(passing, found, carried=IMAGE) == ["seer"]
    assert names(passing, found) == ["seer", "writer"]


async def test_media_of_earlier_turns_and_of_this_one_must_both_be_taken(passing: Chooser) -> None:
    with pytest.raises(BadRequest, match="attachments: no use case here takes audio"):
        await passing.choose(an_ask("and this", media=frozenset({"audio"}), carried=IMAGE), None)


async def test_media_that_the_named_use_case_does_not_take_are_told(passing: Chooser) -> None:
    found = await passing.choose(an_ask("and this", use_case="stt", carried=IMAGE), None)
    with pytest.raises(BadRequest, match="no model of use case stt takes image"):
        passing.candidates(an_ask(use_case="stt", carried=IMAGE), found)

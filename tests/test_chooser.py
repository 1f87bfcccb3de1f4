"""The pure decision, fed by the registry and the classifier."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from smart_router.chooser import Chooser, policy_from
from smart_router.classify.base import Query
from smart_router.decide.switch import BACK_CHANNEL, NOTHING_SAID, PINNED, SECOND_OPINION, Standing
from smart_router.errors import BadRequest, Forbidden, UnknownUseCase
from smart_router.second_opinion import SecondOpinion
from smart_router.types import Decision, Grant
from tests.choosing import REGISTRY, USE_CASES, FakeClassifier
from tests.fakes import a_model, a_registry, a_use_case, an_ask, an_image, settings

pytestmark = pytest.mark.usefixtures("bare_environment")


@dataclass
class FakeOpinion:
    """Is always of one *opinion*; None: it does not say in time. Records what it was asked."""

    opinion: str | None = None
    below: float = 0.5
    asked: list[tuple[Query, tuple[str, ...]]] = field(default_factory=list)

    async def on(self, query: Query, use_cases: Sequence[str]) -> str | None:
        self.asked.append((query, tuple(use_cases)))
        return self.opinion


@pytest.fixture
def classifier() -> FakeClassifier:
    return FakeClassifier(full=False)


@pytest.fixture
def choose(classifier: FakeClassifier) -> Any:
    async def choose_one(
        standing: str | None = None,
        previous: str = "",
        *,
        explain: bool = False,
        second: FakeOpinion | None = None,
        mode: str = "realtime",
        **ask: Any,
    ) -> Decision:
        chooser = Chooser(
            REGISTRY,
            classifier,
            settings(routing_mode=mode, confidence_threshold=0.35),
            cast("SecondOpinion | None", second),
        )
        stands = Standing(standing, 0.9) if standing else None
        return await chooser.choose(an_ask(**ask), stands, previous, explain=explain)

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


async def test_an_attachment_that_nobody_takes_is_told(classifier: FakeClassifier) -> None:
    blind = Chooser(a_registry(a_model("writer")), classifier, settings())
    with pytest.raises(BadRequest, match="attachments: no use case here takes image"):
        await blind.choose(an_ask(attachments=(an_image(),)), None)


# what a person asked of the session


@pytest.fixture
def chooser(classifier: FakeClassifier) -> Chooser:
    return Chooser(REGISTRY, classifier, settings(confidence_threshold=0.35))


def pinned(use_case: str, standing: str = "agent") -> Standing:
    return Standing(standing, 0.9, pinned=use_case)


async def test_a_pinned_session_asks_the_classifier_nothing(chooser: Chooser, classifier: FakeClassifier) -> None:
    found = await chooser.choose(an_ask("please transcribe the recording"), pinned("multimodal"))
    assert (found.use_case, found.reason, found.because.note) == ("multimodal", "session", PINNED)
    assert (classifier.guarded, classifier.classified) == ([], [])


async def test_what_the_pinned_use_case_does_not_take_is_refused_with_what_to_do(chooser: Chooser) -> None:
    ask = an_ask("look", attachments=(an_image(),), session_id="s1")
    with pytest.raises(
        BadRequest, match="attachments: the session is pinned to agent, which does not take image"
    ) as exc:
        await chooser.choose(ask, pinned("agent"))
    assert 'PATCH /sessions/s1 with {"use_case": null}' in str(exc.value)


async def test_nor_is_what_an_earlier_turn_brought_and_the_model_would_see_again(chooser: Chooser) -> None:
    with pytest.raises(BadRequest, match="does not take image"):
        await chooser.choose(an_ask("and now", carried=frozenset({"image"})), pinned("agent"))


async def test_a_picture_that_a_model_of_the_pinned_use_case_takes_stays_with_it(chooser: Chooser) -> None:
    found = await chooser.choose(an_ask("transcribe this", attachments=(an_image(),)), pinned("multimodal"))
    assert (found.use_case, found.reason, found.because.conflict) == ("multimodal", "session", "")


async def test_a_hint_alone_does_not_leave_the_pinned_use_case(chooser: Chooser) -> None:
    assert (await chooser.choose(an_ask("look", modality="image"), pinned("agent"))).use_case == "agent"


async def test_an_explicit_use_case_wins_over_the_pin_also_with_a_picture(chooser: Chooser) -> None:
    ask = an_ask("look", attachments=(an_image(),), use_case="multimodal")
    assert (await chooser.choose(ask, pinned("agent"))).reason == "explicit"


async def test_a_pin_to_a_use_case_that_is_gone_is_none(chooser: Chooser) -> None:
    found = await chooser.choose(an_ask("and now shorter"), pinned("retired"))
    assert (found.use_case, found.because.note) == ("agent", "")


async def test_a_pinned_session_of_a_use_case_that_is_gone_goes_on_where_it_is_pinned(chooser: Chooser) -> None:
    found = await chooser.choose(an_ask("and now shorter"), pinned("stt", "retired"))
    assert (found.use_case, found.context_changed) == ("stt", False)
    assert (await chooser.choose(an_ask("Write a haiku"), pinned("retired", "retired"))).reason != "session"


async def test_explaining_a_pin_gives_scores_all_the_same(chooser: Chooser) -> None:
    found = await chooser.choose(an_ask("and now shorter"), pinned("stt"), explain=True)
    assert (found.use_case, set(found.scores)) == ("stt", set(USE_CASES))


async def test_a_session_whose_bypass_is_off_is_classified(chooser: Chooser, classifier: FakeClassifier) -> None:
    found = await chooser.choose(an_ask("and now shorter"), Standing("agent", 0.9, bypass=False))
    assert (found.use_case, found.reason, found.bypass) == ("agent", "session", False)
    assert len(classifier.classified) == 1


# what the classifier sees


async def test_the_classifier_and_the_guard_see_where_the_session_stands_and_what_was_said_before(
    choose: Any, classifier: FakeClassifier
) -> None:
    await choose("agent", "Write a haiku", query="please transcribe the recording")
    seen = Query("please transcribe the recording", (), "agent", "Write a haiku")
    assert (classifier.guarded, classifier.classified) == ([seen], [seen])


async def test_on_a_first_turn_the_classifier_sees_no_session(choose: Any, classifier: FakeClassifier) -> None:
    await choose(query="please transcribe the recording")
    assert classifier.classified == [Query("please transcribe the recording")]


async def test_a_use_case_that_is_gone_is_no_session_for_the_classifier(
    choose: Any, classifier: FakeClassifier
) -> None:
    await choose("retired", "Hello", query="please transcribe the recording")
    assert classifier.classified[0].standing is None


async def test_the_classifier_sees_what_came_with_the_turn(choose: Any, classifier: FakeClassifier) -> None:
    await choose(query="look", attachments=(an_image(),), explain=True)
    assert classifier.classified == [Query("look", ("image",))]


@pytest.mark.parametrize(("query", "note"), [("why?", BACK_CHANNEL), ("👍", NOTHING_SAID)])
async def test_what_cannot_lead_elsewhere_is_shown_to_nobody(
    choose: Any, classifier: FakeClassifier, query: str, note: str
) -> None:
    found = await choose("stt", "transcribe it", query=query)
    assert (found.use_case, found.bypass, found.because.note) == ("stt", True, note)
    assert (classifier.guarded, classifier.classified) == ([], [])


async def test_a_first_turn_without_words_is_the_default_use_case(choose: Any, classifier: FakeClassifier) -> None:
    found = await choose(query="???")
    assert (found.use_case, found.reason, classifier.classified) == ("agent", "fallback", [])


# standard mode


async def test_standard_mode_classifies_every_turn(choose: Any, classifier: FakeClassifier) -> None:
    found = await choose("agent", query="and now shorter", mode="standard")
    assert (found.use_case, found.reason, found.bypass) == ("agent", "session", False)
    assert found.scores
    assert (len(classifier.classified), classifier.guarded) == (1, [])


async def test_standard_mode_classifies_back_channels(choose: Any, classifier: FakeClassifier) -> None:
    found = await choose("stt", query="why?", mode="standard")
    assert (found.use_case, found.reason, found.bypass) == ("stt", "session", False)
    assert len(classifier.classified) == 1


# hint and text in conflict


async def test_a_text_that_asks_for_something_else_than_its_attachment_is_told(choose: Any) -> None:
    found = await choose(query="transcribe it", attachments=(an_image(),))
    assert (found.use_case, found.because.conflict) == ("multimodal", "stt")


async def test_a_hint_is_compared_as_an_attachment_is(choose: Any) -> None:
    found = await choose("agent", query="look at this picture", modality="audio")
    assert (found.use_case, found.because.hint, found.because.conflict) == ("stt", ("audio",), "multimodal")


async def test_for_the_comparison_the_text_is_seen_alone(choose: Any, classifier: FakeClassifier) -> None:
    await choose("agent", "Hello", query="transcribe it", attachments=(an_image(),))
    assert classifier.guarded == [Query("transcribe it")]


@pytest.mark.parametrize(
    "ask",
    [
        {"query": "what is in this picture?", "modality": "image"},
        {"query": "perhaps this one", "modality": "image"},
        {"query": "transcribe it"},
        {"query": "transcribe it", "modality": "text"},
    ],
    ids=["it takes that", "not clear", "nothing came", "text is no medium"],
)
async def test_otherwise_hint_and_text_agree(choose: Any, ask: dict[str, Any]) -> None:
    assert (await choose(**ask)).because.conflict == ""


# a second opinion

UNSURE = "perhaps one, perhaps the other"


async def test_a_second_opinion_decides_what_the_classifier_is_not_sure_of(choose: Any) -> None:
    second = FakeOpinion("multimodal")
    found = await choose(query=UNSURE, second=second)
    assert (found.use_case, found.reason, found.because.note) == ("multimodal", "classified", SECOND_OPINION)
    assert second.asked == [(Query(UNSURE), USE_CASES)]


async def test_a_second_opinion_may_move_a_session(choose: Any) -> None:
    second = FakeOpinion("multimodal")
    found = await choose("agent", "Hello", query=UNSURE, second=second)
    assert (found.use_case, found.reason, found.context_changed) == ("multimodal", "switched", True)
    assert second.asked[0][0] == Query(UNSURE, (), "agent", "Hello")


async def test_without_an_opinion_in_time_the_classifiers_choice_stands(choose: Any) -> None:
    second = FakeOpinion(None)
    assert await choose(query=UNSURE, second=second) == await choose(query=UNSURE)
    assert len(second.asked) == 1


@pytest.mark.parametrize(("below", "asked"), [(0.39, 0), (0.4, 0), (0.41, 1), (1.0, 1), (0.0, 0)])
async def test_a_second_opinion_is_asked_for_below_its_bound_only(choose: Any, below: float, asked: int) -> None:
    second = FakeOpinion(below=below)
    await choose(query=UNSURE, second=second)
    assert len(second.asked) == asked


@pytest.mark.parametrize(
    ("standing", "ask"),
    [
        (None, {"modality": "image"}),
        (None, {"attachments": (an_image(),)}),
        (None, {"use_case": "stt"}),
        (None, {"model": "writer"}),
        (None, {"query": "???"}),
        ("agent", {"query": "why?"}),
        ("agent", {"query": "and now shorter"}),
    ],
    ids=["hint", "attachment", "use case", "model", "no words", "back-channel", "bypass"],
)
async def test_a_second_opinion_is_not_asked_for_where_nothing_is_classified_by_words(
    choose: Any, standing: str | None, ask: dict[str, Any]
) -> None:
    second = FakeOpinion("multimodal", below=1.0)
    await choose(standing, second=second, **({"query": UNSURE} | ask))
    assert second.asked == []


async def test_media_that_several_use_cases_take_need_no_second_opinion(classifier: FakeClassifier) -> None:
    two = a_registry(
        a_model("seer", accepts=["text", "image"]),
        use_cases=[a_use_case(name, "seer", modalities=["text", "image"]) for name in ("multimodal", "agent")],
    )
    second = FakeOpinion("agent", below=1.0)
    chooser = Chooser(two, classifier, settings(), cast(SecondOpinion, second))
    assert (await chooser.choose(an_ask(UNSURE, attachments=(an_image(),)), None)).reason == "modality"
    assert second.asked == []


# the policy


def test_the_policy_is_what_the_settings_say() -> None:
    found = policy_from(
        REGISTRY,
        settings(switch_margin=0.31, return_margin=0.11, guard_threshold=0.22, conflict_threshold=0.83),
    )
    assert (found.default_use_case, found.bypass) == ("agent", True)
    assert (found.margin, found.return_margin, found.guard, found.conflict) == (0.31, 0.11, 0.22, 0.83)
    assert not policy_from(REGISTRY, settings(routing_mode="standard")).bypass


def test_a_use_case_without_a_threshold_of_its_own_has_that_of_the_settings() -> None:
    use_cases = [a_use_case("agent"), a_use_case("stt", threshold=0.7), a_use_case("tts", threshold=0.0)]
    found = policy_from(a_registry(a_model(), use_cases=use_cases), settings(confidence_threshold=0.42))
    assert found.thresholds == {"agent": 0.42, "stt": 0.7, "tts": 0.0}


def test_the_lane_of_a_use_case_is_that_of_its_first_model(classifier: FakeClassifier) -> None:
    models = a_model("first", group="gpu1"), a_model("second", group="gpu2")
    use_cases = [a_use_case("agent", "first", "second"), a_use_case("stt", "second")]
    chooser = Chooser(a_registry(*models, use_cases=use_cases), classifier, settings())
    assert (chooser.lane("agent"), chooser.lane("stt")) == ("gpu1", "gpu2")


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
def passing(classifier: FakeClassifier) -> Chooser:
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


# what the caller's key is for


def limited(use_cases: Sequence[str] | None = None, models: Sequence[str] | None = None) -> Grant:
    return Grant(
        "ann",
        frozenset(("route",)),
        None if use_cases is None else frozenset(use_cases),
        None if models is None else frozenset(models),
    )


PAIR = a_registry(
    a_model("large", fallbacks=["small"]), a_model("small"), use_cases=[a_use_case("agent", "large", "small")]
)


def permitted(grant: Grant, model: str | None = None) -> list[str]:
    found = Chooser(PAIR, FakeClassifier(), settings()).candidates(
        an_ask(model=model, grant=grant), Decision("agent", 1.0, "explicit")
    )
    return [model.id for model in found]


@pytest.mark.parametrize(
    ("grant", "expected"),
    [
        (limited(), ["large", "small"]),
        (limited(["agent", "tts"]), ["large", "small"]),
        (limited(models=["small"]), ["small"]),
        (limited(["agent"], ["small", "large"]), ["large", "small"]),
    ],
)
def test_of_the_models_those_are_left_that_the_key_is_for(grant: Grant, expected: list[str]) -> None:
    assert permitted(grant) == expected


@pytest.mark.parametrize(
    ("grant", "says"),
    [
        (limited(["tts", "stt"]), "not for agent; it is for stt, tts"),
        (limited([]), "it is for nothing"),
        (limited(models=["other"]), "not for large or small; .*: other"),
        (limited(models=[]), ": none"),
    ],
)
def test_where_none_is_left_that_is_forbidden(grant: Grant, says: str) -> None:
    with pytest.raises(Forbidden, match=says):
        permitted(grant)


def test_a_model_that_the_client_named_is_not_replaced_by_one_that_it_may_have() -> None:
    assert permitted(limited(models=["large"]), model="large") == ["large"]
    with pytest.raises(Forbidden, match="not for large; the models that it is for: small"):
        permitted(limited(models=["small"]), model="large")

"""The numbered cases of `decide` and `settle`, and what follows them."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.switch import (
    BACK_CHANNEL,
    NOTHING_SAID,
    PINNED,
    SECOND_OPINION,
    NeedsScores,
    NotTaken,
    Policy,
    Standing,
    Turn,
    conflict,
    decide,
    overruled,
    settle,
    together,
)
from smart_router.types import Because, Decision, MediaKind

ALL = ("agent", "multimodal", "stt")


def a_turn(*admitted: str, media: tuple[MediaKind, ...] = (), explicit: str | None = None, said: str = "") -> Turn:
    return Turn(admitted or ALL, media, explicit, said)


def a_policy(threshold: float = 0.4, **changed: Any) -> Policy:
    """*threshold* is that of every use case."""
    usual: dict[str, Any] = {
        "default_use_case": "agent",
        "bypass": True,
        "thresholds": dict.fromkeys((*ALL, "tts", "new", "newer"), threshold),
        "margin": 0.3,
        "return_margin": 0.1,
        "guard": 0.5,
        "conflict": 0.8,
    }
    return Policy(**usual | changed)


def unasked() -> NoReturn:
    raise AssertionError("the guard was asked")


def settled(turn: Turn, standing: Standing | None = None, cues: Mapping[str, float] | None = None) -> Decision:
    found = decide(turn, standing, lambda: cues or {}, a_policy())
    assert isinstance(found, Decision)
    return found


def settled_unasked(turn: Turn, standing: Standing | None = None, **policy: Any) -> Decision:
    found = decide(turn, standing, unasked, a_policy(**policy))
    assert isinstance(found, Decision)
    return found


def needed(turn: Turn, standing: Standing | None = None, cues: Mapping[str, float] | None = None) -> NeedsScores:
    found = decide(turn, standing, lambda: cues or {}, a_policy())
    assert isinstance(found, NeedsScores)
    return found


def needed_unasked(turn: Turn, standing: Standing | None = None, **policy: Any) -> NeedsScores:
    found = decide(turn, standing, unasked, a_policy(**policy))
    assert isinstance(found, NeedsScores)
    return found


ON_STT = Standing("stt", 0.8)
ON_AGENT = Standing("agent", 0.7)
BACK_ON_STT = Standing("stt", 0.8, frozenset({"agent"}))  # after agent


# decide


def test_1_an_explicit_use_case_is_obeyed() -> None:
    found = settled(a_turn(explicit="stt"))
    assert (found.use_case, found.confidence, found.reason, found.bypass) == ("stt", 1.0, "explicit", False)


def test_1_an_explicit_use_case_wins_over_media_and_session() -> None:
    found = settled(a_turn("multimodal", media=("image",), explicit="stt"), ON_AGENT)
    assert (found.use_case, found.reason, found.context_changed) == ("stt", "explicit", True)


def test_1_an_explicit_use_case_wins_over_there_being_nothing_to_read() -> None:
    assert settled(a_turn(explicit="stt", said=NOTHING_SAID)).reason == "explicit"


def test_1_choosing_the_sessions_own_use_case_is_no_change_and_no_bypass() -> None:
    found = settled(a_turn(explicit="stt"), ON_STT)
    assert (found.context_changed, found.bypass) == (False, False)


def pinned(use_case: str, **said: Any) -> Standing:
    """A session that stands with agent."""
    return Standing("agent", 0.7, pinned=use_case, **said)


def test_1_an_explicit_use_case_wins_over_a_pin() -> None:
    found = settled(a_turn(explicit="stt"), pinned("multimodal"))
    assert (found.use_case, found.reason, found.because.note) == ("stt", "explicit", "")


@pytest.mark.parametrize("said", ["", BACK_CHANNEL, NOTHING_SAID])
def test_1_a_pin_is_obeyed_whatever_is_said_and_nobody_is_asked(said: str) -> None:
    found = settled_unasked(a_turn(said=said), pinned("stt"))
    assert (found.use_case, found.confidence, found.reason, found.bypass) == ("stt", 1.0, "session", True)
    assert (found.context_changed, found.because.note, found.because.session) == (True, PINNED, "agent")


def test_1_a_pin_to_where_the_session_is_changes_nothing() -> None:
    assert settled_unasked(a_turn(), pinned("agent")).context_changed is False


def test_1_a_pin_is_obeyed_whatever_is_hinted_at() -> None:
    found = settled_unasked(a_turn("stt", "agent", media=("image",)), pinned("stt"))
    assert (found.use_case, found.reason, found.because.hint) == ("stt", "session", ("image",))


def test_1_what_the_pinned_use_case_cannot_take_is_given_to_no_other() -> None:
    found = decide(a_turn("multimodal", media=("image",)), pinned("stt"), unasked, a_policy())
    assert found == NotTaken("stt")


@pytest.mark.parametrize(("mode", "said"), [(False, None), (True, False)])
def test_1_a_pin_is_no_bypass_where_that_is_off(mode: bool, said: bool | None) -> None:
    found = settled_unasked(a_turn(), pinned("stt", bypass=said), bypass=mode)
    assert (found.use_case, found.bypass) == ("stt", False)


def test_2_media_that_admit_one_use_case_decide() -> None:
    found = settled(a_turn("multimodal", media=("image",)), ON_AGENT)
    assert (found.use_case, found.reason, found.confidence) == ("multimodal", "modality", 1.0)
    assert found.context_changed
    assert found.because.hint == ("image",)


def test_2_media_that_admit_only_the_sessions_use_case_leave_it_standing() -> None:
    found = settled(a_turn("stt", media=("audio",)), ON_STT)
    assert (found.reason, found.bypass, found.confidence) == ("session", True, 0.8)


def test_2_without_bypass_media_that_admit_only_the_sessions_use_case_are_no_bypass() -> None:
    found = settled_unasked(a_turn("stt", media=("audio",)), ON_STT, bypass=False)
    assert (found.use_case, found.reason, found.bypass, found.context_changed) == ("stt", "modality", False, False)


def test_2_a_single_use_case_without_media_is_still_classified_on_the_first_turn() -> None:
    assert needed(a_turn("agent")).turn.admitted == ("agent",)


def test_3_with_nothing_to_read_the_session_stands_and_nobody_is_asked() -> None:
    found = settled_unasked(a_turn(said=NOTHING_SAID), ON_STT)
    assert (found.use_case, found.confidence, found.reason, found.bypass) == ("stt", 0.8, "session", True)
    assert found.because.note == NOTHING_SAID


def test_3_without_bypass_nothing_to_read_leaves_the_session_but_is_no_bypass() -> None:
    found = settled_unasked(a_turn(said=NOTHING_SAID), ON_STT, bypass=False)
    assert (found.use_case, found.reason, found.bypass, found.context_changed) == ("stt", "session", False, False)


def test_3_a_first_turn_with_nothing_to_read_is_the_default_use_case_by_chance() -> None:
    found = settled_unasked(a_turn("multimodal", "agent", said=NOTHING_SAID))
    assert (found.use_case, found.confidence, found.reason) == ("agent", 0.5, "fallback")
    assert found.because.note == NOTHING_SAID


def test_3_where_the_default_use_case_is_not_admitted_nothing_to_read_is_the_first_that_is() -> None:
    found = settled_unasked(a_turn("multimodal", "stt", said=NOTHING_SAID), ON_AGENT)
    assert (found.use_case, found.reason, found.context_changed) == ("multimodal", "fallback", True)


def test_3_media_are_something_to_go_by_though_there_is_nothing_to_read() -> None:
    assert needed(a_turn("multimodal", "stt", media=("video",), said=NOTHING_SAID)).because.hint == ("video",)


def test_4_a_first_turn_is_classified_and_the_guard_is_not_asked() -> None:
    assert needed_unasked(a_turn()).because.session is None


def test_4_a_back_channel_is_classified_on_a_first_turn() -> None:
    needed_unasked(a_turn(said=BACK_CHANNEL))


@pytest.mark.parametrize("said", ["", BACK_CHANNEL])
def test_4_without_bypass_every_turn_is_classified_and_the_guard_is_not_asked(said: str) -> None:
    assert needed_unasked(a_turn(said=said), ON_STT, bypass=False).because.session == "stt"


def test_4_a_session_whose_bypass_is_off_is_classified_as_in_standard_mode() -> None:
    off = Standing("agent", 0.7, bypass=False)
    assert needed_unasked(a_turn(), off) == needed_unasked(a_turn(), ON_AGENT, bypass=False)
    assert needed_unasked(a_turn(said=BACK_CHANNEL), off).turn.said == BACK_CHANNEL
    assert settled_unasked(a_turn(said=NOTHING_SAID), off).bypass is False
    assert settled_unasked(a_turn("agent", media=("image",)), off).reason == "modality"


def test_4_a_session_whose_bypass_is_on_is_bypassed_in_standard_mode_too() -> None:
    on = Standing("agent", 0.7, bypass=True)
    found = decide(a_turn(), on, dict, a_policy(bypass=False))
    assert isinstance(found, Decision)
    assert (found.use_case, found.bypass) == ("agent", True)


@pytest.mark.parametrize("said", ["", BACK_CHANNEL, NOTHING_SAID])
def test_5_media_that_the_standing_use_case_does_not_take_are_classified_without_the_guard(said: str) -> None:
    found = needed_unasked(a_turn("stt", "tts", media=("audio",), said=said), ON_AGENT)
    assert "does not take" in found.because.note


@pytest.mark.parametrize("said", ["", BACK_CHANNEL, NOTHING_SAID])
def test_5_media_that_admit_several_are_never_ignored(said: str) -> None:
    found = needed_unasked(a_turn("stt", "tts", media=("audio",), said=said), ON_STT)
    assert (found.because.hint, found.because.note) == (("audio",), "")


@pytest.mark.parametrize("said", ["", BACK_CHANNEL])
def test_5_what_earlier_turns_brought_is_never_left_with_a_use_case_that_does_not_take_it(said: str) -> None:
    found = needed_unasked(a_turn("multimodal", "stt", said=said), ON_AGENT)
    assert (found.because.hint, found.turn.admitted) == ((), ("multimodal", "stt"))
    assert "does not take" in found.because.note


def test_6_a_back_channel_leaves_the_session_as_it_is_and_nobody_is_asked() -> None:
    found = settled_unasked(a_turn(said=BACK_CHANNEL), ON_STT)
    assert (found.use_case, found.confidence, found.reason, found.bypass) == ("stt", 0.8, "session", True)
    assert found.because.note == BACK_CHANNEL


def test_7_cues_of_another_use_case_alarm_the_guard() -> None:
    found = needed(a_turn(), ON_STT, {"agent": 0.6, "stt": 0.4})
    assert found.because.cues == {"agent": 0.6, "multimodal": 0.0}


def test_7_the_guards_threshold_itself_alarms() -> None:
    assert needed(a_turn(), ON_STT, {"agent": 0.5}).because.cues["agent"] == 0.5


def test_7_cues_of_several_other_use_cases_alarm_the_guard_together() -> None:
    found = needed(a_turn(), ON_STT, {"agent": 0.25, "multimodal": 0.25, "stt": 0.5})
    assert found.because.cues == {"agent": 0.25, "multimodal": 0.25}


@pytest.mark.parametrize(
    "cues",
    [{}, {"agent": 0.49}, {"agent": 0.24, "multimodal": 0.25}, {"stt": 0.99}, {"tts": 0.99}],
    ids=["none", "weak", "weak together", "its own", "not admitted"],
)
def test_8_without_an_alarm_the_session_stands(cues: Mapping[str, float]) -> None:
    found = settled(a_turn(), ON_STT, cues)
    assert (found.use_case, found.confidence, found.reason) == ("stt", 0.8, "session")
    assert found.bypass
    assert not found.context_changed


# what comes with a later turn


def test_scores_of_the_turn_alone_and_within_its_session_count_alike() -> None:
    found = together({"agent": 0.9, "stt": 0.1}, {"agent": 0.4, "stt": 0.6})
    assert found == pytest.approx({"agent": 0.6, "stt": math.sqrt(0.06)})


def test_what_one_of_the_two_rules_out_is_ruled_out() -> None:
    assert together({"agent": 1.0}, {"stt": 1.0}) == {"agent": 0.0}


# settle


def chosen(
    scores: Mapping[str, float],
    standing: Standing | None = None,
    *admitted: str,
    media: tuple[MediaKind, ...] = (),
    full: bool = True,
    **policy: Any,
) -> Decision:
    asked = needed_unasked(a_turn(*admitted, media=media), standing, bypass=False)
    return settle(asked, scores, standing, a_policy(**policy), full)


def test_1_only_admitted_use_cases_count_and_their_scores_sum_to_one() -> None:
    found = chosen({"agent": 0.8, "multimodal": 0.15, "stt": 0.05}, None, "multimodal", "stt", media=("video",))
    assert found.use_case == "multimodal"
    assert found.scores == pytest.approx({"multimodal": 0.75, "stt": 0.25})
    assert found.confidence == pytest.approx(0.75)


def test_1_use_cases_that_nobody_taught_share_the_probability() -> None:
    assert chosen({"agent": 1.0}, None, "new", "newer", media=("image",)).scores == {"new": 0.5, "newer": 0.5}


def test_2_media_take_the_best_of_the_admitted_even_with_a_session() -> None:
    found = chosen({"agent": 0.0, "multimodal": 0.51, "stt": 0.49}, ON_STT, "multimodal", "stt", media=("image",))
    assert (found.use_case, found.reason, found.context_changed) == ("multimodal", "modality", True)


def test_3_another_use_case_takes_over_with_the_margin() -> None:
    found = chosen({"agent": 0.65, "stt": 0.35, "multimodal": 0.0}, ON_STT)
    assert (found.use_case, found.reason, found.context_changed) == ("agent", "switched", True)


def test_3_the_session_stands_below_the_margin_and_that_is_no_bypass() -> None:
    found = chosen({"agent": 0.6, "stt": 0.4, "multimodal": 0.0}, ON_STT)
    assert (found.use_case, found.reason, found.bypass) == ("stt", "session", False)
    assert found.confidence == pytest.approx(0.4)
    assert not found.context_changed


def test_3_a_use_case_that_the_session_was_in_before_needs_the_smaller_margin_only() -> None:
    scores = {"agent": 0.6, "stt": 0.4}
    assert (chosen(scores, ON_STT).use_case, chosen(scores, BACK_ON_STT).use_case) == ("stt", "agent")


def test_3_below_the_return_margin_the_session_stands_too() -> None:
    assert chosen({"agent": 0.54, "stt": 0.46}, BACK_ON_STT).use_case == "stt"


def test_3_the_return_margin_is_only_for_the_use_case_that_was_left() -> None:
    assert chosen({"multimodal": 0.6, "stt": 0.4}, BACK_ON_STT).use_case == "stt"


def test_3_with_a_margin_of_zero_the_best_takes_over_and_the_standing_one_is_no_switch_to_itself() -> None:
    assert chosen({"agent": 0.51, "stt": 0.49}, ON_STT, margin=0.0).reason == "switched"
    assert chosen({"agent": 0.1, "stt": 0.9}, ON_STT, margin=0.0).reason == "session"


@pytest.mark.parametrize("scores", [{"agent": 0.5, "stt": 0.5}, {}], ids=["a tie", "nobody was taught"])
def test_3_with_a_margin_of_zero_a_session_stands_that_is_as_good_as_the_best(scores: Mapping[str, float]) -> None:
    assert chosen(scores, BACK_ON_STT, return_margin=0.0).use_case == "stt"


def test_3_a_session_has_no_threshold() -> None:
    assert chosen({"agent": 0.3, "multimodal": 0.3, "stt": 0.4}, ON_STT, threshold=0.9).reason == "session"


def test_4_a_first_turn_takes_the_best_from_the_threshold_on() -> None:
    found = chosen({"stt": 0.4, "agent": 0.3, "multimodal": 0.3})
    assert (found.use_case, found.reason) == ("stt", "classified")
    assert found.confidence == pytest.approx(0.4)
    assert not found.context_changed


def test_4_below_the_threshold_it_is_the_default_use_case_with_its_own_score() -> None:
    found = chosen({"stt": 0.39, "agent": 0.3, "multimodal": 0.31})
    assert (found.use_case, found.reason) == ("agent", "fallback")
    assert found.confidence == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("best", "use_case", "reason"), [("stt", "agent", "fallback"), ("multimodal", "multimodal", "classified")]
)
def test_4_each_use_case_has_a_threshold_of_its_own(best: str, use_case: str, reason: str) -> None:
    thresholds = {"agent": 0.0, "multimodal": 0.5, "stt": 0.7}
    found = chosen({best: 0.6, "agent": 0.4}, thresholds=thresholds)
    assert (found.use_case, found.reason) == (use_case, reason)


def test_4_a_default_that_is_not_admitted_is_no_fallback() -> None:
    found = chosen({"stt": 0.5, "multimodal": 0.5}, None, "multimodal", "stt", threshold=0.9)
    assert (found.use_case, found.reason) == ("multimodal", "classified")


def test_4_without_the_encoder_it_is_degraded() -> None:
    assert chosen({"stt": 0.9, "agent": 0.1}, full=False).reason == "degraded"


def test_4_a_session_whose_use_case_is_not_admitted_is_as_none_but_the_change_is_told() -> None:
    found = chosen({"multimodal": 0.9, "stt": 0.1}, ON_AGENT, "multimodal", "stt")
    assert (found.use_case, found.reason, found.context_changed) == ("multimodal", "classified", True)


# a second opinion


@pytest.mark.parametrize(
    ("opinion", "standing", "reason", "changed"),
    [
        ("stt", None, "classified", False),
        ("stt", ON_STT, "session", False),
        ("stt", ON_AGENT, "switched", True),
    ],
)
def test_a_second_opinion_is_the_choice_with_its_own_score(
    opinion: str, standing: Standing | None, reason: str, changed: bool
) -> None:
    unsure = chosen({"agent": 0.3, "multimodal": 0.4, "stt": 0.3}, standing)
    found = overruled(unsure, opinion, standing)
    assert (found.use_case, found.reason, found.context_changed) == ("stt", reason, changed)
    assert found.confidence == pytest.approx(0.3)
    assert (found.scores, found.bypass) == (unsure.scores, False)
    assert (found.because.note, found.because.session) == (SECOND_OPINION, unsure.because.session)


# conflict


def test_a_text_that_clearly_asks_for_what_does_not_take_the_media_is_a_conflict() -> None:
    turn = a_turn("multimodal", media=("image",))
    assert conflict(turn, {"stt": 0.8, "agent": 0.1, "multimodal": 0.1}, a_policy()) == "stt"


@pytest.mark.parametrize(
    ("admitted", "media", "alone"),
    [
        ("multimodal", ("image",), {"stt": 0.79, "multimodal": 0.21}),
        ("multimodal", ("image",), {"stt": 0.1, "multimodal": 0.9}),
        ("agent", (), {"stt": 1.0}),
    ],
    ids=["not clear", "the one that takes it", "no media"],
)
def test_otherwise_there_is_no_conflict(
    admitted: str, media: tuple[MediaKind, ...], alone: Mapping[str, float]
) -> None:
    assert conflict(a_turn(admitted, media=media), alone, a_policy()) == ""


def test_no_scores_are_no_conflict() -> None:
    assert conflict(a_turn("multimodal", media=("image",)), {}, a_policy()) == ""


# whatever comes

PROBABILITIES = st.dictionaries(st.sampled_from((*ALL, "tts")), st.floats(0, 1), max_size=4)
NAMES = st.sampled_from(ALL)
STANDINGS = st.none() | st.builds(Standing, NAMES, st.floats(0, 1), st.frozensets(NAMES))
POLICIES = st.builds(
    a_policy,
    bypass=st.booleans(),
    threshold=st.floats(0, 1),
    margin=st.floats(0, 1),
    return_margin=st.floats(0, 1),
    guard=st.floats(0, 1),
    default_use_case=NAMES,
)
TURNS = st.builds(
    Turn,
    admitted=st.lists(NAMES, min_size=1, unique=True).map(tuple),
    media=st.sampled_from(((), ("image",), ("audio", "video"))),
    explicit=st.none() | NAMES,
    said=st.sampled_from(("", BACK_CHANNEL, NOTHING_SAID)),
)


def decided(
    turn: Turn, standing: Standing | None, cues: Mapping[str, float], scores: Mapping[str, float], policy: Policy
) -> Decision:
    found = decide(turn, standing, lambda: cues, policy)
    assert not isinstance(found, NotTaken)
    return settle(found, scores, standing, policy, True) if isinstance(found, NeedsScores) else found


ASKED = st.builds(
    Standing,
    NAMES,
    st.floats(0, 1),
    st.frozensets(NAMES),
    pinned=st.sampled_from(("", *ALL)),
    bypass=st.none() | st.booleans(),
)


@given(turn=TURNS, standing=ASKED, cues=PROBABILITIES, scores=PROBABILITIES, policy=POLICIES)
def test_whatever_comes_a_pin_is_obeyed_or_the_turn_refused_and_bypass_is_as_was_asked(
    turn: Turn, standing: Standing, cues: dict[str, float], scores: dict[str, float], policy: Policy
) -> None:
    found = decide(turn, standing, lambda: cues, policy)
    if isinstance(found, NotTaken):
        assert turn.explicit is None
        assert found.use_case == standing.pinned != ""
        assert standing.pinned not in turn.admitted
        return
    if standing.pinned:
        assert isinstance(found, Decision)
        assert found.use_case == (turn.explicit or standing.pinned)
    elif isinstance(found, NeedsScores):
        found = settle(found, scores, standing, policy, True)
    allowed = policy.bypass if standing.bypass is None else standing.bypass
    assert allowed or not found.bypass
    assert found.context_changed == (standing.use_case != found.use_case)


@given(turn=TURNS, standing=STANDINGS, cues=PROBABILITIES, scores=PROBABILITIES, policy=POLICIES)
def test_whatever_comes_the_choice_is_explicit_or_admitted_and_the_change_is_told(
    turn: Turn, standing: Standing | None, cues: dict[str, float], scores: dict[str, float], policy: Policy
) -> None:
    found = decided(turn, standing, cues, scores, policy)
    assert found.use_case in ((turn.explicit,) if turn.explicit else turn.admitted)
    assert (found.reason == "explicit") == (turn.explicit is not None)
    assert 0 <= found.confidence <= 1 + 1e-9
    assert found.context_changed == (standing is not None and standing.use_case != found.use_case)


@given(turn=TURNS, standing=STANDINGS, cues=PROBABILITIES, scores=PROBABILITIES, policy=POLICIES)
def test_a_bypass_is_the_standing_use_case_unclassified_and_only_where_that_is_allowed(
    turn: Turn, standing: Standing | None, cues: dict[str, float], scores: dict[str, float], policy: Policy
) -> None:
    found = decided(turn, standing, cues, scores, policy)
    if found.bypass:
        assert standing is not None
        assert (found.use_case, found.confidence, found.reason) == (standing.use_case, standing.confidence, "session")
        assert found.scores == {}
        assert policy.bypass


@given(turn=TURNS, standing=STANDINGS, scores=PROBABILITIES, policy=POLICIES, full=st.booleans())
def test_whatever_the_scores_those_of_a_decision_are_probabilities_of_what_is_admitted(
    turn: Turn, standing: Standing | None, scores: dict[str, float], policy: Policy, full: bool
) -> None:
    found = settle(NeedsScores(turn, Because()), scores, standing, policy, full)
    assert set(found.scores) == set(turn.admitted)
    assert math.isclose(sum(found.scores.values()), 1)
    assert found.confidence == found.scores[found.use_case]


@given(scores=PROBABILITIES, standing=STANDINGS.filter(bool), margin=st.floats(0, 1))
def test_a_wider_margin_never_makes_a_session_change_more(
    scores: dict[str, float], standing: Standing, margin: float
) -> None:
    asked = needed_unasked(a_turn(), standing, bypass=False)
    wide = settle(asked, scores, standing, a_policy(margin=1.0, return_margin=1.0), True)
    narrow = settle(asked, scores, standing, a_policy(margin=margin, return_margin=margin), True)
    assert narrow.context_changed or not wide.context_changed

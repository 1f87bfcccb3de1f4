"""The numbered cases of `decide` and `settle`."""

import math
from collections.abc import Mapping
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.switch import NeedsScores, Policy, Standing, Turn, decide, settle
from smart_router.types import Decision, MediaKind

ALL = ("agent", "multimodal", "stt")


def a_turn(*admitted: str, media: tuple[MediaKind, ...] = (), explicit: str | None = None) -> Turn:
    return Turn(admitted or ALL, media, explicit)


def a_policy(**changed: Any) -> Policy:
    usual: dict[str, Any] = {
        "default_use_case": "agent",
        "bypass": True,
        "threshold": 0.4,
        "margin": 0.3,
        "guard": 0.5,
    }
    return Policy(**usual | changed)


def no_cues() -> dict[str, float]:
    return {}


def unasked() -> NoReturn:
    raise AssertionError("the guard was asked")


def settled(turn: Turn, standing: Standing | None = None, cues: Mapping[str, float] | None = None) -> Decision:
    found = decide(turn, standing, lambda: cues or {}, a_policy())
    assert isinstance(found, Decision)
    return found


def needed(turn: Turn, standing: Standing | None = None, cues: Mapping[str, float] | None = None) -> NeedsScores:
    found = decide(turn, standing, lambda: cues or {}, a_policy())
    assert isinstance(found, NeedsScores)
    return found


ON_STT = Standing("stt", 0.8)
ON_AGENT = Standing("agent", 0.7)


# decide


def test_1_an_explicit_use_case_is_obeyed() -> None:
    found = settled(a_turn(explicit="stt"))
    assert (found.use_case, found.confidence, found.reason, found.bypass) == ("stt", 1.0, "explicit", False)


def test_1_an_explicit_use_case_wins_over_media_and_session() -> None:
    found = settled(a_turn("multimodal", media=("image",), explicit="stt"), ON_AGENT)
    assert (found.use_case, found.reason, found.context_changed) == ("stt", "explicit", True)


def test_1_choosing_the_sessions_own_use_case_is_no_change_and_no_bypass() -> None:
    found = settled(a_turn(explicit="stt"), ON_STT)
    assert (found.context_changed, found.bypass) == (False, False)


def test_2_media_that_admit_one_use_case_decide() -> None:
    found = settled(a_turn("multimodal", media=("image",)), ON_AGENT)
    assert (found.use_case, found.reason, found.confidence) == ("multimodal", "modality", 1.0)
    assert found.context_changed
    assert found.because.hint == ("image",)


def test_2_media_that_admit_only_the_sessions_use_case_leave_it_standing() -> None:
    found = settled(a_turn("stt", media=("audio",)), ON_STT)
    assert (found.reason, found.bypass, found.confidence) == ("session", True, 0.8)


def test_2_without_bypass_media_that_admit_only_the_sessions_use_case_are_no_bypass() -> None:
    found = decide(a_turn("stt", media=("audio",)), ON_STT, unasked, a_policy(bypass=False))
    assert isinstance(found, Decision)
    assert (found.use_case, found.reason, found.bypass, found.context_changed) == ("stt", "modality", False, False)


def test_2_a_single_use_case_without_media_is_still_classified_on_the_first_turn() -> None:
    assert needed(a_turn("agent")).turn.admitted == ("agent",)


def test_3_a_first_turn_is_classified_and_the_guard_is_not_asked() -> None:
    assert isinstance(decide(a_turn(), None, unasked, a_policy()), NeedsScores)


def test_3_without_bypass_every_turn_is_classified_and_the_guard_is_not_asked() -> None:
    found = decide(a_turn(), ON_STT, unasked, a_policy(bypass=False))
    assert isinstance(found, NeedsScores)
    assert found.because.session == "stt"


def test_4_media_that_the_standing_use_case_does_not_take_are_classified_without_the_guard() -> None:
    found = decide(a_turn("stt", "tts", media=("audio",)), ON_AGENT, unasked, a_policy())
    assert isinstance(found, NeedsScores)
    assert "does not take" in found.because.note


def test_5_cues_of_another_use_case_alarm_the_guard() -> None:
    assert needed(a_turn(), ON_STT, {"agent": 0.6, "stt": 0.4}).because.cues == {"agent": 0.6}


def test_5_the_guards_threshold_itself_alarms() -> None:
    assert needed(a_turn(), ON_STT, {"agent": 0.5}).because.cues == {"agent": 0.5}


@pytest.mark.parametrize(
    "cues", [{}, {"agent": 0.49}, {"stt": 0.99}, {"tts": 0.99}], ids=["none", "weak", "its own", "not admitted"]
)
def test_6_without_an_alarm_the_session_stands(cues: Mapping[str, float]) -> None:
    found = settled(a_turn(), ON_STT, cues)
    assert (found.use_case, found.confidence, found.reason) == ("stt", 0.8, "session")
    assert found.bypass
    assert not found.context_changed


def test_6_media_that_the_session_takes_may_bypass() -> None:
    assert settled(a_turn("stt", "tts", media=("audio",)), ON_STT).bypass


# settle


def chosen(
    scores: Mapping[str, float],
    standing: Standing | None = None,
    *admitted: str,
    media: tuple[MediaKind, ...] = (),
    full: bool = True,
    **policy: Any,
) -> Decision:
    turn = a_turn(*admitted, media=media)
    asked = decide(turn, standing, lambda: {"agent": 1.0, "multimodal": 1.0, "stt": 1.0}, a_policy(bypass=False))
    assert isinstance(asked, NeedsScores)
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


def test_3_with_a_margin_of_zero_the_best_takes_over_and_the_standing_one_is_no_switch_to_itself() -> None:
    assert chosen({"agent": 0.51, "stt": 0.49}, ON_STT, margin=0.0).reason == "switched"
    assert chosen({"agent": 0.1, "stt": 0.9}, ON_STT, margin=0.0).reason == "session"


def test_4_a_first_turn_takes_the_best_from_the_threshold_on() -> None:
    found = chosen({"stt": 0.4, "agent": 0.3, "multimodal": 0.3})
    assert (found.use_case, found.reason) == ("stt", "classified")
    assert found.confidence == pytest.approx(0.4)
    assert not found.context_changed


def test_4_below_the_threshold_it_is_the_default_use_case_with_its_own_score() -> None:
    found = chosen({"stt": 0.39, "agent": 0.3, "multimodal": 0.31})
    assert (found.use_case, found.reason) == ("agent", "fallback")
    assert found.confidence == pytest.approx(0.3)


def test_4_a_default_that_is_not_admitted_is_no_fallback() -> None:
    found = chosen({"stt": 0.5, "multimodal": 0.5}, None, "multimodal", "stt", threshold=0.9)
    assert (found.use_case, found.reason) == ("multimodal", "classified")


def test_4_without_the_encoder_it_is_degraded() -> None:
    assert chosen({"stt": 0.9, "agent": 0.1}, full=False).reason == "degraded"


PROBABILITIES = st.dictionaries(st.sampled_from((*ALL, "tts")), st.floats(0, 1), max_size=4)
STANDINGS = st.none() | st.builds(Standing, st.sampled_from(ALL), st.floats(0, 1))
POLICIES = st.builds(a_policy, bypass=st.booleans(), threshold=st.floats(0, 1), margin=st.floats(0, 1))


@given(scores=PROBABILITIES, cues=PROBABILITIES, standing=STANDINGS, policy=POLICIES, full=st.booleans())
def test_whatever_the_scores_the_choice_is_admitted_and_the_change_is_told(
    scores: dict[str, float], cues: dict[str, float], standing: Standing | None, policy: Policy, full: bool
) -> None:
    found = decide(a_turn(), standing, lambda: cues, policy)
    if isinstance(found, NeedsScores):
        found = settle(found, scores, standing, policy, full)
        assert math.isclose(sum(found.scores.values()), 1)
        assert not found.bypass
    assert found.use_case in ALL
    assert 0 <= found.confidence <= 1 + 1e-9
    assert found.context_changed == (standing is not None and standing.use_case != found.use_case)


@given(scores=PROBABILITIES, standing=STANDINGS.filter(bool), policy=POLICIES)
def test_a_wider_margin_never_makes_a_session_change_more(
    scores: dict[str, float], standing: Standing, policy: Policy
) -> None:
    asked = NeedsScores(a_turn(), settled(a_turn(), standing).because)
    wide = settle(asked, scores, standing, a_policy(margin=1.0), True)
    narrow = settle(asked, scores, standing, a_policy(margin=policy.margin), True)
    assert narrow.context_changed or not wide.context_changed

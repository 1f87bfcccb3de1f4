"""Labelled conversations: what is read, what a policy is asked, and each share of a row."""

import json
from pathlib import Path

import pytest

from smart_router.decide.switch import Standing
from smart_router.errors import ConfigurationError
from smart_router.evaluate.sessions import (
    Conversation,
    JudgedTurn,
    SessionRow,
    Turn,
    judge_sessions,
    load_sessions,
    row,
)

from .scripted import Label, Scripted, a_conversation, bypassed, classified, judged, judged_choices

IMAGE: Label = ("multimodal", "image")
AUDIO: Label = ("stt", "audio")


def the_row(turns: list[JudgedTurn]) -> SessionRow:
    return row("scripted", "all", turns)


# what is read


def write(folder: Path, *lines: object) -> Path:
    path = folder / "sessions.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_line_is_a_conversation(tmp_path: Path) -> None:
    turns = [{"text": "Hi", "label": "agent"}, {"text": "सुनो", "label": "stt", "modality": "audio"}]
    assert load_sessions(write(tmp_path, {"turns": turns, "source": "written:7"}, "", {"turns": turns})) == (
        Conversation((Turn("Hi", "agent", None), Turn("सुनो", "stt", "audio")), "written"),
        Conversation((Turn("Hi", "agent", None), Turn("सुनो", "stt", "audio")), "unknown"),
    )


A_TURN = {"text": "Hi", "label": "agent"}


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "5",
        "[]",
        {"text": "Hi", "label": "agent"},
        {"turns": []},
        {"turns": [A_TURN]},
        {"turns": 5},
        {"turns": "ab"},
        {"turns": [A_TURN, "Hi"]},
        {"turns": [A_TURN, {"text": "Hi"}]},
        {"turns": [A_TURN, A_TURN | {"modality": "smell"}]},
    ],
)
def test_a_line_that_is_no_conversation_is_told_by_its_number(tmp_path: Path, line: object) -> None:
    path = write(tmp_path, {"turns": [A_TURN, A_TURN]}, line)
    with pytest.raises(ConfigurationError, match=r"sessions\.jsonl:2: not a labelled conversation"):
        load_sessions(path)


# what a policy is asked


async def test_a_policy_is_asked_for_every_turn_with_where_the_session_stands_and_what_was_said() -> None:
    policy = Scripted(classified("agent"), classified("stt"), bypassed("stt"))
    await judge_sessions([a_conversation("agent", AUDIO, "stt")], policy)
    asks, standings, previous = zip(*policy.asked, strict=True)
    assert [(ask.query, ask.modality) for ask in asks] == [("t0", None), ("t1", "audio"), ("t2", None)]
    assert standings == (None, Standing("agent", 0.8), Standing("stt", 0.8, frozenset({"agent"})))
    assert previous == ("", "t0", "t1")


async def test_a_wrong_choice_stands_for_the_next_turn() -> None:
    policy = Scripted(classified("stt"), bypassed("stt"))
    await judge_sessions([a_conversation("agent", "agent")], policy)
    assert policy.asked[1][1] == Standing("stt", 0.8)


async def test_a_use_case_whose_lane_another_took_was_not_visited() -> None:
    policy = Scripted(classified("agent"), classified("stt"), classified("stt"))
    policy.lane = lambda use_case: "one gpu for all"  # type: ignore[method-assign]
    await judge_sessions([a_conversation("agent", "stt", "stt")], policy)
    assert policy.asked[2][1] == Standing("stt", 0.8)


async def test_every_conversation_begins_anew() -> None:
    policy = Scripted(*map(classified, ["agent", "stt", "agent", "stt"]))
    await judge_sessions([a_conversation("agent", "stt")] * 2, policy)
    assert policy.asked[2][1:] == (None, "")


async def test_only_later_turns_are_judged_each_with_what_was_before() -> None:
    first, second = await judged_choices(["agent", "stt", "agent"], ["multimodal", "stt", "agent"])
    assert (first.label_before, first.chosen_before, first.chosen_next) == ("agent", "multimodal", "agent")
    assert (second.label_before, second.chosen_before, second.chosen_next) == ("stt", "stt", None)
    assert (first.source, second.source) == ("dev", "dev")


# the shares


async def test_a_row_counts_the_later_turns_and_those_that_are_right() -> None:
    found = the_row(await judged_choices(["agent", "stt", "stt", "agent"], ["agent", "stt", "agent", "stt"]))
    assert (found.policy, found.part, found.turns) == ("scripted", "all", 3)
    assert found.right == pytest.approx(1 / 3)


async def test_a_follow_up_is_dropped_if_it_is_sent_elsewhere() -> None:
    found = the_row(await judged_choices(["agent", "agent", "agent", "stt"], ["agent", "agent", "stt", "agent"]))
    assert found.dropped == 0.5


async def test_a_follow_up_is_dropped_too_where_it_stays_with_a_wrong_choice() -> None:
    assert the_row(await judged_choices(["agent", "agent"], ["stt", "stt"])).dropped == 1.0


async def test_switches_are_found_by_words_or_by_a_hint() -> None:
    labels: list[Label] = ["agent", "stt", "agent", IMAGE, AUDIO, IMAGE, AUDIO]
    found = the_row(await judged_choices(labels, ["agent", "stt", "stt", "multimodal", "agent", "agent", "stt"]))
    assert found.found_by_words == 0.5
    assert found.found_by_hint == 0.5


async def test_a_hint_is_noticed_if_the_use_case_was_left_be_it_for_a_wrong_one() -> None:
    found = the_row(await judged_choices(["agent", AUDIO], ["agent", "multimodal"]))
    assert (found.found_by_hint, found.noticed_by_hint) == (0.0, 1.0)


async def test_a_hint_that_moves_nothing_is_not_noticed() -> None:
    found = the_row(await judged_choices(["agent", AUDIO], ["agent", "agent"]))
    assert (found.found_by_hint, found.noticed_by_hint) == (0.0, 0.0)


async def test_a_hint_is_noticed_where_the_session_was_right_already() -> None:
    found = the_row(await judged_choices(["agent", AUDIO], ["stt", "stt"]))
    assert (found.found_by_hint, found.noticed_by_hint) == (1.0, 1.0)


async def test_there_and_back_within_a_topic_is_a_flip_flop() -> None:
    found = the_row(await judged_choices(["agent"] * 4, ["agent", "stt", "agent", "agent"]))
    assert found.flip_flops == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    "choices", [["agent", "stt", "stt"], ["agent", "stt", "multimodal"], ["agent", "agent", "stt"]]
)
async def test_whoever_does_not_come_back_at_once_does_not_flip_flop(choices: list[str]) -> None:
    assert the_row(await judged_choices(["agent"] * 3, choices)).flip_flops == 0.0


async def test_leaving_for_a_switch_is_no_flip_flop() -> None:
    found = the_row(await judged_choices(["agent", "stt", "agent", "agent"], ["agent", "stt", "agent", "agent"]))
    assert found.flip_flops == 0.0


async def test_bypassed_turns_are_a_share_of_all_later_ones() -> None:
    conversation = a_conversation("agent", "agent", "agent", "stt")
    turns = await judged(conversation, classified("agent"), bypassed("agent"), classified("agent"), bypassed("agent"))
    found = the_row(turns)
    assert found.bypassed == pytest.approx(2 / 3)
    assert found.encoded_staying == 0.5
    assert found.bypass_us == pytest.approx((turns[0].seconds + turns[2].seconds) / 2 * 1e6)


async def test_where_there_is_nothing_there_is_no_share_of_it() -> None:
    found = the_row(await judged_choices(["agent", "agent"], ["agent", "agent"]))
    assert (found.right, found.dropped, found.bypassed) == (1.0, 0.0, 0.0)
    assert (found.found_by_words, found.found_by_hint, found.noticed_by_hint, found.bypass_us) == (None,) * 4
    nothing = the_row([])
    assert (nothing.turns, nothing.right, nothing.dropped, nothing.flip_flops, nothing.bypassed) == (0, *[None] * 4)

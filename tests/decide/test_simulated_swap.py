"""The simulation of `benchmarks/lifecycle`: what its tables rest on."""

from random import Random

import pytest
from benchmarks.lifecycle.policies import POLICIES
from benchmarks.lifecycle.report import BEGIN, END, written
from benchmarks.lifecycle.traffic import Conversation, Habits, Kind, Turn, conversations, in_turn, kinds
from benchmarks.lifecycle.world import SLEEP_S, Measured, World

from smart_router.decide.swap import Room

QUARTER = Habits(seconds=900.0, sessions_per_minute=4.0)


def a_run(policy: str, *, patience_s: float = 10.0) -> tuple[Measured, int]:
    """And how many turns there were."""
    chance = Random(7)
    models, sessions = kinds(QUARTER, chance), conversations(QUARTER, chance)
    room = Room(dict.fromkeys((model.group for model in models), 2), 8, 2.0)
    return World(models, sessions, room, POLICIES[policy], patience_s).run(), sum(len(s.turns) for s in sessions)


def a_world(*sessions: Conversation, patience_s: float = 60.0) -> Measured:
    models = [Kind("a", "gpu0", 2.0), Kind("b", "gpu0", 4.0)]
    return World(models, sessions, Room({"gpu0": 1}, 1, 1.0), POLICIES["ours"], patience_s).run()


@pytest.mark.parametrize("policy", POLICIES)
def test_every_turn_is_answered_or_given_up_under_every_policy(policy: str) -> None:
    measured, turns = a_run(policy)
    assert len(measured.waits_s) == turns
    assert 0 < measured.given_up <= measured.waited < turns
    assert max(measured.waits_s) <= 10.0


def test_the_same_seed_is_the_same_run() -> None:
    assert a_run("ours") == a_run("ours")


def test_the_first_waits_until_its_model_woke_and_the_next_finds_it_awake() -> None:
    measured = a_world(Conversation(0.0, (Turn("a", 0.0, 1.0), Turn("a", 5.0, 1.0))))
    assert (measured.waits_s, measured.swaps) == ([2.0, 0.0], 1)


def test_another_waits_for_the_answer_for_its_going_to_sleep_and_for_its_own_waking() -> None:
    first, second = Conversation(0.0, (Turn("a", 0.0, 10.0),)), Conversation(6.0, (Turn("b", 0.0, 1.0),))
    measured = a_world(first, second)
    assert measured.waits_s == [2.0, pytest.approx(6.0 + SLEEP_S + 4.0)]


def test_who_gives_up_waited_until_then_and_goes_on_with_the_next_turn() -> None:
    measured = a_world(Conversation(0.0, (Turn("b", 0.0, 1.0), Turn("b", 1.0, 1.0))), patience_s=3.0)
    assert (measured.waits_s, measured.given_up, measured.swaps) == ([3.0, 0.0], 1, 1)


def test_callers_stay_mostly_with_their_model_and_ask_popular_ones_more_often() -> None:
    sessions = conversations(Habits(seconds=36000.0), Random(7))
    turns = [turn.model for session in sessions for turn in session.turns]
    assert turns.count("m00") > 2 * turns.count("m05") > 4 * turns.count("m19") > 0
    homes = [max(models, key=models.count) for s in sessions if (models := [t.model for t in s.turns])]
    stay = sum(turn.model == home for s, home in zip(sessions, homes, strict=True) for turn in s.turns)
    assert 0.8 < stay / len(turns) < 0.95


def test_the_adversary_asks_the_other_one_each_time() -> None:
    assert [session.turns[0].model for session in in_turn(4.0, 1.0, 2.0)] == ["a", "b", "a", "b"]


def test_the_tables_stand_between_their_markers() -> None:
    assert written(f"a\n{BEGIN}\nold\n{END}\nb\n", ["new", ""]) == f"a\n{BEGIN}\nnew\n{END}\nb\n"
    with pytest.raises(SystemExit, match="the markers are missing"):
        written("a", ["new"])

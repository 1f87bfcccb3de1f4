"""The simulation of `benchmarks/lifecycle_foresight`: what its table rests on."""

from dataclasses import replace
from random import Random

from benchmarks.lifecycle.traffic import Conversation, Turn
from benchmarks.lifecycle.world import Measured
from benchmarks.lifecycle_foresight.traffic import AGENT, STT, TTS, Habits, conversations, kinds
from benchmarks.lifecycle_foresight.world import Early, ForeseeingWorld

from smart_router.decide.succession import LEAST_SEEN
from smart_router.decide.swap import Room, plan

HABITS = Habits(seconds=1200.0, sessions_per_minute=1.0)


def a_run(sessions: list[Conversation], room: int = 2, *, foresees: bool = True) -> tuple[Measured, Early]:
    world = ForeseeingWorld(
        kinds(HABITS), sessions, Room({"gpu0": room}, room, 2.0), plan, 10.0, live_s=60.0, foresees=foresees
    )
    return world.run(), world.early


def spoken(*starts_s: float) -> list[Conversation]:
    turns = Turn(STT, 0.0, 1.0), Turn(AGENT, 0.0, 4.0), Turn(TTS, 0.0, 2.0)
    return [Conversation(start_s, turns) for start_s in starts_s]


def test_every_turn_is_answered_or_given_up() -> None:
    sessions = conversations(HABITS, Random(7))
    for foresees in (False, True):
        measured, early = a_run(sessions, foresees=foresees)
        assert len(measured.waits_s) == sum(len(session.turns) for session in sessions)
        assert measured.swaps >= early.used + early.in_vain
        assert bool(early.used) == foresees


def test_what_is_foreseen_wakes_while_the_one_before_answers() -> None:
    rare = spoken(*(1000.0 * number for number in range(LEAST_SEEN + 2)))
    (without, _), (measured, early) = a_run(rare, foresees=False), a_run(rare)
    assert sum(without.waits_s[-3:]) > sum(measured.waits_s[-3:])
    assert measured.waits_s[-1] == 0.0, "3 s to wake it and half a second to make room: less than the agent's answer"
    assert (early.used > 0, early.in_vain) == (True, 0)


def test_a_wake_that_nobody_comes_for_is_in_vain() -> None:
    rare = spoken(*(1000.0 * number for number in range(LEAST_SEEN + 1)))
    leaves = Conversation(1000.0 * (LEAST_SEEN + 1), rare[0].turns[:2])
    later = spoken(1000.0 * (LEAST_SEEN + 2))
    _, all_come = a_run([*rare, *later])
    _, one_leaves = a_run([*rare, leaves, *later])
    assert (all_come.in_vain, one_leaves.in_vain) == (0, 1)


def test_callers_are_answered_aloud_as_often_as_is_said() -> None:
    habits = replace(HABITS, aloud=0.3, written=0.5, seconds=36000.0)
    turns = [turn.model for session in conversations(habits, Random(7)) for turn in session.turns]
    assert 0.25 < turns.count(TTS) / turns.count(AGENT) < 0.35
    assert turns.count(STT) == turns.count(AGENT)
    assert 0.4 < sum(turns.count(model) for model in ("vision", "code", "legal")) / turns.count(STT) < 2.5

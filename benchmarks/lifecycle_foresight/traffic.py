"""Spoken conversations: each round is heard, thought about and, by chance, answered aloud; others only write."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp
from random import Random

from benchmarks.lifecycle.traffic import Conversation, Kind, Turn

STT, AGENT, TTS = "stt", "agent", "tts"
WRITTEN = ("vision", "code", "legal")


@dataclass(frozen=True, slots=True)
class Habits:
    """Of callers; seconds are medians, which vary lognormally."""

    aloud: float = 0.9  # share of rounds that are answered aloud
    sessions_per_minute: float = 0.5
    rounds: float = 5.0  # of a session, on average
    written: float = 0.0  # share of sessions that only write, to one of `WRITTEN` each
    hear_s: float = 1.0
    think_s: float = 4.0  # the agent's answer
    speak_s: float = 2.0
    pause_s: float = 10.0  # until the caller speaks or writes again
    spread: float = 0.5  # the logarithm's standard deviation
    wake_s: float = 3.0  # each model
    seconds: float = 3600.0


def kinds(habits: Habits) -> list[Kind]:
    names = (STT, AGENT, TTS, *(WRITTEN if habits.written else ()))
    return [Kind(name, "gpu0", habits.wake_s) for name in names]


def conversations(habits: Habits, chance: Random) -> list[Conversation]:
    """Those that begin within the time."""
    found, now = [], 0.0
    while (now := now + chance.expovariate(habits.sessions_per_minute / 60)) < habits.seconds:
        spoken = chance.random() >= habits.written
        found.append(Conversation(now, tuple(_spoken(habits, chance) if spoken else _written(habits, chance))))
    return found


def _spoken(habits: Habits, chance: Random) -> Iterator[Turn]:
    pause_s = 0.0
    for _ in range(_rounds(habits, chance)):
        yield Turn(STT, pause_s, _about(habits.hear_s, habits, chance))
        yield Turn(AGENT, 0.0, _about(habits.think_s, habits, chance))
        if chance.random() < habits.aloud:
            yield Turn(TTS, 0.0, _about(habits.speak_s, habits, chance))
        pause_s = _about(habits.pause_s, habits, chance)


def _written(habits: Habits, chance: Random) -> Iterator[Turn]:
    model = chance.choice(WRITTEN)
    for number in range(_rounds(habits, chance)):
        pause_s = _about(habits.pause_s, habits, chance) if number else 0.0
        yield Turn(model, pause_s, _about(habits.think_s, habits, chance))


def _rounds(habits: Habits, chance: Random) -> int:
    rounds = 1
    while chance.random() > 1 / habits.rounds:
        rounds += 1
    return rounds


def _about(median: float, habits: Habits, chance: Random) -> float:
    return median * exp(chance.gauss(0.0, habits.spread))

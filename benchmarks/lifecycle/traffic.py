"""What callers do: sessions that stay mostly with one model, visit others and return. All of it from one seed."""

from dataclasses import dataclass
from itertools import accumulate
from math import exp
from random import Random


@dataclass(frozen=True, slots=True)
class Turn:
    model: str
    think_s: float  # since the answer before, or since the session's beginning
    answer_s: float


@dataclass(frozen=True, slots=True)
class Conversation:
    starts_s: float
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """A model, and what it costs to have it."""

    name: str
    group: str
    wake_s: float


@dataclass(frozen=True, slots=True)
class Habits:
    """Of callers. Models are asked as often as Zipf's law says; every group has its share of popular ones."""

    models: int = 20
    groups: int = 4
    zipf: float = 1.0  # the exponent
    sessions_per_minute: float = 6.0
    turns: float = 8.0  # of a session, on average
    home: float = 0.85  # share of turns that stay with the session's own model
    think_s: float = 20.0  # the median; it varies lognormally, as does the next
    answer_s: float = 3.0
    spread: float = 0.8  # of both, the logarithm's standard deviation
    cheapest_s: float = 1.0  # to wake, log-uniform up to
    dearest_s: float = 20.0
    seconds: float = 3600.0


def kinds(habits: Habits, chance: Random) -> tuple[Kind, ...]:
    """The most popular first; what waking costs has nothing to do with it."""
    ratio = habits.dearest_s / habits.cheapest_s
    return tuple(
        Kind(f"m{rank:02}", f"gpu{rank % habits.groups}", habits.cheapest_s * ratio ** chance.random())
        for rank in range(habits.models)
    )


def conversations(habits: Habits, chance: Random) -> list[Conversation]:
    """Those that begin within the time."""
    found, now = list[Conversation](), 0.0
    while (now := now + chance.expovariate(habits.sessions_per_minute / 60)) < habits.seconds:
        found.append(Conversation(now, _turns(habits, chance)))
    return found


def _turns(habits: Habits, chance: Random) -> tuple[Turn, ...]:
    home, turns = _popular(habits, chance), list[Turn]()
    while not turns or chance.random() > 1 / habits.turns:
        model = home if chance.random() < habits.home else _popular(habits, chance)
        think_s = _lognormal(habits.think_s, habits, chance) if turns else 0.0
        turns.append(Turn(model, think_s, _lognormal(habits.answer_s, habits, chance)))
    return tuple(turns)


def _popular(habits: Habits, chance: Random) -> str:
    weights = accumulate(1 / (rank + 1) ** habits.zipf for rank in range(habits.models))
    return f"m{chance.choices(range(habits.models), cum_weights=list(weights))[0]:02}"


def _lognormal(median: float, habits: Habits, chance: Random) -> float:
    return median * exp(chance.gauss(0.0, habits.spread))


def in_turn(seconds: float, every_s: float, answer_s: float) -> list[Conversation]:
    """A/B/A/B: each request for the other one of two models, whether or not those before were answered."""
    return [
        Conversation(number * every_s, (Turn("ab"[number % 2], 0.0, answer_s),))
        for number in range(int(seconds / every_s))
    ]  # fmt: skip

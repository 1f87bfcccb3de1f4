"""Which worlds are run, and what is made of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import mean

import numpy as np

from benchmarks.lifecycle.policies import POLICIES, Policy, plain_lru
from benchmarks.lifecycle.traffic import Habits, Kind, conversations, in_turn, kinds
from benchmarks.lifecycle.world import Measured, World
from smart_router.decide.swap import Room

SEEDS = range(10)  # what `decide/swap.py` takes as a pause was chosen on others, 100 to 105
PATIENCES_S = (10.0, 60.0)  # MODEL_SWITCH_TIMEOUT
MIN_RESIDENCY_S = 2.0
PLACES = 8


@dataclass(frozen=True, slots=True)
class Layout:
    title: str
    habits: Habits


LAYOUTS = (
    Layout("20 models in 4 groups, each with room for 2", Habits(sessions_per_minute=3.0)),
    Layout("the same models in one group with room for 8", Habits(sessions_per_minute=3.0, groups=1)),
)
LOADS = (1.0, 2.0, 3.0, 4.0, 6.0)  # sessions a minute, for the plot


@dataclass(frozen=True, slots=True)
class Row:
    """All seeds of one policy together; shares are percentages."""

    swaps_per_hour: float
    waited: float
    given_up: float
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    by_seed: tuple[float, ...]  # the mean wait of each


def row(runs: Sequence[Measured], hours: float) -> Row:
    waits_s = np.concatenate([run.waits_s for run in runs])
    p50_s, p95_s, p99_s = np.percentile(waits_s, [50, 95, 99])
    return Row(
        swaps_per_hour=mean(run.swaps for run in runs) / hours,
        waited=100 * sum(run.waited for run in runs) / len(waits_s),
        given_up=100 * sum(run.given_up for run in runs) / len(waits_s),
        mean_s=float(waits_s.mean()), p50_s=float(p50_s), p95_s=float(p95_s), p99_s=float(p99_s),
        by_seed=tuple(mean(run.waits_s) for run in runs),
    )  # fmt: skip


def measured(policy: Policy, habits: Habits, patience_s: float, seeds: Iterable[int] = SEEDS) -> Row:
    return row([_run(policy, habits, patience_s, seed) for seed in seeds], habits.seconds / 3600)


def _run(policy: Policy, habits: Habits, patience_s: float, seed: int) -> Measured:
    """The same seed is the same traffic, whatever the policy."""
    chance = Random(seed)  # noqa: S311 - not a secret
    models, sessions = kinds(habits, chance), conversations(habits, chance)
    groups = dict.fromkeys((model.group for model in models), PLACES // habits.groups)
    return World(models, sessions, Room(groups, PLACES, MIN_RESIDENCY_S), policy, patience_s).run()


def by_load(names: Sequence[str], habits: Habits) -> Mapping[str, list[Row]]:
    loads = [replace(habits, sessions_per_minute=load) for load in LOADS]
    return {name: [measured(POLICIES[name], load, PATIENCES_S[0], SEEDS[:5]) for load in loads] for name in names}


TURNS_S = (1.5, 3.0)  # what answers take: with a pause between two of the same model, and without
IN_TURN: tuple[tuple[str, Policy, float], ...] = (
    *((f"ours, MIN_RESIDENCY {seconds:g} s", POLICIES["ours"], seconds) for seconds in (0.0, MIN_RESIDENCY_S, 8.0)),
    ("plain LRU", plain_lru, 0.0),
)  # first in, first out is the same for two models


def adversary(answer_s: float) -> Iterator[tuple[str, Row]]:
    """A/B/A/B, one place, a request a second for a quarter of an hour."""
    models = [Kind("a", "gpu0", 2.0), Kind("b", "gpu0", 2.0)]
    sessions = in_turn(900.0, 1.0, answer_s)
    for name, policy, residency_s in IN_TURN:
        yield name, row([World(models, sessions, Room({"gpu0": 1}, 1, residency_s), policy, 10.0).run()], 0.25)

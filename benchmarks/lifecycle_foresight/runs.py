"""Which worlds are run, and what is made of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from statistics import mean

import numpy as np

from benchmarks.lifecycle.policies import Policy
from benchmarks.lifecycle.world import LIVE_S, Measured
from benchmarks.lifecycle_foresight.traffic import Habits, conversations, kinds
from benchmarks.lifecycle_foresight.world import Early, ForeseeingWorld
from smart_router.decide.swap import Room, plan

SEEDS = range(10)
PATIENCE_S = 10.0  # MODEL_SWITCH_TIMEOUT
MIN_RESIDENCY_S = 2.0


@dataclass(frozen=True, slots=True)
class Case:
    title: str
    habits: Habits
    room: int = 2
    live_s: float = LIVE_S


PIPELINE = Habits()
SHARED = Habits(written=0.5, sessions_per_minute=1.0)
CASES = (
    Case("a caller in two minutes; room for 2 of 3", PIPELINE),
    Case("… 70 % aloud", replace(PIPELINE, aloud=0.7)),
    Case("… 50 % aloud", replace(PIPELINE, aloud=0.5)),
    Case("… 30 % aloud", replace(PIPELINE, aloud=0.3)),
    Case("… a caller in ten minutes", replace(PIPELINE, sessions_per_minute=0.1)),
    Case("… two callers a minute", replace(PIPELINE, sessions_per_minute=2.0)),
    Case("… waking takes 8 s", replace(PIPELINE, wake_s=8.0)),
    Case("… room for 1 of 3", PIPELINE, room=1),
    Case("… room for 3 of 3", PIPELINE, room=3),
    Case("… `SESSION_TIMEOUT=60`", PIPELINE, live_s=60.0),
    Case("a caller a minute, every other writes; room for 3 of 6", SHARED, room=3),
    Case("… 50 % aloud", replace(SHARED, aloud=0.5), room=3),
    Case("… waking takes 8 s", replace(SHARED, wake_s=8.0), room=3),
    Case("… waking takes 8 s, `SESSION_TIMEOUT=60`", replace(SHARED, wake_s=8.0), room=3, live_s=60.0),
)


@dataclass(frozen=True, slots=True)
class Row:
    """All seeds together; shares are percentages."""

    mean_s: float
    p95_s: float
    waited: float
    given_up: float
    wakes_per_hour: float
    early_per_hour: float
    in_vain: float  # of the early ones
    by_seed: tuple[float, ...]  # the mean wait of each


def measured(case: Case, policy: Policy = plan, *, foresees: bool) -> Row:
    runs = [_run(case, policy, seed, foresees=foresees) for seed in SEEDS]
    return _row(runs, case.habits.seconds / 3600)


def _run(case: Case, policy: Policy, seed: int, *, foresees: bool) -> tuple[Measured, Early]:
    """The same seed is the same traffic."""
    room = Room({"gpu0": case.room}, case.room, MIN_RESIDENCY_S)
    sessions = conversations(case.habits, Random(seed))  # noqa: S311 - not a secret
    world = ForeseeingWorld(
        kinds(case.habits), sessions, room, policy, PATIENCE_S, live_s=case.live_s, foresees=foresees
    )
    return world.run(), world.early


def _row(runs: Sequence[tuple[Measured, Early]], hours: float) -> Row:
    waits_s = np.concatenate([run.waits_s for run, _ in runs])
    used, in_vain = sum(early.used for _, early in runs), sum(early.in_vain for _, early in runs)
    return Row(
        mean_s=float(waits_s.mean()),
        p95_s=float(np.percentile(waits_s, 95)),
        waited=100 * sum(run.waited for run, _ in runs) / len(waits_s),
        given_up=100 * sum(run.given_up for run, _ in runs) / len(waits_s),
        wakes_per_hour=mean(run.swaps for run, _ in runs) / hours,
        early_per_hour=(used + in_vain) / len(runs) / hours,
        in_vain=100 * in_vain / max(1, used + in_vain),
        by_seed=tuple(mean(run.waits_s) for run, _ in runs),
    )

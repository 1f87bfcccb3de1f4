"""How many users there are at which moment of a run."""

from collections.abc import Callable
from dataclasses import dataclass

RISE = 0.1  # share of a run in which its users arrive
LONGEST_RISE_S = 30.0
BURSTS = 3
BURST_FACTOR = 5
BURST = (0.5, 0.8)  # when in each third of the run the burst begins and ends


@dataclass(frozen=True)
class Plan:
    """One run: its *shape*, how many *users* (of bursts: between the bursts), and for how long."""

    shape: str
    users: int
    seconds: float


def users_at(plan: Plan, elapsed_s: float) -> int | None:
    """At least one while the run lasts; None once it is over."""
    if elapsed_s >= plan.seconds:
        return None
    return max(1, round(plan.users * SHAPES[plan.shape].share(elapsed_s, plan.seconds)))


def most_users(plan: Plan) -> int:
    return plan.users * (BURST_FACTOR if plan.shape == "bursts" else 1)


def _ramp(elapsed_s: float, seconds: float) -> float:
    """Up to all of them, who then stay for the last fifth."""
    return min(1.0, elapsed_s / (seconds * 0.8))


def _steady(elapsed_s: float, seconds: float) -> float:
    return min(1.0, elapsed_s / min(LONGEST_RISE_S, seconds * RISE))


def _bursts(elapsed_s: float, seconds: float) -> float:
    where = (elapsed_s / seconds * BURSTS) % 1
    return BURST_FACTOR if BURST[0] <= where < BURST[1] else 1.0


@dataclass(frozen=True)
class Shape:
    """*share*: (elapsed, length) in seconds -> how many times the plan's users there are then."""

    share: Callable[[float, float], float]
    usual_s: float
    says: str


SHAPES = {
    "steady": Shape(_steady, 60, "as many all the time, after a short rise"),
    "ramp": Shape(_ramp, 60, "from one user to all of them"),
    "bursts": Shape(_bursts, 90, f"{BURSTS} times for a while {BURST_FACTOR} times as many"),
    "soak": Shape(_steady, 1800, "steady for long; the latency must not drift"),
}

"""What many measurements say together. Pure."""

import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from smart_router.bench.turn import GROUPS, Group, Turn

PERCENTILE = 0.95
HOW = "p95 is the nearest rank: the smallest measured value that 95 % of the values do not exceed"
FEW = math.ceil(1 / (1 - PERCENTILE))  # with fewer values, p95 is the largest


@dataclass(frozen=True)
class Summary:
    count: int
    mean: float
    median: float
    p95: float
    least: float
    most: float


def summary(values: Sequence[float]) -> Summary | None:
    """None of nothing."""
    if not values:
        return None
    return Summary(
        len(values),
        statistics.fmean(values),
        statistics.median(values),
        nearest_rank(values, PERCENTILE),
        min(values),
        max(values),
    )


def nearest_rank(values: Sequence[float], share: float) -> float:
    """The smallest of *values* (at least one) that *share* (above 0, up to 1) of them do not exceed."""
    place = math.ceil(round(share * len(values), 9))  # 0.95 * 20 is a little more than 19
    return sorted(values)[place - 1]


MEASURES: Mapping[str, Callable[[Turn], float | None]] = {
    "time_to_first_token": lambda turn: turn.first_s,
    "end_to_end": lambda turn: turn.total_s,
    "tokens_per_second": lambda turn: turn.tokens_per_second,
    "routing": lambda turn: turn.routing_s,
}


def summaries(turns: Iterable[Turn]) -> dict[Group, dict[str, Summary]]:
    """By group and measure, of the turns that were answered; what nobody measured is left out."""
    answered = [turn for turn in turns if not turn.error]
    found: dict[Group, dict[str, Summary]] = {}
    for group in GROUPS:
        of_group = [turn for turn in answered if turn.group == group]
        told = {name: summary(_values(of_group, measure)) for name, measure in MEASURES.items()}
        if of_group:
            found[group] = {name: one for name, one in told.items() if one is not None}
    return found


def _values(turns: Iterable[Turn], measure: Callable[[Turn], float | None]) -> list[float]:
    return [value for turn in turns if (value := measure(turn)) is not None]


def errors(turns: Iterable[Turn]) -> dict[str, tuple[int, str]]:
    """By kind, the most frequent first: how many, and what one of them said."""
    failed = [turn for turn in turns if turn.error]
    said = {turn.error: turn.message for turn in failed}
    return {kind: (count, said[kind]) for kind, count in Counter(turn.error for turn in failed).most_common()}


@dataclass(frozen=True)
class Throughput:
    """Of all answered turns together, while they ran."""

    turns_per_second: float
    tokens_per_second: float


def throughput(turns: Iterable[Turn]) -> Throughput | None:
    """None of nothing."""
    answered = [turn for turn in turns if not turn.error]
    if not answered:
        return None
    took_s = max(turn.at_s + turn.total_s for turn in answered) - min(turn.at_s for turn in answered)
    return Throughput(len(answered) / took_s, sum(turn.tokens for turn in answered) / took_s) if took_s > 0 else None


@dataclass(frozen=True)
class Sameness:
    """Answers to one query with one seed: how often each different one came, the most frequent first."""

    counts: tuple[int, ...]

    @property
    def alike(self) -> bool:
        return len(self.counts) == 1


def sameness(answers: Sequence[str]) -> Sameness | None:
    """None of fewer than two."""
    counts = Counter(answers).most_common()
    return Sameness(tuple(count for _, count in counts)) if len(answers) > 1 else None

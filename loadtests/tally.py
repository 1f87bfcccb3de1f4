"""What a run adds up to: per kind of user, and over time."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from loadtests.asking import Decided
from loadtests.histogram import Histogram

MOST_ERRORS = 40  # different ones that are told apart


@dataclass(frozen=True)
class Sample:
    """
    One request that ended. *about*: the use case that was meant, for turns of a conversation; *follow_up*: it stays in
    the use case of the turn before it, so that the router should not have classified it. *paced*: its duration is the
    user's own doing and says nothing. *meant_to_fail*: its duration is that of a refusal.
    """

    kind: str
    latency_ms: float = 0.0
    error: str | None = None
    about: str | None = None
    follow_up: bool = False
    decided: Decided | None = None
    paced: bool = False
    meant_to_fail: bool = False


@dataclass
class Counts:
    """The sum of many samples."""

    requests: int = 0
    errors: int = 0
    follow_ups: int = 0
    bypassed: int = 0
    judged: int = 0
    wrong: int = 0
    latency_ms: Histogram = field(default_factory=Histogram)
    first_token_ms: Histogram = field(default_factory=Histogram)
    routing_ms: Histogram = field(default_factory=Histogram)

    def add(self, sample: Sample) -> None:
        self.requests += 1
        if sample.error is not None:
            self.errors += 1
            return
        if not (sample.paced or sample.meant_to_fail):
            self.latency_ms.add(sample.latency_ms)
        if sample.decided is not None:
            self._judge(sample, sample.decided)

    def take_in(self, other: "Counts") -> None:
        for name in ("requests", "errors", "follow_ups", "bypassed", "judged", "wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("latency_ms", "first_token_ms", "routing_ms"):
            getattr(self, name).take_in(getattr(other, name))

    def _judge(self, sample: Sample, decided: Decided) -> None:
        self.routing_ms.add(decided.routing_ms)
        if sample.follow_up:
            self.follow_ups += 1
            self.bypassed += decided.bypassed
        if sample.about is not None:
            self.judged += 1
            self.wrong += decided.use_case != sample.about


def total(counts: Iterable[Counts]) -> Counts:
    result = Counts()
    for one in counts:
        result.take_in(one)
    return result


def percent(part: int, whole: int) -> float | None:
    """None of nothing."""
    return 100 * part / whole if whole else None


@dataclass
class Slice:
    """What happened in one stretch of time, and how many users there were."""

    counts: Counts = field(default_factory=Counts)
    users: int = 0


class Tally:
    """Takes samples with the time since the start at which they ended; a slice of time is *slice_s* long."""

    def __init__(self, slice_s: float) -> None:
        self.slice_s = slice_s
        self.kinds: dict[str, Counts] = {}
        self.slices: dict[int, Slice] = {}
        self.errors: Counter[str] = Counter()

    def add(self, sample: Sample, at_s: float, users: int) -> None:
        self.kinds.setdefault(sample.kind, Counts()).add(sample)
        here = self._slice(at_s)
        here.counts.add(sample)
        here.users = max(here.users, users)
        if sample.error is not None:
            self.errors[self._named(sample)] += 1

    def first_token(self, kind: str, ms: float, at_s: float) -> None:
        self.kinds.setdefault(kind, Counts()).first_token_ms.add(ms)
        self._slice(at_s).counts.first_token_ms.add(ms)

    def all(self) -> Counts:
        return total(self.kinds.values())

    def between(self, begin_s: float, end_s: float) -> Counts:
        """Of the slices that begin in that time."""
        return total(one.counts for number, one in self.slices.items() if begin_s <= number * self.slice_s < end_s)

    def _named(self, sample: Sample) -> str:
        named = f"{sample.kind}: {sample.error}"
        return named if named in self.errors or len(self.errors) < MOST_ERRORS else "others"

    def _slice(self, at_s: float) -> Slice:
        return self.slices.setdefault(int(at_s / self.slice_s), Slice())

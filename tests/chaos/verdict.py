"""What a trial shows, and what must not be: a pure reading of the turns."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import linear_regression

from tests.chaos.load import Turn
from tests.chaos.trial import Sample, Trial, Usage

WINDOW_S = 1.0
SLOW_MS = 50.0  # beyond twice the median of before, a window is slow
FEWEST = 3  # turns of a window that say anything
STRIKES_WITHIN_S = 0.5
SETTLES_S = 2.0  # after all is well again, in which a router may still go by what it alone knows
MIB = 2**20
HOUR_S = 3600.0


@dataclass(frozen=True)
class Times:
    """Milliseconds until a stream's first word."""

    p50: float
    p99: float


@dataclass(frozen=True)
class Judged:
    """
    Of one conversation. *changed*: turns that came to another use case or model without a word of why. *forked*: it
    came to a router that could not know it, as Redis was away; what follows is not judged.
    """

    changed: tuple[Turn, ...]
    forked: bool


@dataclass(frozen=True)
class Verdict:
    """*cut*: streams that a killed replica was answering. *slow_s*: from the strike to the last slow second's end."""

    requests: int
    failed: int
    cut: int
    sessions: int
    changed: int
    forked: int
    before: Times
    during: Times
    slow_s: float
    well_after_s: float | None
    left: float
    rss_mib: tuple[float, float]
    cpu: tuple[float, float] | None  # shares of one core, before and during; None where the routers were others
    log_kib: float
    troubles: tuple[str, ...]
    complaints: tuple[str, ...]


def verdict(trial: Trial) -> Verdict:
    cut = [turn for turn in trial.turns if _allowed_cut(turn, trial)]
    failed = [turn for turn in trial.turns if turn.end != "answered" and turn not in cut]
    away = _away(trial)
    judged = [judge(turns, away) for turns in _by_session(trial.turns).values()]
    changed, forked = [turn for one in judged for turn in one.changed], sum(one.forked for one in judged)
    well_after_s = None if trial.well is None else trial.well - trial.over
    before = _times(turn for turn in trial.turns if turn.began < trial.struck)
    return Verdict(
        requests=len(trial.turns),
        failed=len(failed),
        cut=len(cut),
        sessions=len(judged),
        changed=len(changed),
        forked=forked,
        before=before,
        during=_times(turn for turn in trial.turns if trial.struck <= turn.began < trial.over),
        slow_s=_slow_s(trial, before),
        well_after_s=well_after_s,
        left=trial.left,
        rss_mib=(trial.fault_usage[0].rss_bytes / MIB, trial.rest.rss_bytes / MIB),
        cpu=_cpu(trial),
        log_kib=(trial.fault_usage[1].log_bytes - trial.fault_usage[0].log_bytes) / 1024,
        troubles=(*_counted(failed), *(_told(turn, trial) for turn in changed)),
        complaints=tuple(_complaints(len(trial.turns), len(failed), len(changed), well_after_s, trial.left)),
    )


def judge(turns: Sequence[Turn], away: tuple[float, float] | None) -> Judged:
    """
    1. The first answer, and every one that says why, makes a choice that stands; the router that gave it knows it.
    2. An answer by the standing choice: its router knows it, too. But while Redis is *away*, one that goes by the
       session as it knows it may know an earlier choice of the same, and then goes by what Redis says once it is back.
    3. Another one, while Redis is *away*, of a router that does not know it: forked.
    4. Any other one: changed, and the choice that stands from now on.
    """
    standing: tuple[str, str] | None = None
    knows: set[int | None] = set()
    changed: list[Turn] = []
    for turn in turns:
        if turn.end == "failed":
            standing = None if turn.asked.explicit else standing  # who knows whether it was heard
            continue
        choice = turn.use_case, turn.model
        apart = bool(away and away[0] <= turn.ended and turn.began <= away[1])
        if standing is None or turn.explained:  # 1
            standing, knows = choice, {turn.router}
        elif choice == standing:  # 2
            knows |= set() if apart and turn.reason == "session" else {turn.router}
        elif apart and turn.router not in knows:  # 3
            return Judged(tuple(changed), True)
        else:  # 4
            changed.append(turn)
            standing, knows = choice, {turn.router}
    return Judged(tuple(changed), False)


def slopes_mib_per_hour(samples: Sequence[Sample]) -> tuple[float, ...]:
    """How each router's memory grew over the second half of the time, by least squares."""
    middle = (samples[0].at + samples[-1].at) / 2
    late = [sample for sample in samples if sample.at >= middle]
    times = [sample.at for sample in late]
    return tuple(
        linear_regression(times, sizes).slope * HOUR_S / MIB
        for sizes in zip(*(sample.rss_bytes for sample in late), strict=True)
    )


def _complaints(requests: int, failed: int, changed: int, well_after_s: float | None, left: float) -> Iterator[str]:
    if not requests:
        yield "nobody asked anything"
    if failed:
        yield f"{failed} of {requests} requests failed"
    if changed:
        yield f"{changed} times a session changed its model or use case without cause"
    if well_after_s is None:
        yield "the routers do not find Redis and their replicas again"
    if left:
        yield f"gauges are not back at zero: {left:g}"


def _counted(failed: Sequence[Turn]) -> Iterator[str]:
    for trouble, count in Counter(turn.trouble for turn in failed).items():
        yield f"{count} x {trouble}"


def _told(turn: Turn, trial: Trial) -> str:
    asked, at = turn.asked, turn.began - trial.struck
    return f"{asked.session} turn {asked.number} at {at:+.1f} s: {turn.use_case} by {turn.reason!r} of {turn.router}"


def _allowed_cut(turn: Turn, trial: Trial) -> bool:
    return turn.end == "cut" and trial.fault.cuts_streams and turn.began <= trial.struck + STRIKES_WITHIN_S


def _away(trial: Trial) -> tuple[float, float] | None:
    if not trial.fault.redis_away:
        return None
    return trial.struck, (trial.well or trial.over) + SETTLES_S


def _by_session(turns: Iterable[Turn]) -> dict[str, list[Turn]]:
    found: dict[str, list[Turn]] = defaultdict(list)
    for turn in turns:
        found[turn.asked.session].append(turn)
    return found


def _times(turns: Iterable[Turn]) -> Times:
    waits = sorted(turn.waited_s * 1000 for turn in turns if turn.asked.streamed and turn.end != "failed")
    return Times(waits[len(waits) // 2], waits[len(waits) * 99 // 100]) if waits else Times(0, 0)


def _slow_s(trial: Trial, before: Times) -> float:
    windows: dict[int, list[Turn]] = defaultdict(list)
    for turn in trial.turns:
        if turn.began >= trial.struck and turn.asked.streamed:
            windows[int((turn.began - trial.struck) // WINDOW_S)].append(turn)
    slow = (number for number, turns in windows.items() if _is_slow(turns, 2 * before.p50 + SLOW_MS))
    return max(((number + 1) * WINDOW_S for number in slow), default=0.0)


def _is_slow(turns: Sequence[Turn], most_ms: float) -> bool:
    return len(turns) >= FEWEST and _times(turns).p50 > most_ms


def _cpu(trial: Trial) -> tuple[float, float] | None:
    calm, struck = _share(*trial.calm), _share(*trial.fault_usage)
    return (calm, struck) if trial.calm[0].processes == trial.fault_usage[1].processes else None


def _share(earlier: Usage, later: Usage) -> float:
    return (later.cpu_s - earlier.cpu_s) / (later.at - earlier.at)

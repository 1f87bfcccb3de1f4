"""
Which model a session turns to next: after listening and thinking, usually speaking.

What followed is counted by the last two models (a second-order Markov chain), as the last one alone does not tell
who came to talk from who came to write. Going on with the same model is no step.
"""

from collections import OrderedDict, defaultdict

LEAST_SEEN = 20  # visits of a pair before it says anything
LIKELY = 0.5  # share of them that the next model must follow
MOST_SEEN = 1000  # then all counts of the pair are halved, so that old habits fade
MOST_SESSIONS = 10_000  # whose steps are followed, the latest

_Pair = tuple[str | None, str]  # the model before, and the one now


class Succession:
    """Of one process. Bounded by the registry's models and `MOST_SESSIONS`."""

    def __init__(self) -> None:
        self._at: OrderedDict[str, _Pair] = OrderedDict()  # by session
        self._visits: dict[_Pair, float] = defaultdict(float)
        self._steps: dict[_Pair, dict[str, float]] = defaultdict(lambda: defaultdict(float))

    def used(self, session: str, model: str) -> str | None:
        """*session* is answered by *model* now: if that is a step, the model that is likely to follow."""
        before = self._at.get(session)
        if before is not None and before[1] == model:
            self._at.move_to_end(session)
            return None
        now: _Pair = (before[1] if before else None, model)
        self._note(session, before, now)
        return self.likely(now)

    def likely(self, pair: _Pair) -> str | None:
        """Of sessions that came this way, at least half went on to it, whatever the others did."""
        visits, steps = self._visits.get(pair, 0.0), self._steps.get(pair)
        if visits < LEAST_SEEN or not steps:
            return None
        following, count = max(steps.items(), key=lambda step: step[1])
        return following if count >= LIKELY * visits else None

    def keep(self, models: frozenset[str]) -> None:
        """Forget all others: the registry has changed."""
        for pair in [pair for pair in self._visits if pair[1] not in models]:
            del self._visits[pair]
            self._steps.pop(pair, None)
        for steps in self._steps.values():
            for gone in steps.keys() - models:
                del steps[gone]

    def _note(self, session: str, before: _Pair | None, now: _Pair) -> None:
        if before is not None:
            self._steps[before][now[1]] += 1
        self._at[session] = now
        self._at.move_to_end(session)
        if len(self._at) > MOST_SESSIONS:
            self._at.popitem(last=False)
        self._visits[now] += 1
        if self._visits[now] > MOST_SEEN:
            self._fade(now)

    def _fade(self, pair: _Pair) -> None:
        self._visits[pair] /= 2
        for model in self._steps[pair]:
            self._steps[pair][model] /= 2

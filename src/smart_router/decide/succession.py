"""
Which model a session turns to next: after listening and thinking, usually speaking.

What followed is counted by the last two models (a second-order Markov chain), as the last one alone does not tell
who came to talk from who came to write. Going on with the same model is no step.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

LEAST_SEEN = 20  # visits of a pair before it says anything
LIKELY = 0.6  # share of them that the next model must follow; as simulated, docs/model-lifecycle.md
MOST_SEEN = 1000  # then all counts of the pair are halved, so that old habits fade
MOST_SESSIONS = 10_000  # whose steps are followed, the latest

Pair = tuple[str | None, str]  # the model before, and the one now


@dataclass(slots=True)
class Habit:
    """How often sessions came to a pair of models, and what they went on to."""

    visits: float = 0.0
    steps: dict[str, float] = field(default_factory=dict)

    def add(self, more: "Habit") -> None:
        self.visits += more.visits
        for model, count in more.steps.items():
            self.steps[model] = self.steps.get(model, 0.0) + count

    def fade(self) -> None:
        self.visits /= 2
        self.steps = {model: count / 2 for model, count in self.steps.items()}


Habits = Mapping[Pair, Habit]


class Succession:
    """Bounded by the *models* there are and `MOST_SESSIONS`. What is counted here may be shared with other routers."""

    def __init__(self, models: frozenset[str]) -> None:
        self._models = models
        self._at: OrderedDict[str, Pair] = OrderedDict()  # by session
        self._habits: dict[Pair, Habit] = {}
        self._since: dict[Pair, Habit] = {}  # what was counted since `take`, and is in `_habits` as well

    def used(self, session: str, model: str) -> str | None:
        """*session* is answered by *model* now: if that is a step, the model that is likely to follow."""
        before = self._at.get(session)
        if before is not None and before[1] == model:
            self._at.move_to_end(session)
            return None
        if model not in self._models:
            return None
        now: Pair = (before[1] if before else None, model)
        self._note(session, before, now)
        return self.likely(now)

    def likely(self, pair: Pair) -> str | None:
        """Of sessions that came this way, so large a share went on to it, whatever the others did."""
        habit = self._habits.get(pair)
        if habit is None or habit.visits < LEAST_SEEN or not habit.steps:
            return None
        following = max(habit.steps, key=habit.steps.__getitem__)
        return following if habit.steps[following] >= LIKELY * habit.visits else None

    def keep(self, models: frozenset[str]) -> None:
        """Forget all others: the registry has changed."""
        self._models = models
        self._at = OrderedDict((session, pair) for session, pair in self._at.items() if _of(models, pair))
        self._habits, self._since = self._known(self._habits), self._known(self._since)

    def take(self) -> Habits:
        """What was counted since the last time, to be added to what routers share."""
        taken, self._since = self._since, {}
        return taken

    def put_back(self, taken: Habits) -> None:
        """It could not be added: next time."""
        for pair, habit in self._known(taken).items():
            self._since.setdefault(pair, Habit()).add(habit)

    def learn(self, shared: Habits) -> None:
        """What all routers have counted: it replaces what is known here, but for what was counted since `take`."""
        self._habits = self._known(shared)
        for pair, habit in self._since.items():
            self._habits.setdefault(pair, Habit()).add(habit)

    def _note(self, session: str, before: Pair | None, now: Pair) -> None:
        for counts in (self._habits, self._since):
            if before is not None:
                steps = counts.setdefault(before, Habit()).steps
                steps[now[1]] = steps.get(now[1], 0.0) + 1
            here = counts.setdefault(now, Habit())
            here.visits += 1
            if here.visits > MOST_SEEN:
                here.fade()
        self._at[session] = now
        self._at.move_to_end(session)
        if len(self._at) > MOST_SESSIONS:
            self._at.popitem(last=False)

    def _known(self, habits: Habits) -> dict[Pair, Habit]:
        """Of the models that there are, in copies."""
        return {
            pair: Habit(habit.visits, {model: count for model, count in habit.steps.items() if model in self._models})
            for pair, habit in habits.items()
            if _of(self._models, pair)
        }


def _of(models: frozenset[str], pair: Pair) -> bool:
    return pair[1] in models and (pair[0] is None or pair[0] in models)

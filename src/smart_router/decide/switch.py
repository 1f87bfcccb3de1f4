"""
Does this turn stay with its session, and if not, where does it belong?

    decide(turn, standing, cues, policy) -> Decision     settled without the encoder
                                         -> NeedsScores  classify, then settle(...)
"""

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from smart_router.types import Because, Decision, MediaKind, Reason

SHORT_TURN = 5  # words; "make it shorter" and "why?" point back, whatever their words are most often used for

Scores = Mapping[str, float]  # use case -> probability


class Turn(Struct, frozen=True):
    """What is known of a turn before anything is computed."""

    admitted: tuple[str, ...]  # use cases that its media leave possible; never empty
    media: tuple[MediaKind, ...] = ()
    explicit: str | None = None
    words: int = SHORT_TURN + 1


class Standing(Struct, frozen=True):
    """The session's choice so far."""

    use_case: str
    confidence: float


class Policy(Struct, frozen=True):
    """Thresholds are probabilities, 0..1."""

    default_use_case: str
    bypass: bool  # False: every turn is classified (standard mode)
    threshold: float  # below it a first turn goes to the default use case
    margin: float  # by how much another use case must lead the standing one
    guard: float  # from here on the cues of another use case alarm the guard


class NeedsScores(Struct, frozen=True):
    """The encoder has to look at this turn; `because` carries what is known so far."""

    turn: Turn
    because: Because


def decide(turn: Turn, standing: Standing | None, cues: Callable[[], Scores], policy: Policy) -> Decision | NeedsScores:
    """
    Settle the turn without the encoder if that is possible. *cues* gives the lexical guard's scores, when asked.

    1. An explicit use case is obeyed.
    2. Media that admit one use case only decide.
    3. No session, or bypass is off: classify.
    4. Media that the standing use case does not admit: classify among those that do.
    5. The guard is alarmed, as its cues point at another admitted use case: classify. The default use case, where plain
       words belong, is no alarm in a short turn.
    6. Otherwise the session stands: bypass.
    """
    because = Because(hint=turn.media, session=standing.use_case if standing else None)
    if turn.explicit is not None:  # 1
        return _chosen(turn.explicit, 1.0, "explicit", standing, because)
    if turn.media and len(turn.admitted) == 1:  # 2
        return _by_media(turn, standing, because, policy)
    if standing is None or not policy.bypass:  # 3
        return NeedsScores(turn, because)
    if standing.use_case not in turn.admitted:  # 4
        return NeedsScores(turn, replace(because, note="the session's use case does not take what came with this turn"))
    alarming = _others(cues(), turn, standing, policy)
    if alarming:  # 5
        return NeedsScores(turn, replace(because, cues=alarming))
    return Decision(standing.use_case, standing.confidence, "session", bypass=True, because=because)  # 6


def settle(needed: NeedsScores, scores: Scores, standing: Standing | None, policy: Policy, full: bool) -> Decision:
    """
    Choose with the classifier's *scores*; *full* is False when the encoder had no part in them.

    1. Only admitted use cases count; their scores are scaled to sum to 1.
    2. Media are a decision: the best of the admitted.
    3. With a session, the best must lead the standing one by the margin, or the session stands (not a bypass: the
       encoder ran). A short turn does not leave for the default use case.
    4. Without one, the best must reach the threshold, or it is the default use case: fallback.
    """
    among = _among(scores, needed.turn.admitted)  # 1
    best = max(among, key=lambda name: among[name])
    chosen = _Chooser(needed, among, standing)
    if needed.turn.media:  # 2
        return chosen.take(best, "modality")
    if standing is not None and standing.use_case in among:  # 3
        leads = among[best] - among[standing.use_case] >= policy.margin
        if best != standing.use_case and leads and not _points_back(needed.turn, best, policy):
            return chosen.take(best, "switched")
        return chosen.take(standing.use_case, "session")
    if among[best] < policy.threshold and policy.default_use_case in among:  # 4
        return chosen.take(policy.default_use_case, "fallback")
    return chosen.take(best, "classified" if full else "degraded")


class _Chooser(Struct, frozen=True):
    needed: NeedsScores
    among: Scores
    standing: Standing | None

    def take(self, use_case: str, reason: Reason) -> Decision:
        found = _chosen(use_case, self.among[use_case], reason, self.standing, self.needed.because)
        return replace(found, scores=self.among)


def _by_media(turn: Turn, standing: Standing | None, because: Because, policy: Policy) -> Decision:
    only = turn.admitted[0]
    if policy.bypass and standing is not None and standing.use_case == only:
        return Decision(only, standing.confidence, "session", bypass=True, because=because)
    return _chosen(only, 1.0, "modality", standing, because)


def _chosen(use_case: str, confidence: float, reason: Reason, standing: Standing | None, because: Because) -> Decision:
    changed = standing is not None and standing.use_case != use_case
    return Decision(use_case, confidence, reason, context_changed=changed, because=because)


def _others(cues: Scores, turn: Turn, standing: Standing, policy: Policy) -> dict[str, float]:
    others = (name for name in turn.admitted if name != standing.use_case and not _points_back(turn, name, policy))
    return {name: cues[name] for name in others if cues.get(name, 0) >= policy.guard}


def _points_back(turn: Turn, use_case: str, policy: Policy) -> bool:
    return turn.words <= SHORT_TURN and use_case == policy.default_use_case


def _among(scores: Scores, names: tuple[str, ...]) -> dict[str, float]:
    total = sum(scores.get(name, 0.0) for name in names)
    if total <= 0:  # a use case that nobody taught the classifier
        return dict.fromkeys(names, 1 / len(names))
    return {name: scores.get(name, 0.0) / total for name in names}

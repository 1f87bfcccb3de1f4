"""
Does this turn stay with its session, and if not, where does it belong?

    decide(turn, standing, cues, policy) -> Decision     settled without the encoder
                                         -> NeedsScores  classify, then settle(...)
                                         -> NotTaken     the session is pinned to what does not take what came

Cues and scores of a later turn already weigh the session in: both come from heads that were trained on how people go on
after a turn of the standing use case.
"""

import math
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from smart_router.types import Because, Decision, MediaKind, Reason

Scores = Mapping[str, float]  # use case -> probability

NOTHING_SAID = "there is nothing to read in it"
BACK_CHANNEL = "a word that answers, thanks or asks on"
SECOND_OPINION = "the classifier was not sure: a language model decided"
PINNED = "the session is pinned to its use case"
NOT_TAKEN = "the session's use case does not take what came with this turn"


class Turn(Struct, frozen=True):
    """What is known of a turn before anything is computed."""

    admitted: tuple[str, ...]  # use cases that its media leave possible; of a pinned session, that can take them
    media: tuple[MediaKind, ...] = ()
    explicit: str | None = None
    said: str = ""  # why its words cannot lead elsewhere; empty if they can


class Standing(Struct, frozen=True):
    """The session's choice so far, the use cases of its other lanes, and what a person asked of it."""

    use_case: str
    confidence: float
    earlier: frozenset[str] = frozenset()
    pinned: str = ""  # the use case of all its turns; empty: none
    bypass: bool | None = None  # in place of the policy's


class Policy(Struct, frozen=True):
    """Thresholds are probabilities, 0..1."""

    default_use_case: str
    bypass: bool  # False: every turn is classified (standard mode)
    thresholds: Mapping[str, float]  # below its own, a use case is no choice for a first turn: the default one is
    margin: float  # by how much another use case must lead the standing one
    return_margin: float  # the same, for a use case that the session was in before
    guard: float  # from here on the cues of other use cases, taken together, alarm the guard
    conflict: float  # from here on a text speaks for a use case that does not take what came with it


class NeedsScores(Struct, frozen=True):
    """The encoder has to look at this turn; `because` carries what is known so far."""

    turn: Turn
    because: Because


class NotTaken(Struct, frozen=True):
    """The session is pinned to *use_case*, none of whose models takes what came with the turn: it has to be refused."""

    use_case: str


def decide(
    turn: Turn, standing: Standing | None, cues: Callable[[], Scores], policy: Policy
) -> Decision | NeedsScores | NotTaken:
    """
    Settle the turn without the encoder if that is possible. *cues* gives the lexical guard's scores, when asked.

    1. An explicit use case is obeyed; else the one that the session is pinned to, whatever is said or hinted at. What
       it cannot take is not given to another one, as the pin is somebody's word: the turn is refused.
    2. Media that admit one use case only decide.
    3. Nothing to read: the session stands, without one it is the default use case.
    4. No session, or bypass is off: classify.
    5. Media that admit several, or earlier ones that the standing use case does not take: classify among those that do,
       whatever the session is. What comes with a turn is never ignored.
    6. A back-channel ("ok", "why?") leaves the session as it is.
    7. The guard is alarmed, as cues point at other admitted use cases: classify.
    8. Otherwise the session stands: bypass.
    """
    because = Because(hint=turn.media, session=standing.use_case if standing else None)
    if turn.explicit is not None:  # 1
        return _chosen(turn.explicit, 1.0, "explicit", standing, because)
    if standing is not None:
        policy = _of_session(standing, policy)
        if standing.pinned:
            return _pinned(turn, standing, because, policy)
    if turn.media and len(turn.admitted) == 1:  # 2
        return _by_media(turn, standing, because, policy)
    if turn.said == NOTHING_SAID and not turn.media:  # 3
        return _unread(turn, standing, because, policy)
    if standing is None or not policy.bypass:  # 4
        return NeedsScores(turn, because)
    if standing.use_case not in turn.admitted:  # 5
        return NeedsScores(turn, replace(because, note=NOT_TAKEN))
    if turn.media:
        return NeedsScores(turn, because)
    if turn.said:  # 6
        return _stays(standing, replace(because, note=turn.said))
    found = cues()
    others = {name: found.get(name, 0.0) for name in turn.admitted if name != standing.use_case}
    if sum(others.values()) >= policy.guard:  # 7
        return NeedsScores(turn, replace(because, cues=others))
    return _stays(standing, because)  # 8


def settle(needed: NeedsScores, scores: Scores, standing: Standing | None, policy: Policy, full: bool) -> Decision:
    """
    Choose with the classifier's *scores*; *full* is False when the encoder had no part in them.

    1. Only admitted use cases count; their scores are scaled to sum to 1.
    2. Media are a decision: the best of the admitted.
    3. With a session, the best must lead the standing one by a margin, or the session stands (not a bypass: the
       encoder ran). The margin is smaller for a use case that the session was in before.
    4. Without one, the best must reach its threshold, or it is the default use case: fallback.
    """
    among = _among(scores, needed.turn.admitted)  # 1
    best = max(among, key=lambda name: among[name])
    chosen = _Chooser(needed, among, standing)
    if needed.turn.media:  # 2
        return chosen.take(best, "modality")
    if standing is not None and standing.use_case in among:  # 3
        margin = policy.return_margin if best in standing.earlier else policy.margin
        lead = among[best] - among[standing.use_case]  # of the standing one itself, and in a tie: none
        leads = lead > 0 and lead >= margin
        return chosen.take(best, "switched") if leads else chosen.take(standing.use_case, "session")
    if among[best] < policy.thresholds[best] and policy.default_use_case in among:  # 4
        return chosen.take(policy.default_use_case, "fallback")
    return chosen.take(best, "classified" if full else "degraded")


def together(alone: Scores, later: Scores) -> dict[str, float]:
    """
    Scores of a turn that brings media into a session: what it says *alone* counts as much as what it says as a *later*
    turn, where the session weighs in (their geometric mean; `settle` makes it sum to 1).
    """
    return {name: math.sqrt(probability * later.get(name, 0.0)) for name, probability in alone.items()}


def overruled(decision: Decision, opinion: str, standing: Standing | None) -> Decision:
    """*decision* after a second *opinion*, which counts where the classifier was not sure."""
    reason: Reason = "classified" if standing is None else "session" if opinion == standing.use_case else "switched"
    because = replace(decision.because, note=SECOND_OPINION)
    confidence = decision.scores.get(opinion, decision.confidence)
    return replace(_chosen(opinion, confidence, reason, standing, because), scores=decision.scores)


def conflict(turn: Turn, alone: Scores, policy: Policy) -> str:
    """The use case that the text, seen *alone*, clearly asks for although it does not take what came; empty if none."""
    clear = (name for name, probability in alone.items() if probability >= policy.conflict)
    best = max(clear, key=lambda name: alone[name], default="")
    return best if turn.media and turn.explicit is None and best not in turn.admitted else ""


class _Chooser(Struct, frozen=True):
    needed: NeedsScores
    among: Scores
    standing: Standing | None

    def take(self, use_case: str, reason: Reason) -> Decision:
        found = _chosen(use_case, self.among[use_case], reason, self.standing, self.needed.because)
        return replace(found, scores=self.among)


def _of_session(standing: Standing, policy: Policy) -> Policy:
    return policy if standing.bypass in (None, policy.bypass) else replace(policy, bypass=bool(standing.bypass))


def _pinned(turn: Turn, standing: Standing, because: Because, policy: Policy) -> Decision | NotTaken:
    if standing.pinned not in turn.admitted:
        return NotTaken(standing.pinned)
    found = _chosen(standing.pinned, 1.0, "session", standing, replace(because, note=PINNED))
    return replace(found, bypass=policy.bypass)


def _by_media(turn: Turn, standing: Standing | None, because: Because, policy: Policy) -> Decision:
    only = turn.admitted[0]
    if policy.bypass and standing is not None and standing.use_case == only:
        return _stays(standing, because)
    return _chosen(only, 1.0, "modality", standing, because)


def _unread(turn: Turn, standing: Standing | None, because: Because, policy: Policy) -> Decision:
    because = replace(because, note=turn.said)
    if standing is not None and standing.use_case in turn.admitted:
        return replace(_stays(standing, because), bypass=policy.bypass)
    default = policy.default_use_case if policy.default_use_case in turn.admitted else turn.admitted[0]
    return _chosen(default, 1 / len(turn.admitted), "fallback", standing, because)


def _stays(standing: Standing, because: Because) -> Decision:
    return Decision(standing.use_case, standing.confidence, "session", bypass=True, because=because)


def _chosen(use_case: str, confidence: float, reason: Reason, standing: Standing | None, because: Because) -> Decision:
    changed = standing is not None and standing.use_case != use_case
    return Decision(use_case, confidence, reason, context_changed=changed, because=because)


def _among(scores: Scores, names: tuple[str, ...]) -> dict[str, float]:
    total = sum(scores.get(name, 0.0) for name in names)
    if total <= 0:  # a use case that nobody taught the classifier
        return dict.fromkeys(names, 1 / len(names))
    return {name: scores.get(name, 0.0) / total for name in names}

"""Which use case a turn belongs to: the pure decision, fed by the registry and the classifier."""

from dataclasses import replace

from smart_router.classify.base import Query
from smart_router.classify.classifier import Classifier
from smart_router.decide import modality, switch
from smart_router.decide.switch import NeedsScores, Policy, Standing
from smart_router.errors import BadRequest, UnknownUseCase
from smart_router.registry import Registry
from smart_router.settings import Settings
from smart_router.types import Ask, Decision


class Chooser:
    """Has no side effects: the same ask, standing choice and classifier give the same decision."""

    def __init__(self, registry: Registry, classifier: Classifier, settings: Settings) -> None:
        self._use_cases = registry.use_cases
        self._classifier = classifier
        self._policy = policy_from(registry, settings)
        self._modalities = {u.id: frozenset[str](u.modalities) for u in registry.use_cases.values()}
        self._accepts = {
            name: tuple(frozenset[str](model.accepts) for model in registry.candidates(name))
            for name in registry.use_cases
        }

    async def choose(self, ask: Ask, standing: Standing | None, *, explain: bool = False) -> Decision:
        """
        The decision; with *explain* it has scores even when nothing had to be classified.

        Raises:
            UnknownUseCase, BadRequest: the ask names or attaches what nothing here serves.
        """
        turn = self._turn(ask)
        query = Query(ask.query, turn.media)
        decision = switch.decide(turn, self._known(standing), lambda: self._classifier.cues(query), self._policy)
        if isinstance(decision, NeedsScores):
            scores = await self._classifier.scores(query)
            return switch.settle(decision, scores.probabilities, self._known(standing), self._policy, scores.full)
        if explain:
            return replace(decision, scores=(await self._classifier.scores(query)).probabilities)
        return decision

    def _turn(self, ask: Ask) -> switch.Turn:
        if ask.use_case is not None and ask.use_case not in self._use_cases:
            raise UnknownUseCase(f"use_case: there is no such use case; there are {', '.join(self._use_cases)}")
        media = modality.media_of(ask.modality, ask.attached)
        admitted = modality.admitted(media, ask.attached, self._modalities, self._accepts)
        if not admitted and ask.use_case is None:
            place = "attachments" if ask.attachments else "modality"
            raise BadRequest(f"{place}: no use case here takes {' together with '.join(media)}")
        return switch.Turn(admitted, media, ask.use_case, len(ask.query.split()))

    def _known(self, standing: Standing | None) -> Standing | None:
        """A session may outlive its use case."""
        return standing if standing and standing.use_case in self._use_cases else None


def policy_from(registry: Registry, settings: Settings) -> Policy:
    """The switch's thresholds; standard mode classifies every turn."""
    return Policy(
        default_use_case=registry.defaults.use_case,
        bypass=settings.routing_mode == "realtime",
        threshold=settings.confidence_threshold,
        margin=settings.switch_margin,
        guard=settings.guard_threshold,
    )

"""Which use case a turn belongs to: the pure decision, fed by the registry and the classifier."""

from collections.abc import Iterable

from msgspec.structs import replace

from smart_router.classify.base import Query
from smart_router.classify.classifier import Classifier
from smart_router.decide import followup, modality, switch
from smart_router.decide.switch import NeedsScores, NotTaken, Policy, Standing
from smart_router.errors import BadRequest, Forbidden, UnknownUseCase
from smart_router.registry import Model, Registry
from smart_router.rulebook import Rulebook
from smart_router.second_opinion import SecondOpinion
from smart_router.settings import Settings
from smart_router.types import Ask, Decision, Grant, MediaKind, Rules


class Chooser:
    """
    Has no side effects: the same ask, standing choice and classifier give the same decision. *second* is asked about
    turns that the classifier is not sure of.
    """

    def __init__(
        self, registry: Registry, classifier: Classifier, settings: Settings, second: SecondOpinion | None = None
    ) -> None:
        self._registry = registry
        self._second = second
        self._use_cases = registry.use_cases
        self._classifier = classifier
        self._policy = policy_from(registry, settings)
        self._modalities = {u.id: frozenset[str](u.modalities) for u in registry.use_cases.values()}
        self._accepts = {
            name: tuple(frozenset[str](model.accepts) for model in registry.candidates(name))
            for name in registry.use_cases
        }
        self._candidates: dict[tuple[object, ...], tuple[Model, ...]] = {}
        self._served_by = {id: _use_cases_of(id, registry) for id in registry.models}
        self._rules = Rulebook(registry)
        self._ruled_alike = {id for id, use_cases in self._served_by.items() if self._rules.alike(use_cases)}

    async def choose(
        self, ask: Ask, standing: Standing | None, previous: str = "", *, explain: bool = False
    ) -> Decision:
        """
        The decision; *previous* is what the user said in the turn before, where that is known. With *explain* it has
        scores even when nothing had to be classified.

        Raises:
            UnknownUseCase, BadRequest: the ask names or attaches what nothing here serves, or what the use case does
                not take that its session is pinned to.
        """
        if ask.model is not None:
            return self._named(ask.model, self._known(standing), ask.grant)
        if ask.needs:
            return self._able(ask)
        known = self._known(standing)
        pinned = known is not None and bool(known.pinned) and ask.use_case is None
        turn = self._of_pinned(ask) if pinned else self._turn(ask)
        query = Query(ask.query, turn.media, known.use_case if known else None, previous)
        decision = await self._decide(ask, turn, query, known)
        if explain and not decision.scores:
            decision = replace(decision, scores=(await self._classifier.scores(query)).probabilities)
        return self._compared(turn, ask, decision) if turn.media and ask.use_case is None and not pinned else decision

    async def _decide(self, ask: Ask, turn: switch.Turn, query: Query, standing: Standing | None) -> Decision:
        decision = switch.decide(turn, standing, lambda: self._classifier.cues(query), self._policy)
        if isinstance(decision, NotTaken):
            raise BadRequest(_not_taken(ask, decision.use_case))
        if not isinstance(decision, NeedsScores):
            return decision
        scores = await self._classifier.scores(query)
        probabilities = scores.probabilities
        if turn.media and standing is not None:
            alone = await self._classifier.scores(Query(query.text, query.media))
            probabilities = switch.together(alone.probabilities, probabilities)
        settled = switch.settle(decision, probabilities, standing, self._policy, scores.full)
        if self._second is None or turn.media or settled.confidence >= self._second.below:
            return settled
        if not await self._rules.sure_to_pass(ask):
            return settled  # a refused request is shown to no model
        opinion = await self._second.on(query, turn.admitted)
        return settled if opinion is None else switch.overruled(settled, opinion, standing)

    def _compared(self, turn: switch.Turn, ask: Ask, decision: Decision) -> Decision:
        """What came with the turn decides; but that its text asks for something else is worth knowing."""
        conflict = switch.conflict(turn, self._classifier.cues(Query(ask.query)), self._policy)
        return replace(decision, because=replace(decision.because, conflict=conflict)) if conflict else decision

    def lane(self, use_case: str) -> str:
        """The backend group in which a session's choice of *use_case* is kept, if its first model answers."""
        return self._registry.candidates(use_case)[0].lane

    def candidates(self, ask: Ask, decision: Decision) -> tuple[Model, ...]:
        """
        The models that may answer, in order of preference.

        Raises:
            BadRequest: none takes what is attached.
            Forbidden: the caller's key is not for this use case, or for none of them.
        """
        key = (ask.model, decision.use_case, ask.attached | ask.carried, ask.needs, ask.held_at is None)
        found = self._candidates.get(key)
        if found is None:
            found = self._candidates[key] = self._found(ask, decision.use_case, ask.attached | ask.carried)
        if not found:
            kinds = ", ".join(sorted(ask.attached | ask.carried))
            raise BadRequest(
                f"attachments: no model of use case {decision.use_case} takes {kinds}; leave it out, or use_case"
            )
        return found if ask.grant is None else _permitted(ask.grant, decision.use_case, ask.model, found)

    def permitted(self, grant: Grant, use_case: str) -> tuple[Model, ...]:
        """
        The models that may answer whoever asks for *use_case* with this key.

        Raises:
            UnknownUseCase
            Forbidden: the key is not for this use case, or for none of its models.
        """
        if use_case not in self._use_cases:
            raise self._unknown()
        return _permitted(grant, use_case, None, self._registry.candidates(use_case))

    def serving(self, grant: Grant, model: str) -> bool:
        """The key may ask for *model* by its name."""
        served = self._served_by[model]
        allowed = grant.use_cases is None or not grant.use_cases.isdisjoint(served)
        return allowed and (grant.models is None or model in grant.models)

    def rules(self, ask: Ask, decision: Decision) -> Rules | None:
        """What the operator lets *ask* ask for; None: anything."""
        return self._rules.on(ask, decision.use_case)

    def ruled_alike(self, ask: Ask, model: str) -> bool:
        """Whatever use case *model* is asked for, the same rules apply, and the caller's key is for it or is not."""
        if ask.grant is None or ask.grant.use_cases is None:
            return model in self._ruled_alike
        permitted = {use_case in ask.grant.use_cases for use_case in self._served_by[model]}
        return model in self._ruled_alike and len(permitted) == 1

    def _found(self, ask: Ask, use_case: str, seen: frozenset[MediaKind]) -> tuple[Model, ...]:
        models = self._registry.models
        if ask.model is not None:
            named = models[ask.model]
            others = (models[name] for name in named.fallbacks if ask.held_at is None)
            return (named, *(other for other in others if seen <= set(other.accepts)))
        found = self._registry.candidates(use_case, seen)
        fit = tuple(model for model in found if able(model) & ask.needs)
        return fit or found

    def _named(self, model: str, standing: Standing | None, grant: Grant | None) -> Decision:
        """
        The client chose a model: the use case is the session's, if that model serves it, else the first that the key is
        for.
        """
        served = self._served_by[model]
        if standing is not None:
            for use_case in (standing.pinned, standing.use_case):
                if use_case in served:
                    return Decision(use_case, 1.0, "explicit", context_changed=use_case != standing.use_case)
        allowed = None if grant is None else grant.use_cases
        use_case = next((name for name in served if allowed is None or name in allowed), served[0])
        return Decision(use_case, 1.0, "explicit", context_changed=standing is not None)

    def _able(self, ask: Ask) -> Decision:
        """The path says what the model must be able to do: the usual use case, else the first that has such a model."""
        if ask.use_case is not None:
            return Decision(ask.use_case, 1.0, "explicit")
        if ask.usual is not None and ask.usual in self._use_cases:
            return Decision(ask.usual, 1.0, "modality")
        for name in self._use_cases:
            if any(able(model) & ask.needs for model in self._registry.candidates(name)):
                return Decision(name, 1.0, "modality")
        wanted = " or ".join(sorted(ask.needs))
        raise BadRequest(f"model: no model here is registered for {wanted}; name one that does it")

    def _turn(self, ask: Ask) -> switch.Turn:
        if ask.use_case is not None and ask.use_case not in self._use_cases:
            raise self._unknown()
        media = modality.media_of(ask.modality, ask.attached)
        admitted = modality.admitted(media, ask.attached | ask.carried, self._modalities, self._accepts)
        if not admitted and ask.use_case is None:
            place = "attachments" if ask.attached or ask.carried else "modality"
            kinds = " together with ".join(media or sorted(ask.carried))
            raise BadRequest(f"{place}: no use case here takes {kinds}; GET /use-cases says what each takes")
        return switch.Turn(admitted, media, ask.use_case, followup.says(ask.query))

    def _of_pinned(self, ask: Ask) -> switch.Turn:
        """A pin asks only whether a model of its use case takes what came, as an explicit use case does."""
        attached = ask.attached
        able = modality.admitted((), attached | ask.carried, self._modalities, self._accepts)
        return switch.Turn(able, modality.media_of(ask.modality, attached))

    def _unknown(self) -> UnknownUseCase:
        return UnknownUseCase(f"use_case: there is no such use case; there are {', '.join(self._use_cases)}")

    def _known(self, standing: Standing | None) -> Standing | None:
        """A session may outlive its use case, and the one that it is pinned to."""
        if standing is None:
            return None
        if standing.pinned and standing.pinned not in self._use_cases:
            standing = replace(standing, pinned="")
        if standing.use_case in self._use_cases:
            return standing
        return replace(standing, use_case=standing.pinned) if standing.pinned else None


def _permitted(grant: Grant, use_case: str, named: str | None, models: tuple[Model, ...]) -> tuple[Model, ...]:
    """A model that the client named is not replaced by another one that it may have."""
    if grant.use_cases is not None and use_case not in grant.use_cases:
        raise Forbidden(f"this key is not for {use_case}; it is for {', '.join(sorted(grant.use_cases)) or 'nothing'}")
    if grant.models is None:
        return models
    wanted = [named] if named is not None else [model.id for model in models]
    if grant.models.isdisjoint(wanted):
        may = ", ".join(sorted(grant.models)) or "none"
        raise Forbidden(f"this key is not for {' or '.join(wanted)}; the models that it is for: {may}")
    return tuple(model for model in models if model.id in grant.models)


def _not_taken(ask: Ask, use_case: str) -> str:
    came = " together with ".join(sorted(ask.attached | ask.carried))
    return (
        f"attachments: the session is pinned to {use_case}, which does not take {came}; send it without, name another "
        f'use_case, or unpin the session: PATCH /sessions/{ask.session_id} with {{"use_case": null}}'
    )


def able(model: Model) -> frozenset[str]:
    """What *model* is registered for."""
    return frozenset((model.api, *model.capabilities))


def policy_from(registry: Registry, settings: Settings) -> Policy:
    """The switch's thresholds; standard mode classifies every turn."""
    return Policy(
        default_use_case=registry.defaults.use_case,
        bypass=settings.routing_mode == "realtime",
        thresholds={
            use_case.id: settings.confidence_threshold if use_case.threshold is None else use_case.threshold
            for use_case in registry.use_cases.values()
        },
        margin=settings.switch_margin,
        return_margin=settings.return_margin,
        guard=settings.guard_threshold,
        conflict=settings.conflict_threshold,
    )


def _use_cases_of(model: str, registry: Registry) -> tuple[str, ...]:
    """Those that list the model first, then those that fall back to it; the default for one that nobody lists."""
    listing: Iterable[str] = (u.id for u in registry.use_cases.values() if model in u.models)
    falling: Iterable[str] = (u for u in registry.use_cases if any(m.id == model for m in registry.candidates(u)))
    return tuple(dict.fromkeys([*listing, *falling])) or (registry.defaults.use_case,)

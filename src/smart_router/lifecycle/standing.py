"""How all models stand, those that are always awake included: for people and metrics."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from smart_router.decide.swap import RESIDENT, State
from smart_router.errors import UnknownModel
from smart_router.lifecycle.base import ModelReport
from smart_router.registry import Model, Registry
from smart_router.upstream.fleet import Fleet, ReplicaReport

ALWAYS = "always"


class Manager(Protocol):
    """Of models that come and go, as far as people see and order it: `lifecycle/manager.py`."""

    def report(self) -> tuple[ModelReport, ...]:
        """Those of the registry, in its order."""

    def waiting(self, model: str) -> int:
        """Requests that wait until it is awake."""

    async def load(self, model: str) -> None:
        """
        Return when it is awake.

        Raises:
            UnknownModel
            ModelConflict: it is not managed, or there is no room and will be none.
            NoModelAvailable, UpstreamError, LifecycleFailed: it could not be woken.
        """

    async def unload(self, model: str) -> None:
        """
        Return when it sleeps.

        Raises:
            UnknownModel
            ModelConflict: it is not managed, is kept, or has requests.
            UpstreamError, LifecycleFailed: it could not be put to sleep.
        """

    async def pin(self, model: str, pinned: bool) -> None:
        """
        Wake it and never evict it, or do so again.

        Raises:
            UnknownModel
            ModelConflict: it is not managed, or whoever has the room is kept.
        """


@dataclass(frozen=True, slots=True)
class GroupReport:
    """A group that holds models that come and go; *residents*: who takes its room."""

    id: str
    max_resident: int
    residents: tuple[str, ...]

    @property
    def room(self) -> int:
        """For so many more."""
        return max(0, self.max_resident - len(self.residents))


class Standing:
    """Puts together what the registry, the fleet and the manager know."""

    def __init__(self, registry: Registry, fleet: Fleet, manager: Manager) -> None:
        self._registry = registry
        self._fleet = fleet
        self._manager = manager

    def models(self) -> tuple[ModelReport, ...]:
        """All of the registry, in its order. What of an `always` one nobody counts is 0 or None."""
        managed = {report.id: report for report in self._manager.report()}
        replicas = self._replicas()
        return tuple(
            self._managed(model, managed.get(model.id))
            if model.managed
            else self._always(model, replicas.get(model.id, []))
            for model in self._registry.models.values()
        )

    def model(self, id: str) -> ModelReport:
        """
        Raises:
            UnknownModel
        """
        if id not in self._registry.models:
            raise UnknownModel(f"model: there is no {id[:100]!r} here; there are {', '.join(self._registry.models)}")
        return next(report for report in self.models() if report.id == id)

    def groups(self, reports: Sequence[ModelReport]) -> tuple[GroupReport, ...]:
        """
        Those that hold models that come and go, of *reports* by `models`. One that is always awake takes room for ever.
        """
        names = dict.fromkeys(report.group for report in reports if report.lifecycle != ALWAYS)
        return tuple(
            GroupReport(
                name,
                self._registry.max_resident(name),
                tuple(report.id for report in reports if report.group == name and takes_room(report)),
            )
            for name in names
        )

    def waiting(self, model: str) -> int:
        """Requests that wait until *model* is awake, or for a place there."""
        waking = self._manager.waiting(model) if self._registry.models[model].managed else 0
        return waking + self._fleet.waiting(model)

    def _managed(self, model: Model, report: ModelReport | None) -> ModelReport:
        """Right after a reload, the manager may not know of a new one yet."""
        return report or ModelReport(
            model.id, model.lane, model.lifecycle, "unknown", endpoints=self._fleet.endpoints(model.id)
        )

    def _always(self, model: Model, replicas: list[ReplicaReport]) -> ModelReport:
        return ModelReport(
            id=model.id,
            group=model.lane,
            lifecycle=model.lifecycle,
            state=self._state(model, replicas),
            endpoints=self._fleet.endpoints(model.id) or model.endpoints,
            in_flight=self._fleet.in_flight(model.id),
            waiting=self._fleet.waiting(model.id),
            trouble=next(_troubles(replicas), ""),
        )

    def _state(self, model: Model, replicas: list[ReplicaReport]) -> State:
        """As health checks tell: failed where none of its replicas answers, or there is none."""
        if self._fleet.can_answer(model.id):
            return "awake"
        return "unknown" if any(replica.status == "unknown" for replica in replicas) else "failed"

    def _replicas(self) -> dict[str, list[ReplicaReport]]:
        found: dict[str, list[ReplicaReport]] = {}
        for replica in self._fleet.report():
            found.setdefault(replica.model, []).append(replica)
        return found


def takes_room(report: ModelReport) -> bool:
    return report.lifecycle == ALWAYS or report.state in RESIDENT


def _troubles(replicas: list[ReplicaReport]) -> Iterator[str]:
    return (replica.trouble for replica in replicas if replica.trouble)

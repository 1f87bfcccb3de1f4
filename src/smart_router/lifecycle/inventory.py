"""What there is of models that come and go: their kinds, what is remembered of each, and the arenas they share."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from smart_router.decide.arenas import Tenant, arenas, preloaded
from smart_router.errors import ConfigurationError
from smart_router.lifecycle.arena import Arena, Hands
from smart_router.lifecycle.base import ENDS_WITH_US, Lifecycle
from smart_router.lifecycle.residence import Residence
from smart_router.registry import Model, Registry
from smart_router.settings import Settings

log = structlog.get_logger("lifecycle")

Kinds = Mapping[str, Callable[[Settings], Lifecycle]]


class Inventory:
    """Use `form()` and `close()`."""

    def __init__(self, kinds: Kinds, settings: Settings, hands: Hands) -> None:
        self.residences: dict[str, Residence] = {}  # by model, in the registry's order
        self.arenas: dict[str, Arena] = {}
        self._makers = kinds
        self._kinds: dict[str, Lifecycle] = {}
        self._settings = settings
        self._hands = hands
        self._farewells: set[asyncio.Task[None]] = set()

    def check(self, registry: Registry) -> None:
        """
        Raises:
            ConfigurationError: this version cannot manage what is in *registry*.
        """
        for i, model in enumerate(registry.models.values()):
            if model.managed and model.lifecycle not in self._makers:
                raise ConfigurationError(
                    f"{registry.source}: models[{i}].lifecycle: this version has no {model.lifecycle}; it has "
                    f"{', '.join(('always', *self._makers))}"
                )

    async def form(self, registry: Registry) -> None:
        """As *registry* has it; models that stay keep their state. Returns when it is known who is awake."""
        await asyncio.gather(*(arena.close() for arena in self.arenas.values()))
        otherwise = [r for r in self.residences.values() if _is_started_otherwise(r, registry.models.get(r.id))]
        before, self.residences = self.residences, await self._residing(registry)
        self._dismiss(residence for id, residence in before.items() if self.residences.get(id) is not residence)
        self.arenas = self._formed(registry)
        await asyncio.gather(*(self._hands.mover.renew(residence) for residence in otherwise))
        await asyncio.gather(*(arena.start() for arena in self.arenas.values()))

    async def close(self) -> None:
        """Who waits is told so; what this process started ends."""
        await asyncio.gather(*(arena.stop() for arena in self.arenas.values()))
        for task in self._farewells:
            task.cancel()
        await asyncio.gather(*self._farewells, return_exceptions=True)
        await asyncio.gather(*map(self._leave, self.residences.values()))
        await asyncio.gather(*(arena.close() for arena in self.arenas.values()))
        await asyncio.gather(*(kind.close() for kind in self._kinds.values()), return_exceptions=True)

    async def _residing(self, registry: Registry) -> dict[str, Residence]:
        found = {}
        for model in registry.models.values():
            if model.managed:
                known = self.residences.get(model.id)
                if known is None or known.model.lifecycle != model.lifecycle:
                    known = Residence(
                        model, await self._kind(model), self._hands.now, float(self._settings.session_timeout)
                    )
                known.model = model
                found[model.id] = known
        _relate(found)
        return found

    async def _kind(self, model: Model) -> Lifecycle:
        if model.lifecycle not in self._kinds:
            self._kinds[model.lifecycle] = kind = self._makers[model.lifecycle](self._settings)
            await kind.start()
        return self._kinds[model.lifecycle]

    def _formed(self, registry: Registry) -> dict[str, Arena]:
        tenants = [Tenant(model.id, model.lane, model.managed) for model in registry.models.values()]
        most = {name: group.max_resident for name, group in registry.groups.items()}
        total = self._settings.max_concurrent_models
        if self._settings.routing_mode == "realtime":
            self._preload(preloaded(tenants, most, total))
        found = arenas(tenants, most, total, self._settings.min_residency)
        return {
            arena.name: Arena(arena.name, [self.residences[id] for id in arena.models], arena.room, self._hands)
            for arena in found
        }

    def _preload(self, models: Collection[str]) -> None:
        left_out = [id for id in self.residences if id not in models]
        for id, residence in self.residences.items():
            residence.preloaded, residence.left_out = id in models, id in left_out
        if left_out:
            log.warning(
                "no room for all models: those left out cannot be had; write ROUTING_MODE=standard to have models take "
                "turns, or raise MAX_CONCURRENT_MODELS or the groups' max_resident as far as the memory allows",
                left_out=left_out,
                preloaded=list(models),
            )

    def _dismiss(self, residences: Iterable[Residence]) -> None:
        for residence in residences:
            task = asyncio.create_task(self._farewell(residence), name=f"farewell to {residence.id}")
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)

    async def _farewell(self, residence: Residence) -> None:
        """What others were told is taken back; a server that this process started ends, once nothing runs there."""
        await self._leave(residence)
        while residence.announced:
            await asyncio.sleep(self._settings.lifecycle_interval)
            await self._hands.mover.retract(residence)
        if residence.model.lifecycle != ENDS_WITH_US:
            return
        await self._hands.quiet.wait(residence)
        for endpoint in residence.places:
            try:
                await residence.kind.sleep(residence.model, endpoint)
            except Exception as exc:
                log.error("a model that is served no more could not be stopped", model=residence.id, error=str(exc))

    async def _leave(self, residence: Residence) -> None:
        residence.changed = lambda: None
        await self._hands.mover.stop(residence)
        if residence.announced:
            await self._hands.mover.retract(residence)
        residence.waiters.fail(lambda: residence.not_ready("is not to be had here any more; try again"))


def _is_started_otherwise(residence: Residence, now: Model | None) -> bool:
    """By another command, or somewhere else, than the server that this process may have started for it."""
    before = residence.model
    if now is None or {before.lifecycle, now.lifecycle} != {ENDS_WITH_US}:
        return False
    named = now.process is None or not now.process.command  # by what we know to start
    return (
        before.endpoints != now.endpoints
        or before.process != now.process
        or (named and before.served_name != now.served_name)
    )


def _relate(residences: Mapping[str, Residence]) -> None:
    """Adapters and those that they are loaded into; models that a session can only stand with one of."""
    for residence in residences.values():
        residence.riders = [r for r in residences.values() if r.model.lora and r.model.lora.base == residence.id]
        residence.base = residences.get(residence.model.lora.base) if residence.model.lora else None
        lane, own = residence.model.lane, (residence, residence.base)
        residence.neighbours = [r for r in residences.values() if r.model.lane == lane and r not in own]

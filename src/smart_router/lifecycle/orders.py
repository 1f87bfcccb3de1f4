"""What people order of models that come and go."""

import asyncio

import structlog

from smart_router.errors import (
    LifecycleFailed,
    ModelBusy,
    ModelKept,
    ModelNotReady,
    NoRoom,
    NotManaged,
    UnknownModel,
)
from smart_router.lifecycle.arena import NO_ROOM
from smart_router.lifecycle.inventory import Inventory
from smart_router.lifecycle.moving import Mover
from smart_router.lifecycle.residence import Residence
from smart_router.registry import Registry
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("lifecycle")


class Orders:
    """
    Waking and putting to sleep have to be asked for once. *load_s* bounds the wait for the former, and should be so
    long that what goes wrong is heard of within it; *unload_s* the wait for the end of requests.
    """

    def __init__(
        self,
        registry: Registry,
        inventory: Inventory,
        fleet: Fleet,
        mover: Mover,
        load_s: float,
        unload_s: float,
    ) -> None:
        self._registry = registry
        self._inventory = inventory
        self._fleet = fleet
        self._mover = mover
        self._load_s = load_s
        self._unload_s = unload_s

    def know(self, registry: Registry) -> None:
        self._registry = registry

    async def load(self, model: str) -> None:
        """
        Return when it is awake.

        Raises:
            UnknownModel
            NotManaged, NoRoom: it cannot be, as things stand.
            ModelNotReady, LifecycleFailed: it could not be woken, or its server answers no more.
        """
        residence = self._managed(model)
        if not self._fleet.is_shut(model):
            _refuse_silent(residence)
            return
        residence.waking.clear()
        try:
            await residence.wait(None, self._load_s)
        except ModelNotReady:
            if residence.refused:
                raise self._no_room(residence) from None
            if residence.trouble:
                raise LifecycleFailed(residence.trouble) from None
            raise

    async def unload(self, model: str) -> None:
        """
        Return when it sleeps.

        Raises:
            UnknownModel
            NotManaged, ModelKept, ModelBusy: it cannot, as things stand.
            LifecycleFailed: it did not.
        """
        residence = self._managed(model)
        self._refuse_unloading(residence)
        if not residence.holds:
            residence.lost = False
            return
        if not await self._inventory.arenas[residence.arena].hold.take():
            raise ModelBusy(f"another router is changing what is awake in the group of {model}; try again")
        if residence.motion is None:
            self._mover.evict(residence)
        residence.sent_away = True
        try:
            if residence.task is not None:
                await asyncio.wait([residence.task], timeout=self._unload_s)
            if residence.task is not None and residence.motion == "leaving":
                await asyncio.wait([residence.task])  # the server has been told, and has a bound of its own
        finally:
            residence.sent_away = False
        if residence.holds:
            raise LifecycleFailed(residence.stays or f'model "{model}" was not put to sleep: it has requests')

    async def pin(self, model: str, pinned: bool) -> None:
        """
        Wake it and never evict it, or do so again.

        Raises:
            UnknownModel
            NotManaged, NoRoom: it cannot be, as things stand.
        """
        residence = self._managed(model)
        for one in filter(None, (residence, residence.base)):
            if pinned and not one.kept and not self._inventory.arenas[one.arena].has_room_for(one):
                raise self._no_room(one)
        residence.pinned, residence.untold_pin = pinned, True
        await self._mover.tell_pin(residence)
        if residence.untold_pin:
            log.warning("other routers do not know of a pin yet", model=model, pinned=pinned)
        for one in filter(None, (residence, residence.base)):
            one.changed()

    def _managed(self, model: str) -> Residence:
        if model not in self._registry.models:
            raise UnknownModel(f"there is no model {model[:100]!r}; there are {', '.join(self._registry.models)}")
        if model not in self._inventory.residences:
            raise NotManaged(f"{model} is always awake: give it another lifecycle in the registry to manage it")
        residence = self._inventory.residences[model]
        if residence.unmanageable:
            raise LifecycleFailed(residence.unmanageable)
        return residence

    def _no_room(self, residence: Residence) -> NoRoom:
        kept = ", ".join(self._inventory.arenas[residence.arena].beside(residence)) or "others"
        return NoRoom(f"{residence.id} has no room beside {kept}, which are kept awake: {NO_ROOM}")

    def _refuse_unloading(self, residence: Residence) -> None:
        if residence.pinned:
            raise ModelKept(f"{residence.id} is pinned: unpin it first")
        if residence.preloaded:
            raise ModelKept(f"{residence.id} is preloaded, as ROUTING_MODE is realtime; in standard it may be unloaded")
        if residence.carries:
            raise ModelKept(
                f"{residence.id} has adapters that are kept awake: {', '.join(residence.carries)}; unpin them first"
            )
        ours = sum(self._fleet.in_flight(one.id) for one in (residence, *residence.riders))
        requests, waiting = ours + residence.known.told.in_flight, residence.waiting + residence.known.told.waiting
        if requests or waiting or residence.motion == "coming" or residence.barred:
            raise ModelBusy(f"{residence.id} has {requests} requests, and {waiting} wait for it; try again later")


def _refuse_silent(residence: Residence) -> None:
    """A server that answers no more keeps its requests, as it may be back the next moment; it is not awake for that."""
    if not residence.awake:
        troubles = (f"{place.endpoint}: {place.trouble}" for place in residence.places.values() if place.trouble)
        why = next(troubles, "none of its servers has an address")
        raise LifecycleFailed(f'model "{residence.id}" cannot be told to wake: {why}')

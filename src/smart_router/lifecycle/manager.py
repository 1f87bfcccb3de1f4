"""Models that come and go: who waits for them, and how they stand."""

from smart_router.decide import swap
from smart_router.errors import ModelNotReady
from smart_router.lifecycle import KINDS
from smart_router.lifecycle.agreement import Agreement
from smart_router.lifecycle.arena import Hands, Planner
from smart_router.lifecycle.base import ModelReport
from smart_router.lifecycle.coming import Comer, longest_wake_s
from smart_router.lifecycle.foresight import Foresight
from smart_router.lifecycle.gate import Gate
from smart_router.lifecycle.inventory import Inventory, Kinds
from smart_router.lifecycle.looking import Looker
from smart_router.lifecycle.moving import Mover
from smart_router.lifecycle.orders import Orders
from smart_router.lifecycle.quiet import Quiet
from smart_router.lifecycle.telling import report
from smart_router.observe.metrics import Metrics
from smart_router.registry import Registry
from smart_router.settings import Settings
from smart_router.upstream.fleet import Fleet


class Manager:
    """Use `start()`, once the fleet has started, and `close()`, before it does; *agreement* is its owner's to close."""

    def __init__(
        self,
        registry: Registry,
        fleet: Fleet,
        settings: Settings,
        agreement: Agreement,
        metrics: Metrics,
        kinds: Kinds | None = None,
        planner: Planner = swap.plan,
    ) -> None:
        """
        Raises:
            ConfigurationError: as `check`.
        """
        gate = Gate(fleet)
        comer, looker, quiet = Comer(fleet, gate, settings), Looker(fleet, gate, settings), Quiet(fleet, gate)
        mover = Mover(gate, comer, quiet, agreement, settings, metrics)
        foresight = Foresight(registry, agreement.habits, metrics, fleet.now)
        interval_s = settings.lifecycle_interval
        hands = Hands(gate, looker, comer, mover, quiet, agreement, foresight, planner, interval_s, fleet.now)
        self._inventory = Inventory(KINDS if kinds is None else kinds, settings, hands)
        unload_s = settings.model_load_timeout
        self._orders = Orders(registry, self._inventory, fleet, mover, longest_wake_s(settings), unload_s)
        self._registry = registry
        self._fleet = fleet
        self._gate = gate
        self._foresight = foresight if settings.predictive_wake else None
        self.check(registry)

    def check(self, registry: Registry) -> None:
        """
        Raises:
            ConfigurationError: this version cannot manage what is in *registry*.
        """
        self._inventory.check(registry)

    async def start(self) -> None:
        """Returns when models that are awake get requests, as far as their servers answer in time."""
        self._fleet.may_wake, self._fleet.on_asleep = self.may_wake, self._found_asleep
        await self._inventory.form(self._registry)
        if self._foresight is not None:
            self._foresight.start()

    async def close(self) -> None:
        """Who waits is told so; what this process started ends."""
        if self._foresight is not None:
            await self._foresight.close()
        await self._inventory.close()

    async def change(self, registry: Registry) -> None:
        """Once the fleet has changed: models that stay keep their state. Returns as `start` does."""
        self._registry = registry
        self._orders.know(registry)
        if self._foresight is not None:
            self._foresight.change(registry)
        await self._inventory.form(registry)

    async def awake(self, model: str, within_s: float) -> None:
        """
        Return when *model* is awake.

        Raises:
            ModelNotReady, Overloaded: it is not, in time.
        """
        residence = self._inventory.residences.get(model)
        if residence is None:
            raise ModelNotReady(f"{model} is not served here any more; ask for another model")
        if not self._fleet.is_shut(model):
            return
        if not residence.may_wake:
            raise residence.not_ready()
        await residence.wait(residence.model.max_queue, within_s)

    def used(self, model: str, session: str) -> None:
        """It answers *session* now; of models that are always awake, only foresight wants to know that."""
        residence = self._inventory.residences.get(model)
        if residence is not None:
            residence.used(session)
        if self._foresight is not None and (ahead := self._foresight.used(session, model)) is not None:
            self._look_ahead(ahead)

    def may_wake(self, model: str) -> bool:
        """It can be had, as far as is known."""
        residence = self._inventory.residences.get(model)
        return residence is not None and residence.may_wake and not residence.left_out

    def waiting(self, model: str) -> int:
        """Requests that wait until it is awake."""
        residence = self._inventory.residences.get(model)
        return 0 if residence is None else len(residence.waiters)

    def report(self) -> tuple[ModelReport, ...]:
        """Models that come and go, in the registry's order."""
        arenas, found = self._inventory.arenas, self._inventory.residences.values()
        return tuple(report(r, self._gate.in_flight(r), arenas[r.arena].beside(r)) for r in found)

    async def load(self, model: str) -> None:
        """As `Orders.load`."""
        await self._orders.load(model)

    async def unload(self, model: str) -> None:
        """As `Orders.unload`."""
        await self._orders.unload(model)

    async def pin(self, model: str, pinned: bool) -> None:
        """As `Orders.pin`."""
        await self._orders.pin(model, pinned)

    def _look_ahead(self, model: str) -> None:
        residence = self._inventory.residences.get(model)
        if residence is not None and not residence.awake:
            residence.changed()

    def _found_asleep(self, model: str, endpoint: str) -> None:
        """By the fleet's watch."""
        residence = self._inventory.residences.get(model)
        place = residence.places.get(endpoint) if residence is not None else None
        if residence is not None and place is not None and residence.motion is None and place.coming is None:
            residence.moves += 1
            self._gate.asleep(residence, place)
            residence.changed()

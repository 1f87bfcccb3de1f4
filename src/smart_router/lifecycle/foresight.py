"""Which models sessions will likely go on to, so that they are woken before they are asked; and what came of it."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from smart_router.decide.expected import FORESEEN_S, Expected
from smart_router.decide.succession import Succession
from smart_router.decide.swap import RESIDENT
from smart_router.errors import StoreUnavailable
from smart_router.lifecycle.agreement import SharedHabits
from smart_router.lifecycle.residence import Residence
from smart_router.observe.metrics import Metrics
from smart_router.registry import Registry

log = structlog.get_logger("lifecycle")

SHARE_EVERY_S = 5.0


@dataclass(slots=True)
class _Early:
    """One model that was woken before it was asked. Moments of the clock."""

    began_at: float
    awake_at: float | None = None


class Foresight:
    """Use `start()` and `close()`. Of sessions that it hears of through `used`; of others it foresees nothing."""

    def __init__(
        self, registry: Registry, habits: SharedHabits | None, metrics: Metrics, now: Callable[[], float]
    ) -> None:
        """Without *habits*, what is counted ends with the process."""
        self._succession = Succession(frozenset(registry.models))
        self._shared = habits
        self._metrics = metrics
        self._now = now
        self._managed = _managed(registry)
        self._expected = Expected()
        self._early: dict[str, _Early] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._shared is not None:
            self._task = asyncio.create_task(self._keep_sharing(self._shared), name="share habits")

    async def close(self) -> None:
        """What was counted is shared, if Redis takes it."""
        if self._task is not None and self._shared is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            with suppress(StoreUnavailable):
                await self._share(self._shared)

    def change(self, registry: Registry) -> None:
        """What is known of models that stay is kept."""
        self._managed = _managed(registry)
        self._succession.keep(frozenset(registry.models))
        self._expected.keep(self._managed)
        for gone in self._early.keys() - self._managed:
            del self._early[gone]

    def used(self, session: str, model: str) -> str | None:
        """*model*, of any lifecycle, answers *session* now: which it will likely ask next, if that comes and goes."""
        self._expected.came(session, model)
        ahead = self._succession.used(session, model)
        if ahead not in self._managed:
            return None
        self._expected.expect(session, ahead, self._now())
        return ahead

    def foresees(self, model: str) -> bool:
        """Some session will likely go on to it soon."""
        return self._expected.expects(model, self._now())

    def wakes(self, residence: Residence) -> None:
        """It is being woken now; where nobody asked for that yet, it matters whether somebody will."""
        if not (residence.waiting or residence.known.told.waiting or residence.kept or residence.missed):
            log.info("woken early", model=residence.id)
            self._early[residence.id] = _Early(self._now())

    def settle(self, residence: Residence) -> None:
        """Count what came of its early wake, once that is known; one that failed is a failed wake and no more."""
        early = self._early.get(residence.id)
        if early is None or residence.motion == "coming":
            return
        if early.awake_at is None:
            early.awake_at = residence.awake_at
        if early.awake_at is None:
            del self._early[residence.id]
        elif self._used_since(residence, early.began_at):
            self._count(residence.id, "used")
        elif residence.state not in RESIDENT or self._now() >= early.awake_at + FORESEEN_S:
            self._expected.give_up(residence.id)  # it is not woken again for the same sessions
            self._count(residence.id, "unused")

    def _used_since(self, residence: Residence, moment: float) -> bool:
        """Here or, as far as they told, through other routers."""
        used_at, elsewhere_s = residence.visits.used_at, residence.known.told.idle_s
        here = used_at is not None and used_at > moment
        return here or (elsewhere_s is not None and self._now() - elsewhere_s > moment)

    def _count(self, model: str, outcome: str) -> None:
        del self._early[model]
        self._metrics.predicted_wakes.add((model, outcome))

    async def _keep_sharing(self, shared: SharedHabits) -> None:
        while True:
            with suppress(StoreUnavailable):  # this router goes by what it knows
                await self._share(shared)
            await asyncio.sleep(SHARE_EVERY_S)

    async def _share(self, shared: SharedHabits) -> None:
        """What did not come through is added the next time."""
        taken = self._succession.take()
        try:
            self._succession.learn(await shared.add(taken))
        except BaseException:
            self._succession.put_back(taken)
            raise


def _managed(registry: Registry) -> frozenset[str]:
    return frozenset(model.id for model in registry.models.values() if model.managed)

"""Models that come and go: which are awake, who waits for them, and what people order."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from smart_router.decide import swap
from smart_router.decide.arenas import Tenant, arenas, preloaded
from smart_router.errors import (
    ConfigurationError,
    LifecycleFailed,
    ModelBusy,
    ModelKept,
    ModelNotReady,
    NoRoom,
    NotManaged,
    StoreUnavailable,
    UnknownModel,
)
from smart_router.lifecycle.agreement import Agreement, Note
from smart_router.lifecycle.arena import Arena, Hands, Planner
from smart_router.lifecycle.base import Lifecycle, ModelReport
from smart_router.lifecycle.coming import Comer
from smart_router.lifecycle.gate import Gate
from smart_router.lifecycle.looking import Looker
from smart_router.lifecycle.moving import Mover
from smart_router.lifecycle.quiet import Quiet
from smart_router.lifecycle.residence import Residence
from smart_router.observe.metrics import Metrics
from smart_router.registry import Registry
from smart_router.settings import Settings
from smart_router.upstream.fleet import Fleet

log = structlog.get_logger("lifecycle")

Kinds = Mapping[str, Callable[[Settings], Lifecycle]]


class Manager:
    """Use `start()`, once the fleet has started, and `close()`, before it does."""

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
        self._registry = registry
        self._fleet = fleet
        self._settings = settings
        self._agreement = agreement
        self._gate = gate = Gate(fleet)
        comer = Comer(fleet, gate, settings)
        self._mover = Mover(gate, comer, Quiet(fleet), agreement, settings, metrics)
        looker, interval_s = Looker(fleet, gate, settings), settings.lifecycle_interval
        self._hands = Hands(gate, looker, comer, self._mover, agreement, planner, interval_s, fleet.now)
        self._makers = KINDS if kinds is None else kinds
        self._kinds: dict[str, Lifecycle] = {}
        self._residences: dict[str, Residence] = {}
        self._arenas: dict[str, Arena] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self.check(registry)

"""Model servers that sleep and wake as a test says, routers that agree on a board, and a manager in between."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import Any, Literal

from smart_router.decide.load import Load
from smart_router.decide.replica import NoReplica
from smart_router.decide.swap import State
from smart_router.errors import BackendAsleep, BackendUnreachable, StoreUnavailable
from smart_router.lifecycle.agreement import Agreement, Known, Note, Told
from smart_router.lifecycle.base import Lifecycle, ModelReport, Seen
from smart_router.lifecycle.manager import Manager
from smart_router.observe.metrics import Metrics
from smart_router.registry import Group, Model, Registry
from smart_router.settings import Settings
from smart_router.upstream.base import Answer, Call, Forward, Forwarded, Piece, Upstream
from smart_router.upstream.fleet import Fleet, Lease
from tests.fakes import FakeAnswer, a_model, a_registry, settings

PATIENCE_S = 20.0


def at(model: str) -> str:
    """Where the model of that name is, unless a test says otherwise."""
    return f"http://{model}:8000"


class Servers:
    """
    The machines. `awake` is who is (all others sleep), `gone` who does not answer; `pretend` are those who say that
    they fell asleep, and did not; `secretive` ones do not tell the fleet that they sleep. `hold` makes looking, waking,
    putting to sleep or asking wait; `fail` has a next such call raise.
    """

    cold: Literal["waking", "loading"] = "waking"

    def __init__(self, *awake: str) -> None:
        self.awake = {at(model) for model in awake}
        self.gone: set[str] = set()
        self.pretend: set[str] = set()
        self.trouble: dict[str, Exception] = {}  # of looking, by endpoint
        self.fails: dict[tuple[str, str], list[Exception]] = {}  # by what and endpoint
        self.loads: dict[str, Load] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        self.secretive = False
        self.most_awake = 0
        self.closed = False
        self._gates: dict[tuple[str, str], asyncio.Event] = {}

    # what a test says

    def fail(self, what: str, model: str, *errors: Exception) -> None:
        self.fails.setdefault((what, at(model)), []).extend(errors)

    @property
    def as_upstream(self) -> Upstream:
        """It is one."""
        return self

    def hold(self, what: str, model: str) -> Callable[[], None]:
        """It waits from now on, until the callable that is returned is called."""
        gate = self._gates[what, at(model)] = asyncio.Event()
        return gate.set

    def times(self, what: str, model: str) -> int:
        return self.asked[what, at(model)]

    # as a kind of lifecycle

    async def start(self) -> None: ...

    async def close(self) -> None:
        self.closed = True

    async def look(self, model: Model, endpoint: str) -> Seen:
        self.asked["look", endpoint] += 1
        if endpoint in self.trouble:
            raise self.trouble[endpoint]
        self._answers(endpoint)
        seen: Seen = "awake" if endpoint in self.awake else "sleeping"
        if ("look", endpoint) in self._gates:
            await self._gates["look", endpoint].wait()
        return seen

    async def wake(self, model: Model, endpoint: str) -> None:
        await self._asked_to("wake", endpoint)
        self.awake.add(endpoint)
        self.most_awake = max(self.most_awake, len(self.awake))

    async def sleep(self, model: Model, endpoint: str) -> None:
        await self._asked_to("sleep", endpoint)
        if endpoint not in self.pretend:
            self.awake.discard(endpoint)

    # as a kind of upstream

    kind = "fake"

    async def open(self, call: Call, endpoint: str, within_s: float = inf) -> Answer:
        await self._asked_to("ask", endpoint)
        if endpoint not in self.awake:
            await asyncio.Event().wait()
        return FakeAnswer(Piece("Hi"))

    async def forward(self, forward: Forward, endpoint: str, within_s: float = inf) -> Forwarded:
        raise NotImplementedError

    async def check(self, model: Model, endpoint: str) -> str:
        self.asked["check", endpoint] += 1
        if await self.asleep(endpoint):
            raise BackendAsleep("it sleeps")
        return ""

    async def models(self, model: Model, endpoint: str) -> frozenset[str]:
        return frozenset({model.served_name})

    async def asleep(self, endpoint: str) -> bool:
        self._answers(endpoint)
        return endpoint not in self.awake and not self.secretive

    async def load(self, endpoint: str) -> Load:
        self.asked["load", endpoint] += 1
        return self.loads.get(endpoint, Load())

    async def _asked_to(self, what: str, endpoint: str) -> None:
        self.asked[what, endpoint] += 1
        if (what, endpoint) in self._gates:
            await self._gates[what, endpoint].wait()
        self._answers(endpoint)
        if errors := self.fails.get((what, endpoint)):
            raise errors.pop(0)

    def _answers(self, endpoint: str) -> None:
        if endpoint in self.gone:
            raise BackendUnreachable("refused")


class Board:
    """What routers share. *lost*: none of them reaches it."""

    def __init__(self) -> None:
        self.lost = False
        self.leases: dict[str, object] = {}
        self.told: dict[object, Mapping[str, Told]] = {}
        self.woke: dict[str, bool] = {}
        self.wake_s: dict[str, float] = {}
        self.pinned: dict[str, bool] = {}
        self.draining: dict[str, object] = {}


class FakeAgreement:
    """One router's part in a board."""

    habits = None

    def __init__(self, board: Board | None = None) -> None:
        self.board = board or Board()

    async def hold(self, arena: str, for_s: float) -> bool:
        self._reached()
        return self.board.leases.setdefault(arena, self) is self

    async def let_go(self, arena: str) -> None:
        self._reached()
        if self.board.leases.get(arena) is self:
            del self.board.leases[arena]

    async def exchange(self, arena: str, told: Mapping[str, Told]) -> Mapping[str, Known]:
        self._reached()
        self.board.told[self] = told
        return {model: self._known(model) for model in told}

    async def note(self, arena: str, model: str, note: Note) -> None:
        self._reached()
        board = self.board
        if note.woke is not None:
            board.woke[model] = note.woke
        if note.wake_s is not None:
            board.wake_s[model] = note.wake_s
        if note.pinned is not None:
            board.pinned[model] = note.pinned
        if note.draining:
            board.draining[model] = self
        elif note.draining is False:
            board.draining.pop(model, None)

    async def close(self) -> None: ...

    def _known(self, model: str) -> Known:
        others = [told[model] for router, told in self.board.told.items() if router is not self and model in told]
        summed = Told(
            min((one.idle_s for one in others if one.idle_s is not None), default=None),
            sum(one.sessions for one in others),
            sum(one.in_flight for one in others),
            sum(one.waiting for one in others),
            max((one.waiting_for_s for one in others), default=0.0),
        )
        board = self.board
        return Known(
            summed,
            None,
            board.wake_s.get(model),
            board.pinned.get(model),
            model in board.draining,
        )

    def _reached(self) -> None:
        if self.board.lost:
            raise StoreUnavailable("lost")


class Router:
    """A fleet and a manager on *servers*; requests as `Opener` makes them."""

    def __init__(
        self,
        registry: Registry,
        servers: Servers,
        agreement: Agreement,
        kinds: Mapping[str, Callable[[Settings], Lifecycle]] | None = None,
        **changed: Any,
    ) -> None:
        self.settings = settings(
            **{"lifecycle_interval": 0.05, "min_residency": 0, "routing_mode": "standard"} | changed
        )
        self.servers = servers
        self.agreement = agreement
        self.metrics = Metrics()
        self.fleet = Fleet(registry, self.settings)
        self.manager = Manager(
            registry,
            self.fleet,
            self.settings,
            agreement,
            self.metrics,
            {"sleep": lambda _: servers, "process": lambda _: servers, **(kinds or {})},
        )

    async def ask(self, model: str, session: str = "s1", within_s: float = PATIENCE_S) -> Lease:
        """A place at the model, which is woken for it."""
        while True:
            try:
                lease = self.fleet.lease(model, None, session)
            except NoReplica:
                await self.manager.awake(model, within_s)
            else:
                self.manager.used(model, session)
                return lease

    async def served(self, model: str, session: str = "s1", within_s: float = PATIENCE_S) -> None:
        (await self.ask(model, session, within_s)).release()

    def begin(self, model: str, session: str = "s1", within_s: float = PATIENCE_S) -> "asyncio.Task[None]":
        return asyncio.create_task(self.served(model, session, within_s))

    @property
    def board(self) -> Board:
        assert isinstance(self.agreement, FakeAgreement)
        return self.agreement.board

    def lose_lease(self, arena: str) -> None:
        """Somebody else has it, and the next try to prolong it has told."""
        self.board.leases[arena] = "somebody else"
        self.manager._inventory.arenas[arena].hold.held = False

    def report(self, model: str) -> ModelReport:
        return next(report for report in self.manager.report() if report.id == model)

    def state(self, model: str) -> State:
        return self.report(model).state

    def counted(self, name: str, model: str, outcome: str) -> float:
        labels = {"model": model, "outcome": outcome}
        return self.metrics.registry.get_sample_value(f"smart_router_{name}_total", labels) or 0.0

    def admits(self, model: str) -> bool:
        return not self.fleet.is_shut(model)


def a_sleeper(name: str, *endpoints: str, **changed: Any) -> Model:
    """One of a group of which only one is awake at once."""
    return a_model(name, *(endpoints or (at(name),)), **{"lifecycle": "sleep", "group": "gpu"} | changed)


def registry_of(*models: Model, **most: int) -> Registry:
    """*most* are awake of a group."""
    found = a_registry(*models)
    groups = {name: Group(max_resident=count) for name, count in most.items()}
    return Registry(found.source, found.defaults, found.models, groups, found.use_cases)


@asynccontextmanager
async def running(router: Router) -> AsyncIterator[Router]:
    await router.fleet.start()
    await router.manager.start()
    try:
        yield router
    finally:
        await router.manager.close()
        await router.fleet.close()


async def until(condition: Callable[[], object]) -> None:
    """For what happens in the background."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)

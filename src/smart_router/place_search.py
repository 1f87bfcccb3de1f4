"""Where a request may be answered: one place after the other, by model, then by affinity."""

from collections.abc import Awaitable, Sequence

from smart_router.errors import BackendBusy, NoModelAvailable
from smart_router.registry import Model
from smart_router.types import Ask, Session
from smart_router.upstream.fleet import NOBODY, AllBusy, Fleet, Lease, NoReplica

MOST_WAKES = 3  # of a model for one request: it may be put to sleep again before its turn comes


class PlaceSearch:
    """
    For places at one replica after the other, by model, then by affinity; each is taken when it is asked for.
    `attempts`: how many were made so far; `busy`: what there is to tell of models that had none; `full`: those that may
    be waited for, with the session's warm replica; `cold`: the model that has to be woken before it goes on;
    `not_ready`: why one could not be.
    """

    __slots__ = (
        "_ask", "_candidates", "_fleet", "_session", "_tried", "_waited", "_wakes", "attempts", "busy", "cold", "full",
        "not_ready",
    )  # fmt: skip

    def __init__(
        self, fleet: Fleet, ask: Ask, candidates: Sequence[Model], session: Session | None, *, wakes: bool = False
    ) -> None:
        """Without *wakes*, a model that sleeps has no place."""
        self._fleet = fleet
        self._ask = ask
        self._candidates = candidates
        self._session = session
        self._tried: dict[str, set[str]] = {}
        self._waited = False
        self.attempts = 0
        self.busy: BackendBusy | None = None
        self._wakes: dict[str, int] | None = {} if wakes else None  # how often each model was
        self.full: dict[str, str | None] = {}
        self.cold: Model | None = None
        self.not_ready: NoModelAvailable | None = None

    def next(self) -> Lease | None:
        """
        None also where a model is `cold`: `woken`, then ask again. None is where one that comes before it is `full`: to
        wake it might cost that one its room.
        """
        self.busy, self.full, self.cold = None, {}, None
        for model in self._candidates:
            try:
                return self._lease(model)
            except AllBusy as exc:
                self._note_busy(model, exc)
            except NoReplica:
                if not self.full and self._may_wake(model):
                    self.cold = model
                    return None
        return None

    async def woken(self, waking: Awaitable[None]) -> None:
        """Wait for the `cold` model; one that is not awake in time is passed over."""
        model, patience = self.cold, self._ask.patience
        assert model is not None and self._wakes is not None
        self._wakes[model.id] = self._wakes.get(model.id, 0) + 1
        try:
            await (waking if patience is None else patience.waiting(model.id, waking))
        except NoModelAvailable as exc:
            self._wakes[model.id] = MOST_WAKES
            self.not_ready = exc
        else:
            self._waited = False  # at what is another server now, as good as

    async def turn(self, within_s: float) -> Lease:
        """As `Fleet.wait`. Any replica will do, also one that failed before."""
        self._waited = True
        return await self._fleet.wait(self.full, self._key, self._ask.caller, within_s)

    def attempt(self, lease: Lease) -> None:
        """One is made there."""
        self.attempts += 1
        self._tried.setdefault(lease.model.id, set()).add(lease.endpoint)

    def unasked(self, lease: Lease) -> None:
        """It sleeps: the attempt there does not count."""
        self.attempts -= 1
        tried = self._tried[lease.model.id]
        tried.discard(lease.endpoint)
        if not tried:
            del self._tried[lease.model.id]

    @property
    def _key(self) -> str:
        return f"{self._ask.caller}/{self._ask.session_id}"

    def _lease(self, model: Model) -> Lease:
        tried, held_at = self._tried.get(model.id), self._ask.held_at
        if held_at is None:
            without = NOBODY if tried is None else frozenset(tried)
            return self._fleet.lease(model.id, _warm_replica(self._session, model), self._key, without)
        if tried is None:
            return self._fleet.lease_at(model.id, held_at)
        raise NoReplica

    def _may_wake(self, model: Model) -> bool:
        if self._wakes is None or not model.managed or not self._fleet.is_shut(model.id):
            return False
        return self._wakes.get(model.id, 0) < MOST_WAKES

    def _note_busy(self, model: Model, trouble: AllBusy) -> None:
        message = "all servers of this model are busy"
        busy = BackendBusy(message, retry_after_s=trouble.retry_after_s)
        self.busy = busy if self.busy is None else sooner(self.busy, busy)
        if trouble.full and model.max_queue and not self._waited:
            self.full[model.id] = _warm_replica(self._session, model)


def sooner(one: BackendBusy, other: BackendBusy) -> BackendBusy:
    return min(one, other, key=lambda busy: busy.retry_after_s or 0.0)


def _warm_replica(session: Session | None, model: Model) -> str | None:
    lane = session.lanes.get(model.lane) if session else None
    return lane.replica if lane and lane.model == model.id else None

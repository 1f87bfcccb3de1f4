"""The world of `benchmarks/lifecycle`, whose router wakes early: as `lifecycle/foresight.py` and the arenas do it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.lifecycle.policies import Policy
from benchmarks.lifecycle.traffic import Conversation, Kind
from benchmarks.lifecycle.world import Asked, Server, World
from smart_router.decide.expected import FORESEEN_S, Expected
from smart_router.decide.succession import Succession
from smart_router.decide.swap import RESIDENT, Occupant, Room


@dataclass(slots=True)
class Early:
    """What came of wakes that nobody had asked for yet."""

    used: int = 0
    in_vain: int = 0


class ForeseeingWorld(World):
    """A session stands with a model for *live_s* after its turn. Without *foresees* nothing is woken early."""

    def __init__(
        self,
        kinds: Sequence[Kind],
        sessions: Sequence[Conversation],
        room: Room,
        policy: Policy,
        patience_s: float,
        *,
        live_s: float,
        foresees: bool,
    ) -> None:
        super().__init__(kinds, sessions, room, policy, patience_s)
        self._live_s = live_s
        self._foresees = foresees
        self._succession = Succession(frozenset(kind.name for kind in kinds))
        self._expected = Expected()
        self._pending: dict[str, float | None] = {}  # models that were woken early; awake since when
        self.early = Early()

    def _begin(self, asked: Asked) -> None:
        super()._begin(asked)
        session, model = str(asked.session), asked.model.kind.name
        if model in self._pending:
            del self._pending[model]
            self.early.used += 1
        self._expected.came(session, model)
        if self._foresees and (ahead := self._succession.used(session, model)) is not None:
            self._expected.expect(session, ahead, self._now)
            self._at(self._now, lambda: self._servers[ahead].kind.group)

    def _occupants(self, group: str) -> list[Occupant]:
        self._settle()
        found = super()._occupants(group)
        return [replace(one, foreseen=self._expected.expects(one.model, self._now)) for one in found]

    def _wake(self, server: Server) -> None:
        if not server.waiting:
            self._pending[server.kind.name] = None
        super()._wake(server)

    def _is_awake(self, server: Server) -> str:
        group = super()._is_awake(server)
        if server.kind.name in self._pending:
            self._pending[server.kind.name] = self._now
        return group

    def _stands(self, asked: Asked) -> None:
        super()._stands(asked)
        asked.model.sessions[asked.session] = self._now + self._live_s

    def _settle(self) -> None:
        for model, since in list(self._pending.items()):
            gone = self._servers[model].state not in RESIDENT
            if since is not None and (gone or self._now >= since + FORESEEN_S):
                del self._pending[model]
                self._expected.give_up(model)
                self.early.in_vain += 1

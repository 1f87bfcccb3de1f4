"""
A router's manager and its model servers, by events and without a clock: each event of a group is followed by a plan,
which is carried out as `lifecycle/manager.py` does it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush

from benchmarks.lifecycle.policies import Policy, clairvoyant
from benchmarks.lifecycle.traffic import Conversation, Kind, Turn
from smart_router.decide.swap import Occupant, Room, State

SLEEP_S = 0.5  # what putting to sleep takes
NEVER_S = 1e6
CLOCK_S = 0.001  # as finely as a timer can be set
LIVE_S = 300.0  # a session stands with a model so long after its last turn there
UNKNOWN_WAKE_S = 1.0  # what the planner is told before a model was woken for the first time

Event = Callable[[], str | None]  # returns the group that it concerns


@dataclass(slots=True, eq=False)
class Asked:
    """One turn that is on its way."""

    session: int
    turn: int
    since: float
    model: "Server"


@dataclass(slots=True, eq=False)
class Server:
    """One model as it stands."""

    kind: Kind
    state: State = "sleeping"
    falls_asleep: bool = False  # it was told to, and nothing takes that back
    in_flight: int = 0
    waiting: list[Asked] = field(default_factory=list)
    used: float = -1e6
    awake_since: float = 0.0
    wake_s: float = UNKNOWN_WAKE_S
    sessions: dict[int, float] = field(default_factory=dict)  # until when

    def as_it_stands(self, now: float) -> Occupant:
        for session in [session for session, until in self.sessions.items() if until <= now]:
            del self.sessions[session]
        waits_s = now - self.waiting[0].since if self.waiting else 0.0
        return Occupant(
            self.kind.name, self.kind.group, self.state, in_flight=self.in_flight, waiting=len(self.waiting),
            waiting_for_s=waits_s, idle_s=now - self.used, awake_for_s=now - self.awake_since,
            sessions=len(self.sessions), wake_s=self.wake_s,
        )  # fmt: skip


@dataclass(slots=True)
class Measured:
    """What came of a run. A request that was given up has waited until then."""

    waits_s: list[float] = field(default_factory=list)
    waited: int = 0
    given_up: int = 0
    swaps: int = 0  # models woken
    waking_s: float = 0.0


class World:
    """All that is going to happen, in order."""

    def __init__(
        self, kinds: Sequence[Kind], sessions: Sequence[Conversation], room: Room, policy: Policy, patience_s: float
    ) -> None:
        self._servers = {kind.name: Server(kind) for kind in kinds}
        self._sessions = sessions
        self._room = room
        self._policy = policy
        self._patience_s = patience_s
        self._events: list[tuple[float, int, Event]] = []
        self._count = 0
        self._coming: dict[tuple[int, int], float] = {}  # turns, and when they will be asked
        self._looks: dict[str, float] = {}  # by group: when it is looked again
        self._now = 0.0
        self.measured = Measured()

    def run(self) -> Measured:
        for number, session in enumerate(self._sessions):
            self._will_ask(session.starts_s, number, 0)
        while self._events:
            self._now, _, event = heappop(self._events)
            group = event()
            if group is not None:
                self._plan(group)
        return self.measured

    def _at(self, when: float, event: Event) -> None:
        self._count += 1
        heappush(self._events, (when, self._count, event))

    def _will_ask(self, when: float, session: int, turn: int) -> None:
        self._coming[session, turn] = when
        self._at(when, partial(self._asks, session, turn))

    # What happens

    def _asks(self, session: int, turn: int) -> str | None:
        del self._coming[session, turn]
        server = self._servers[self._turn(session, turn).model]
        asked = Asked(session, turn, self._now, server)
        server.used = self._now
        self._stands(asked)
        if server.state == "awake":
            self._begin(asked)
            return None  # nothing that would be planned has changed
        server.waiting.append(asked)
        self._at(self._now + self._patience_s, partial(self._gives_up, asked))
        return server.kind.group

    def _gives_up(self, asked: Asked) -> str | None:
        if asked not in asked.model.waiting:
            return None
        asked.model.waiting.remove(asked)
        self.measured.given_up += 1
        self.measured.waited += 1
        self.measured.waits_s.append(self._patience_s)
        self._goes_on(asked)
        return asked.model.kind.group

    def _answered(self, asked: Asked) -> str:
        asked.model.in_flight -= 1
        self._goes_on(asked)
        return asked.model.kind.group

    def _is_awake(self, server: Server) -> str:
        server.awake_since, server.wake_s = self._now, server.kind.wake_s
        self._admit(server)
        return server.kind.group

    def _is_asleep(self, server: Server) -> str:
        server.state, server.falls_asleep = "sleeping", False
        return server.kind.group

    def _look(self, group: str) -> str | None:
        return group if self._looks.get(group) == self._now else None

    # What follows

    def _plan(self, group: str) -> None:
        found = self._policy(self._occupants(group), self._room)
        for name in found.sleep:
            self._sleep(self._servers[name])
        for name in found.drain:
            self._servers[name].state = "draining"
        for name in found.resume:
            self._resume(self._servers[name])
        for name in found.wake:
            self._wake(self._servers[name])
        if found.look_again_s is not None:
            self._looks[group] = self._now + found.look_again_s + CLOCK_S
            self._at(self._looks[group], partial(self._look, group))

    def _occupants(self, group: str) -> list[Occupant]:
        servers = [server for server in self._servers.values() if server.kind.group == group]
        if self._policy is not clairvoyant:
            return [server.as_it_stands(self._now) for server in servers]
        next_s = self._next_s()
        return [replace(s.as_it_stands(self._now), idle_s=next_s.get(s.kind.name, NEVER_S)) for s in servers]

    def _next_s(self) -> dict[str, float]:
        """In how long each model will be asked, of what is known to come; a session's next turn is, once it thinks."""
        found: dict[str, float] = {}
        for turn, when in self._coming.items():
            model = self._turn(*turn).model
            found[model] = min(found.get(model, NEVER_S), when - self._now)
        return found

    def _sleep(self, server: Server) -> None:
        assert not server.in_flight, f"{server.kind.name} is busy"
        if not server.falls_asleep:
            server.state, server.falls_asleep = "draining", True
            self._at(self._now + SLEEP_S, partial(self._is_asleep, server))

    def _wake(self, server: Server) -> None:
        server.state = "waking"
        self.measured.swaps += 1
        self.measured.waking_s += server.kind.wake_s
        self._at(self._now + server.kind.wake_s, partial(self._is_awake, server))

    def _resume(self, server: Server) -> None:
        if not server.falls_asleep:
            self._admit(server)

    def _admit(self, server: Server) -> None:
        server.state = "awake"
        for asked in server.waiting:
            self.measured.waited += 1
            self._begin(asked)
        server.waiting.clear()

    def _begin(self, asked: Asked) -> None:
        asked.model.in_flight += 1
        self.measured.waits_s.append(self._now - asked.since)
        self._at(self._now + self._turn(asked.session, asked.turn).answer_s, partial(self._answered, asked))

    def _goes_on(self, asked: Asked) -> None:
        """With its next turn, also after one that was given up."""
        turns = self._sessions[asked.session].turns
        if asked.turn + 1 < len(turns):
            self._will_ask(self._now + turns[asked.turn + 1].think_s, asked.session, asked.turn + 1)

    def _stands(self, asked: Asked) -> None:
        """Its session stands with one model of a group."""
        for server in self._servers.values():
            if server.kind.group == asked.model.kind.group:
                server.sessions.pop(asked.session, None)
        asked.model.sessions[asked.session] = self._now + LIVE_S

    def _turn(self, session: int, turn: int) -> Turn:
        return self._sessions[session].turns[turn]

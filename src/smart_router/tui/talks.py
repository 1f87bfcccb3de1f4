"""The sessions of this run and those that the router lists, in one list."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from smart_router.client import SessionInfo
from smart_router.tui.plain import one_line
from smart_router.tui.turns import Attached, Turn

SESSION_ID = re.compile(r"[A-Za-z0-9._:@~+=-]{1,128}")
TITLE = 40  # characters
MOST_TURNS = 200  # of a session, kept here


@dataclass(eq=False)
class Talk:
    """One session: what was said in it during this run, and what is about to be."""

    id: str
    name: str = ""
    turns: list[Turn] = field(default_factory=list)
    draft: str = ""
    pending: tuple[Attached, ...] = ()  # goes along with the next message
    use_case: str | None = None  # that of the next messages; None: the router decides
    info: SessionInfo | None = None  # as the router said last
    begun_here: bool = True
    asked: int = 0  # questions that the router has answered, cleared ones too

    @property
    def title(self) -> str:
        """Its name, else how it began here, else its id."""
        first = self.turns[0].question if self.turns else ""
        return one_line(self.name or first or ("new session" if self._fresh else self.id), TITLE)

    def add(self, turn: Turn) -> None:
        """In place of one that came to nothing: what was typed for that is tried again."""
        if self.turns and self.turns[-1].came_to_nothing:
            self.turns.pop()
        self.turns = [*self.turns, turn][-MOST_TURNS:]

    @property
    def running(self) -> Turn | None:
        return next((turn for turn in self.turns if turn.running), None)

    @property
    def latest(self) -> Turn | None:
        """The last turn that the router has decided."""
        return next((turn for turn in reversed(self.turns) if turn.decision), None)

    @property
    def known_to_router(self) -> bool:
        return self.info is not None or self.asked > 0

    @property
    def _fresh(self) -> bool:
        return self.begun_here and not self.known_to_router


class Talks:
    """Those of this run first, the newest at the top; then the router's others, in its order."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._here: list[Talk] = []
        self._there: list[Talk] = []
        self._names = names

    def __iter__(self) -> Iterator[Talk]:
        yield from reversed(self._here)
        yield from self._there

    def begin(self, id: str, name: str = "") -> Talk:
        """A talk of this run; one that the list has already stays as it is."""
        talk = self.find(id) or Talk(id, name or self._names.get(id, ""))
        self.use(talk)
        return talk

    def use(self, talk: Talk) -> None:
        """From now on it is one of this run."""
        if talk not in self._here:
            self._there = [other for other in self._there if other is not talk]
            self._here.append(talk)

    def drop(self, talk: Talk) -> None:
        self._here = [other for other in self._here if other is not talk]
        self._there = [other for other in self._there if other is not talk]

    def find(self, wanted: str) -> Talk | None:
        """By id, else by name."""
        by_id = (talk for talk in self if talk.id == wanted)
        return next(by_id, next((talk for talk in self if talk.name and talk.name == wanted), None))

    def told(self, sessions: Iterable[SessionInfo]) -> None:
        """What the router lists, all of it."""
        listed = {session.session_id: session for session in sessions if SESSION_ID.fullmatch(session.session_id)}
        for talk in self._here:
            talk.info = listed.pop(talk.id, None)
        known = {talk.id: talk for talk in self._there}
        self._there = [self._other(known, session) for session in listed.values()]

    def _other(self, known: Mapping[str, Talk], session: SessionInfo) -> Talk:
        id = session.session_id
        talk = known.get(id) or Talk(id, self._names.get(id, ""), begun_here=False)
        talk.info = session
        return talk

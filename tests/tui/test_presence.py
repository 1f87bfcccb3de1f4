"""What a look at the router finds."""

import asyncio
from collections.abc import Iterator

from smart_router.client import SessionPage, UseCase
from smart_router.tui.presence import MOST_PAGES, Presence


class Turning:
    """A router that always has another page, and nothing on it."""

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self._cursors: Iterator[int] = iter(range(10 * MOST_PAGES))

    async def use_cases(self) -> tuple[UseCase, ...]:
        return ()

    async def sessions(self, cursor: str | None, limit: int) -> SessionPage:
        self.asked.append(cursor)
        return SessionPage(sessions=(), next_cursor=str(next(self._cursors)))


def test_pages_without_sessions_are_not_turned_for_ever() -> None:
    router, presence = Turning(), Presence()
    asyncio.run(presence.look(router))  # type: ignore[arg-type]  # it has what a look asks for
    assert (presence.state, presence.sessions) == ("connected", ())
    assert len(router.asked) == MOST_PAGES

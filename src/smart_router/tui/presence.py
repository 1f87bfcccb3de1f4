"""Is the router there, what can it do, and which sessions does it have."""

from smart_router.client import AsyncClient, ClientError, RouterRefused, SessionInfo, UseCase
from smart_router.tui.status import State

AGAIN_S = 5.0  # between looks at a router that is not there
MOST_SESSIONS = 200
PAGE = 50
MOST_PAGES = 20  # of a look: some may be empty, but not for ever


class Presence:
    """What the last look found; *trouble* is a sentence where something is wrong."""

    def __init__(self) -> None:
        self.state: State = "connecting"
        self.trouble = ""
        self.use_cases: tuple[UseCase, ...] = ()
        self.sessions: tuple[SessionInfo, ...] | None = None  # None: this router does not list them

    async def look(self, client: AsyncClient) -> None:
        try:
            self.use_cases = await client.use_cases()
            self.sessions = await _sessions(client)
        except ClientError as exc:
            self.failed(exc)
        else:
            self.state, self.trouble = "connected", ""

    def failed(self, exc: ClientError) -> None:
        """A router that refuses is there."""
        if isinstance(exc, RouterRefused):
            self.state = "locked" if exc.status == 401 else "connected"
            self.trouble = exc.message
        else:
            self.state, self.trouble = "away", str(exc)


async def _sessions(client: AsyncClient) -> tuple[SessionInfo, ...] | None:
    """
    Raises:
        ClientError: they cannot be had now.
    """
    found: list[SessionInfo] = []
    cursor: str | None = None
    try:
        for _ in range(MOST_PAGES):
            page = await client.sessions(cursor, PAGE)
            found.extend(page.sessions)
            if (cursor := page.next_cursor) is None or len(found) >= MOST_SESSIONS:
                break
    except RouterRefused as exc:
        if exc.status in (404, 405):  # an older router
            return None
        raise
    return tuple(found[:MOST_SESSIONS])

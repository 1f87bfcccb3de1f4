"""A chat without a terminal, and somebody who types into it."""

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

from textual.pilot import Pilot
from textual.widgets import Static

from smart_router.tui.app import ChatApp
from smart_router.tui.hints import Notice
from smart_router.tui.start import Start
from smart_router.tui.turns import Turn
from tests.tui.fakes import FakeRouter

SOON_S = 20.0
URL = "http://localhost:8001"
SIZE = (90, 20)


@dataclass(frozen=True)
class Chat:
    app: ChatApp
    pilot: Pilot[None]
    router: FakeRouter  # nobody asks it where the client is a real one

    async def type(self, text: str) -> None:
        """As if pasted: it is there at once."""
        self.app.prompt.insert(text)
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def send(self, text: str) -> None:
        """Type it, press Enter, and wait until nothing goes on any more."""
        await self.type(text)
        await self.press("enter")
        await self.rest()

    async def rest(self) -> None:
        await self.until(lambda: not self._busy, "nothing goes on")
        await self.pilot.pause()

    async def until(self, holds: Callable[[], object], what: str) -> None:
        """Within twenty seconds, or the test fails."""
        deadline = time.monotonic() + SOON_S
        while not holds():
            assert time.monotonic() < deadline, f"it does not come to this: {what}\n{self.shown}"
            await self.pilot.pause(0.01)

    @property
    def _busy(self) -> bool:
        waits = any(not worker.is_finished for worker in self.app.workers)
        return waits or not self.app.transcript.settled or self.app.presence.state == "connecting"

    @property
    def lines(self) -> list[str]:
        """What stands on the screen."""
        return [
            "".join(segment.text for segment in strip).rstrip() for strip in self.app.screen._compositor.render_strips()
        ]

    @property
    def shown(self) -> str:
        return "\n".join(self.lines)

    @property
    def notice(self) -> str:
        return str(self.app.screen_stack[0].query_one(Notice).content)

    @property
    def typed(self) -> str:
        return self.app.prompt.text

    @property
    def turns(self) -> list[Turn]:
        return self.app.talk.turns

    def all(self, kind: str) -> list[str]:
        """What the parts of the transcript of this kind say: question, decision, trouble, note."""
        found = self.app.transcript.query(f".{kind}").results(Static)
        return [str(part.content) for part in found if part.display]


@asynccontextmanager
async def a_chat(router: FakeRouter | None = None, size: tuple[int, int] = SIZE, **start: Any) -> AsyncIterator[Chat]:
    """Sessions are chat-1, chat-2, …; every look at the clock takes 50 ms."""
    router = router or FakeRouter()
    ids = count(1)
    ticks = _ticks()
    given: dict[str, Any] = {
        "connect": router.connect,
        "url": URL,
        "new_id": lambda: f"chat-{next(ids)}",
        "clock": lambda: next(ticks),
    }
    app = ChatApp(Start(**(given | start)))
    async with app.run_test(size=size) as pilot:
        chat = Chat(app, pilot, router)
        app.prompt.cursor_blink = False
        await chat.rest()
        yield chat


def _ticks() -> Iterator[float]:
    return (tick * 0.05 for tick in count())

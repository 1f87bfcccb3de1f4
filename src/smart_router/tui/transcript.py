"""What was said in the session that is shown."""

from textual import events
from textual.containers import VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.widgets import Static

from smart_router.tui.plain import plain
from smart_router.tui.talks import Talk
from smart_router.tui.turn_view import TurnView
from smart_router.tui.turns import Turn

MOST_TURNS = 100  # shown; older ones are still the router's to remember

EMPTY = "Ask something: the router finds the model for it.\nEnter sends, / begins a command, F1 helps."
ELSEWHERE = (
    "What was said in this session before is not shown here, as the router tells nobody.\n"
    "It remembers: go on where you left off."
)


class Transcript(VerticalScroll):
    """Stays at the end while answers grow, unless one scrolls away from it; what is short stands at the top."""

    following = True  # Textual's own anchor would push what is short to the bottom

    def watch_scroll_y(self, before: float, now: float) -> None:
        super().watch_scroll_y(before, now)
        self.following = now >= self.max_scroll_y - 1

    def watch_virtual_size(self, size: Size) -> None:
        self._follow()

    def on_resize(self, event: events.Resize) -> None:
        self._follow()

    def _follow(self) -> None:
        if self.following:
            self.scroll_end(animate=False, immediate=True)

    async def show(self, talk: Talk) -> None:
        """What is on the screen already stays as it is."""
        turns = talk.turns[-MOST_TURNS:]
        here = {view.turn: view for view in self.query(TurnView)}
        async with self.batch():
            await self.query("#opening").remove()
            for turn in set(here) - set(turns):
                await here[turn].remove()
            await self.mount_all(TurnView(turn) for turn in turns if turn not in here)
            if not turns:
                await self.mount(Static(id="opening"))
                self.update_opening(talk)
        self.following = True
        self.scroll_end(animate=False)

    def update_opening(self, talk: Talk) -> None:
        """What the router knows of a session may become known after it was opened."""
        for place in self.query("#opening").results(Static):
            place.update(Content(opening(talk)))

    def update_turn(self, turn: Turn) -> None:
        """A turn of another session is not on the screen."""
        for view in self.query(TurnView):
            if view.turn is turn:
                view.update_turn()

    @property
    def settled(self) -> bool:
        return all(view.settled for view in self.query(TurnView))


def opening(talk: Talk) -> str:
    if talk.info is None or talk.asked:
        return EMPTY
    count = talk.info.request_count
    return f"{plain(talk.info.use_case)}, {count} turn{'s' if count != 1 else ''} so far.\n{ELSEWHERE}"

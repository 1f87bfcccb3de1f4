"""The line at the top: which session, which router, and whether it is there."""

from typing import Literal

from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.widgets import Static

from smart_router.tui.plain import one_line

State = Literal["connecting", "connected", "away", "locked"]
SAID: dict[State, str] = {
    "connecting": "◌ connecting",
    "connected": "● connected",
    "away": "○ not there",
    "locked": "○ wants a key",
}


class Status(Horizontal):
    def __init__(self, address: str) -> None:
        super().__init__(id="status")
        self._address = one_line(address.split("://", 1)[-1], 60)

    def compose(self) -> ComposeResult:
        yield Static(id="title")
        yield Static(id="router")

    def show(self, title: str, use_case: str | None, state: State) -> None:
        fixed = f" · {one_line(use_case)} only" if use_case else ""
        self.query_one("#title", Static).update(Content(f"smart-router · {one_line(title)}{fixed}"))
        self.query_one("#router", Static).update(Content(f"{SAID[state]} {self._address}"))
        self.set_class(state in ("away", "locked"), "-away")

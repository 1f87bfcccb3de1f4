"""Text to be read: the help, and why a query went where it went."""

from textual.containers import VerticalScroll
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from smart_router.tui.screens.dialog import Dialog


class Reading(Dialog[None]):
    def __init__(self, title: str, text: Content) -> None:
        super().__init__(title, "Arrow keys scroll, Esc closes")
        self._text = text

    def parts(self) -> list[Widget]:
        return [VerticalScroll(Static(self._text), can_focus=True)]

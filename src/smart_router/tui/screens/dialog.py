"""What the dialogs share: a frame with a title, closed by Esc."""

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from smart_router.tui.plain import one_line

Result = TypeVar("Result")


class Dialog(ModalScreen[Result | None]):
    """Its result is None where Esc closes it."""

    BINDINGS: ClassVar = [Binding("escape", "cancel", "Close")]

    def __init__(self, title: str, hint: str) -> None:
        super().__init__()
        self._title = title
        self._hint = hint

    def compose(self) -> ComposeResult:
        frame = Vertical(*self.parts(), Static(Content(self._hint), classes="hint"), classes="dialog")
        frame.border_title = Content(one_line(self._title))
        yield frame

    def parts(self) -> list[Widget]:
        raise NotImplementedError

    def action_cancel(self) -> None:
        self.dismiss(None)

"""One line to be typed: a name, a key."""

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Input, Static

from smart_router.tui.plain import plain
from smart_router.tui.screens.dialog import Dialog


class Line(Dialog[str]):
    """Its result is what was typed; *secret*: that is not shown."""

    def __init__(self, title: str, sentence: str, value: str = "", *, secret: bool = False) -> None:
        super().__init__(title, "Enter takes it, Esc leaves things as they are")
        self._sentence = sentence
        self._value = value
        self._secret = secret

    def parts(self) -> list[Widget]:
        return [Static(Content(plain(self._sentence))), Input(self._value, password=self._secret)]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

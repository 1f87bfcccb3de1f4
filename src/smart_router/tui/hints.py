"""Below the transcript: what a command that is being typed can become, and what there is to say."""

from typing import Literal

from textual.content import Content
from textual.widgets import Static

from smart_router.tui.commands import matching
from smart_router.tui.plain import plain

Kind = Literal["info", "warning", "error"]


class Hints(Static):
    """The commands that fit what is typed."""

    def __init__(self) -> None:
        super().__init__(id="hints")
        self.display = False

    def show(self, typed: str) -> None:
        fitting = matching(typed)
        forms = [f"/{command.name} {command.takes}" for command in fitting]
        width = max(map(len, forms), default=0) + 2
        lines = [Content(form.ljust(width) + command.does) for form, command in zip(forms, fitting, strict=True)]
        self.update(Content("\n").join(lines))
        self.display = bool(lines)


class Notice(Static):
    """A sentence that stays until the next message is sent."""

    def __init__(self) -> None:
        super().__init__(id="notice")
        self.display = False

    def say(self, sentence: str, kind: Kind = "info") -> None:
        mark = "" if kind == "info" else "! "
        self.update(Content(mark + plain(sentence)))
        self.set_class(kind == "error", "-error")
        self.set_class(kind == "warning", "-warning")
        self.display = bool(sentence)

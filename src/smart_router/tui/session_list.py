"""The sessions at the side."""

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from smart_router.tui.plain import one_line
from smart_router.tui.talks import Talk


class SessionList(OptionList):
    """Enter opens the one under the cursor."""

    BINDINGS: ClassVar = [
        Binding("r", "rename", "Rename"),
        Binding("d,delete", "end", "End"),
    ]

    class Wanted(Message):
        """What is to happen to one of them."""

        def __init__(self, what: str, id: str) -> None:
            super().__init__()
            self.what = what
            self.id = id

    def __init__(self) -> None:
        super().__init__(id="sessions", markup=False)
        self.border_title = "Sessions"

    def show(self, talks: Iterable[Talk], current: Talk) -> None:
        """The cursor stays with the session that it is on, else goes to the current one."""
        under = self._under_cursor or current.id
        self.clear_options()
        self.add_options(Option(entry(talk, current=talk is current), id=talk.id) for talk in talks)
        ids = [option.id for option in self.options]
        self.highlighted = ids.index(under if self.has_focus and under in ids else current.id)

    def action_rename(self) -> None:
        self._want("rename")

    def action_end(self) -> None:
        self._want("end")

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self._want("open")

    @property
    def _under_cursor(self) -> str | None:
        return None if self.highlighted is None else self.get_option_at_index(self.highlighted).id

    def _want(self, what: str) -> None:
        if id := self._under_cursor:
            self.post_message(self.Wanted(what, id))


WIDTH = 25  # of a title; chat.tcss gives the list a little more


def entry(talk: Talk, *, current: bool) -> Content:
    """Its title, and below it where it stands; a mark says which one is open, as colours may be missing."""
    title = Content(("▸ " if current else "  ") + one_line(talk.title, WIDTH)).stylize("bold")
    return Content("\n").join([title, Content(f"  {standing(talk)}")])


def standing(talk: Talk) -> str:
    """agent · 3 turns"""
    if talk.running:
        return "answering …"
    if talk.info:
        turns = f"{talk.info.request_count} turn{'s' if talk.info.request_count != 1 else ''}"
        return " · ".join([one_line(talk.info.use_case), turns, *(["pinned"] if talk.info.pinned else [])])
    if talk.latest and talk.latest.decision:
        return one_line(talk.latest.decision.use_case)
    return "not begun"

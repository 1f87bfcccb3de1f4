"""Where one types."""

from collections.abc import Callable

from textual import events
from textual.message import Message
from textual.widgets import TextArea

from smart_router.tui.history import History
from smart_router.tui.plain import plain

NEW_LINE = ("ctrl+j", "shift+enter", "alt+enter")

Completions = Callable[[str], list[str]]  # whole lines that a line may become


class Prompt(TextArea):
    """Enter sends; arrow keys beyond its first and last line go through what was typed before; Tab completes."""

    class Submitted(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Scrolled(Message):
        """Page up (-1) or down (1): the transcript's to follow."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    def __init__(self, completions: Completions) -> None:
        super().__init__(
            id="prompt", soft_wrap=True, tab_behavior="focus", highlight_cursor_line=False, placeholder="Message, or /"
        )
        self.typed = History()
        self._completions = completions
        self._offered: list[str] = []  # what Tab goes through, the first of them shown last
        self._offering = ""  # the one that Tab has put here

    def put(self, text: str) -> None:
        """*text* instead of what is here, the cursor behind it."""
        self.text = text
        self.move_cursor(self.document.end)

    def update_suggestion(self) -> None:
        found = self._completions(self.text) if self._at_end else []
        self.suggestion = found[0][len(self.text) :] if found and found[0].startswith(self.text) else ""

    async def _on_key(self, event: events.Key) -> None:
        act = self._acts(event.key)
        if act is None:
            await super()._on_key(event)
            return
        event.stop()
        event.prevent_default()
        act()

    async def _on_paste(self, event: events.Paste) -> None:
        event.text = plain(event.text)

    def _acts(self, key: str) -> Callable[[], object] | None:
        row = self.cursor_location[0]
        if key == "enter":
            return self._submit
        if key in NEW_LINE:
            return lambda: self.insert("\n")
        if key == "tab" and (self._offers or self._completions(self.text)):
            return self._complete
        if key == "up" and row == 0:
            return self._back
        if key == "down" and row == self.document.line_count - 1:
            return self._forth
        if key in ("pageup", "pagedown"):
            return lambda: self.post_message(self.Scrolled(-1 if key == "pageup" else 1))
        return None

    @property
    def _at_end(self) -> bool:
        return self.cursor_location == self.document.end

    @property
    def _offers(self) -> bool:
        return bool(self._offered) and self.text == self._offering

    def _submit(self) -> None:
        self.post_message(self.Submitted(self.text))

    def _complete(self) -> None:
        """The first of what is possible; pressed again, the next."""
        if not self._offers:
            self._offered = self._completions(self.text)
        self._offering, *rest = self._offered
        self._offered = [*rest, self._offering] if rest else []
        self.put(self._offering)

    def _back(self) -> None:
        if (line := self.typed.back(self.text)) is not None:
            self.put(line)

    def _forth(self) -> None:
        if (line := self.typed.forth()) is not None:
            self.put(line)

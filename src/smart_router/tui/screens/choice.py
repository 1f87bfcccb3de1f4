"""One of several: a theme, yes or no."""

from collections.abc import Callable, Sequence

from textual.content import Content
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from smart_router.tui.plain import plain
from smart_router.tui.screens.dialog import Dialog


def _nothing(_: str) -> None: ...


class Choice(Dialog[str]):
    """Its result is what was chosen; *preview* is told what is under the cursor."""

    def __init__(
        self,
        title: str,
        sentence: str,
        options: Sequence[str],
        chosen: str,
        preview: Callable[[str], None] = _nothing,
    ) -> None:
        super().__init__(title, "Enter chooses, Esc leaves things as they are")
        self._sentence = sentence
        self._options = options
        self._chosen = chosen
        self._preview = preview

    def parts(self) -> list[Widget]:
        choices = OptionList(*(Option(Content(plain(option)), id=option) for option in self._options), markup=False)
        choices.highlighted = self._options.index(self._chosen) if self._chosen in self._options else 0
        return [*([Static(Content(plain(self._sentence)))] if self._sentence else []), choices]

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        if event.option_id is not None:
            self._preview(event.option_id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option_id)

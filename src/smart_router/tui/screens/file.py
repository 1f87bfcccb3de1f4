"""A file to be attached: its path typed, or chosen from the folders."""

from collections.abc import Iterable
from pathlib import Path

from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import DirectoryTree, Input

from smart_router.tui.attaching import can_be_attached, paths
from smart_router.tui.screens.dialog import Dialog


class File(Dialog[str]):
    """Its result is the path."""

    def __init__(self, folder: Path) -> None:
        super().__init__("Attach an image, audio or video file", "Type a path or a link, or choose below; Esc closes")
        self._folder = folder

    def parts(self) -> list[Widget]:
        return [Input(placeholder="path or https://…", suggester=_Paths()), _Media(self._folder)]

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(event.value)

    def on_directory_tree_file_selected(self, event: DirectoryTree.FileSelected) -> None:
        self.dismiss(str(event.path))


class _Paths(Suggester):
    """Accepted by the right arrow key."""

    def __init__(self) -> None:
        super().__init__(use_cache=False, case_sensitive=True)

    async def get_suggestion(self, value: str) -> str | None:
        return next(iter(paths(value)), None) if value else None


class _Media(DirectoryTree):
    """Folders, and what can be attached."""

    def filter_paths(self, paths: Iterable[Path]) -> Iterable[Path]:
        return [path for path in paths if not path.name.startswith(".") and (path.is_dir() or can_be_attached(path))]

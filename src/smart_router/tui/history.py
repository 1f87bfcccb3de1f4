"""What was typed in this run, to be had again with the arrow keys."""

MOST = 500


class History:
    """The draft that was begun before going back is kept, and comes last."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._draft = ""
        self._place = 0  # of what is shown; len(_lines): the draft

    def add(self, line: str) -> None:
        """It becomes the latest; the place is behind it."""
        if line.strip() and self._lines[-1:] != [line]:
            self._lines = [*self._lines, line][-MOST:]
        self._draft, self._place = "", len(self._lines)

    def back(self, shown: str) -> str | None:
        """The line before *shown*; None where there is none."""
        if self._place == 0:
            return None
        if self._place == len(self._lines):
            self._draft = shown
        self._place -= 1
        return self._lines[self._place]

    def forth(self) -> str | None:
        """The line after it, at last the draft; None where nothing follows."""
        if self._place == len(self._lines):
            return None
        self._place += 1
        return self._draft if self._place == len(self._lines) else self._lines[self._place]

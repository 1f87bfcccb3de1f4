"""Keys as they are pressed, without Enter; where there is no keyboard, nobody presses any."""

import os
import select
import sys
import termios
import time
import tty
from types import TracebackType
from typing import Any


class Keyboard:
    """The terminal's, from `with` to its end; Ctrl+C stays what it is."""

    def __init__(self) -> None:
        self._number: int | None = None
        self._before: list[Any] = []

    def __enter__(self) -> "Keyboard":
        if sys.stdin is not None and sys.stdin.isatty():
            self._number = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._number)
            tty.setcbreak(self._number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._number is not None:
            termios.tcsetattr(self._number, termios.TCSADRAIN, self._before)

    def pressed(self, within_s: float) -> str:
        """What is pressed first, if anything is *within_s* seconds; empty at their end."""
        if self._number is None:
            time.sleep(within_s)
            return ""
        ready, _, _ = select.select([self._number], [], [], within_s)
        return os.read(self._number, 64).decode(errors="replace") if ready else ""

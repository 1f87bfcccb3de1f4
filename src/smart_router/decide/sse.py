"""
Server-sent events, parsed as they arrive (WHATWG HTML, section 9.2.6): any split of the bytes gives the same events.
"""

from dataclasses import dataclass

MAX_EVENT_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Event:
    data: str
    event: str = "message"


class TooLong(ValueError):
    """An event grew beyond MAX_EVENT_BYTES: an endless line is not a stream of events."""


class Parser:
    """`feed` takes bytes and returns the events that they complete. Comments are dropped."""

    def __init__(self) -> None:
        self._rest = b""
        self._started = False
        self._data: list[str] = []
        self._event = ""
        self._held = 0

    def feed(self, chunk: bytes) -> list[Event]:
        """
        Raises:
            TooLong: the event under way exceeds MAX_EVENT_BYTES.
            UnicodeDecodeError: a complete line is not UTF-8.
        """
        *lines, self._rest = _lines(self._rest + chunk)
        if len(self._rest) + self._held > MAX_EVENT_BYTES:
            raise TooLong
        return [event for line in lines if (event := self._line(line.decode())) is not None]

    def _line(self, line: str) -> Event | None:
        if not self._started:
            self._started, line = True, line.removeprefix("\ufeff")
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
            self._held += len(value) + 1
        elif field == "event":
            self._event = value
        return None

    def _dispatch(self) -> Event | None:
        data, event = self._data, self._event or "message"
        self._data, self._event, self._held = [], "", 0
        return Event("\n".join(data), event) if data else None


def _lines(text: bytes) -> list[bytes]:
    """Split at LF, CRLF or CR; a CR at the very end waits, as an LF may follow."""
    if b"\r" not in text:
        return text.split(b"\n")
    held = text.endswith(b"\r")
    body = text[:-1] if held else text
    lines = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if held:
        lines[-1] += b"\r"
    return lines

"""Log lines on their way to a stream: collected, written together, and never waited for."""

import asyncio
import atexit
import io
import os
import select
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import TextIO

FLUSH_AT_BYTES = 64 << 10
FLUSH_AFTER_S = 0.2
MOST_BYTES = 1 << 20  # waiting for a reader that has stalled; further lines are dropped
# POSIX: so much goes into a pipe at once or not at all, so that the lines of several processes do not mix.
AT_ONCE_BYTES = 4096
LAST_WORDS_S = 1.0  # how long the end of the process may wait for a stalled reader


class Lines:
    """
    `add` for what comes often and may wait FLUSH_AFTER_S, `say` for the rest: it takes along what was added before it.
    Both are complete lines in order. A stalled reader, a full disk and a closed stream cost lines, not the caller:
    how many were lost is told by *lost*, which makes a line of their number, once lines flow again.
    """

    def __init__(self, stream: TextIO, lost: Callable[[int], bytes]) -> None:
        self._stream, self._lost = stream, lost
        self._descriptor = _descriptor(stream)
        self._room = _room_at(self._descriptor)
        self._waiting = bytearray()
        self._dropped = 0
        self._stalled = False
        self._timed_by: asyncio.AbstractEventLoop | None = None  # whose timer will flush
        self._lock = Lock()  # lines come from the loop and, rarely, from threads
        atexit.register(self.close)

    def add(self, line: bytes) -> None:
        """*line* without its end. Written soon where an event loop runs, else at once."""
        with self._lock:
            self._take(line)
            loop = asyncio._get_running_loop()
            if loop is None or (len(self._waiting) >= FLUSH_AT_BYTES and not self._stalled):
                self._flush()
            if loop is not None and self._timed_by is not loop:
                self._call_later(loop)

    def say(self, line: bytes) -> None:
        """*line* without its end. Written at once, after those that wait."""
        with self._lock:
            self._take(line)
            self._flush()

    def flush(self) -> None:
        with self._lock:
            self._flush()

    def close(self) -> None:
        """Write what waits, within LAST_WORDS_S. Lines may follow."""
        with self._lock:
            self._flush(monotonic() + LAST_WORDS_S)

    def _take(self, line: bytes) -> None:
        if len(self._waiting) + len(line) < MOST_BYTES:
            self._waiting += line
            self._waiting += b"\n"
        else:
            self._dropped += 1

    def _call_later(self, loop: asyncio.AbstractEventLoop) -> None:
        """A loop that ended with its timer pending is no loss: the next one sets its own."""
        self._timed_by = loop
        loop.call_later(FLUSH_AFTER_S, self._on_time, loop)

    def _on_time(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._flush()
            if self._timed_by is loop:
                self._timed_by = None
            if self._waiting:
                self._call_later(loop)

    def _flush(self, until: float = 0.0) -> None:
        """Wait for the reader *until* that moment of the monotonic clock."""
        self._stalled = not self._write_all(until)
        if self._dropped and not self._stalled:
            self._take(self._lost(self._dropped))
            self._dropped = 0
            self._stalled = not self._write_all(until)

    def _write_all(self, until: float) -> bool:
        """Whether nothing waits any more."""
        try:
            while self._waiting:
                end = self._portion()
                written = self._write(bytes(self._waiting[:end]), until)
                if not written:
                    return False
                del self._waiting[:written]
        except (OSError, ValueError):
            return False
        return True

    def _portion(self) -> int:
        """As many whole lines as may be written at once; of one that is longer, a part."""
        return self._waiting.rfind(b"\n", 0, AT_ONCE_BYTES) + 1 or AT_ONCE_BYTES

    def _write(self, data: bytes, until: float) -> int:
        """How much was written: nothing if it would have to wait longer."""
        if self._stream.closed:  # its descriptor may be somebody else's by now
            raise ValueError("the stream is closed")
        if self._descriptor is None:
            self._stream.write(data.decode())
            self._stream.flush()
            return len(data)
        patience_ms = max(0.0, until - monotonic()) * 1000 if until else 0
        if self._room is not None and not self._room.poll(patience_ms):
            return 0
        return os.write(self._descriptor, data)


def _descriptor(stream: TextIO) -> int | None:
    """None for a stream that is only in memory, as in tests."""
    try:
        return stream.fileno()
    except (io.UnsupportedOperation, AttributeError):
        return None


def _room_at(descriptor: int | None) -> "select.poll | None":
    """What says whether a write would wait. None where that cannot be asked: there, a stalled reader is waited for."""
    if descriptor is None or not hasattr(select, "poll"):
        return None
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return poll

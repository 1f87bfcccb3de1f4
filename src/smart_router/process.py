"""What the operating system tells a process that serves: to stop, and to read its registry again."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

import structlog

log = structlog.get_logger("process")

_Handler = Callable[[int, FrameType | None], Any] | int | None


class Drain:
    """Once it has begun this process is not ready any more, and asks its clients to connect anew, elsewhere."""

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun = False


class Signals:
    """
    SIGTERM: not ready from now on; *delay_s* later, or at a second one, what it meant before: the server stops to
    listen, ends what is under way, and exits. SIGINT is somebody at the keyboard, and stops at once.

    SIGHUP: read the registry again. Until the process serves there is nothing to read again.

    *worker*: this is one of several processes. Their parent replaces them one after the other when it gets a SIGHUP,
    and passes a SIGTERM on, which may have come to the workers, too, if it was meant for all of the group.
    """

    def __init__(self, delay_s: float, *, worker: bool = False) -> None:
        self._delay_s = delay_s
        self.restart = _restart_workers if worker else None
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._drain = Drain()
        self._stops: _Handler = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self, drain: Drain, reload: Callable[[], None]) -> None:
        """In the main thread, from the loop that serves; after the server has set its own handlers."""
        self._drain, self._loop = drain, asyncio.get_running_loop()
        self._stops = signal.getsignal(signal.SIGTERM)
        self._loop.add_signal_handler(signal.SIGTERM, self._terminated)
        if self.restart is None:
            self._loop.add_signal_handler(signal.SIGHUP, reload)

    def _terminated(self) -> None:
        assert self._loop is not None
        if self._drain.begun and self.restart is not None:
            return
        if self._drain.begun or not self._delay_s:
            self._stop()
            return
        self._drain.begun = True
        log.info("told to stop: not ready from now on", listening_for_s=self._delay_s)
        self._loop.call_later(self._delay_s, self._stop)

    def _stop(self) -> None:
        assert self._loop is not None
        self._drain.begun = True
        if self._loop.remove_signal_handler(signal.SIGTERM):
            with suppress(TypeError):  # None: a handler that is not Python's
                signal.signal(signal.SIGTERM, self._stops)
            signal.raise_signal(signal.SIGTERM)


def _restart_workers() -> None:
    os.kill(os.getppid(), signal.SIGHUP)

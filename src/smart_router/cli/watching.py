"""`smart-router stats --watch`: a router looked at again and again, also while it is away."""

import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

import typer

from smart_router.cli import shown
from smart_router.cli.calling import Unanswered, ask, understanding
from smart_router.cli.failing import fail, warn
from smart_router.cli.keyboard import Keyboard
from smart_router.cli.samples import Pace, Sample, began_anew, pace
from smart_router.cli.stats import TELLS, TELLS_HEALTH

LOOK_WITHIN_S = 3.0  # for an answer; then it counts as away
REMEMBERED = 300  # looks, for the sparklines
TERMINATED = 143  # by SIGTERM, as shells say it


class Watched:
    """A router as it was last seen; *trouble* says why it cannot be seen now, empty if it can."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self.trouble = ""
        self.away_since: datetime | None = None
        self.news = ""  # what happened at the last look: it is gone, it is back, or it counts anew
        self.sample: Sample | None = None
        self.paces: deque[Pace | None] = deque(maxlen=REMEMBERED)  # None: it was away
        self._key = key

    @property
    def pace(self) -> Pace | None:
        """What happened up to the last look, if it was seen then and before."""
        return self.paces[-1] if self.paces else None

    def look(self) -> None:
        """
        Raises:
            Unanswered: at the first look; later this is remembered.
        """
        try:
            seen = self._seen()
        except Unanswered as exc:
            if self.sample is None:
                raise
            self._lost(str(exc))
        else:
            self._found(seen)

    def _seen(self) -> Sample:
        """
        Raises:
            Unanswered
        """
        stats = ask(self.url, "GET", "/stats", self._key, tells=TELLS, timeout_s=LOOK_WITHIN_S)
        at = time.monotonic()
        health = ask(self.url, "GET", "/health", self._key, tells=TELLS_HEALTH, timeout_s=LOOK_WITHIN_S)
        return Sample(at, stats, health)

    def _lost(self, why: str) -> None:
        self.news = "" if self.trouble else f"away: {why}"
        self.trouble, self.away_since = why, self.away_since or datetime.now(UTC)
        self.paces.append(None)

    def _found(self, seen: Sample) -> None:
        before, self.sample = self.sample, seen
        self.news = "it is back" if self.trouble else ""
        self.trouble, self.away_since = "", None
        if before is not None:
            self.news = "counting began anew" if began_anew(before, seen) and not self.news else self.news
            self.paces.append(pace(before, seen))


def watch(url: str, key: str | None, every_s: float, as_json: bool) -> None:
    """Until q or Ctrl+C, which is how it is meant to end; ends the command where there is no router to begin with."""
    watched = Watched(url, key)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # leaves the terminal as it was
    with suppress(KeyboardInterrupt), understanding(url):
        try:
            watched.look()
        except Unanswered as exc:
            fail(str(exc), exc.code)
        if shown.can_be_drawn_over() and not as_json:
            _draw(watched, every_s)
        else:
            _tell(watched, every_s, as_json)


def _draw(watched: Watched, every_s: float) -> None:
    from rich.live import Live

    from smart_router.cli.gauges import picture

    console = shown.console()
    with Keyboard() as keyboard, Live(console=console, screen=True, auto_refresh=False) as live:
        for _ in _looks(watched, every_s, keyboard):
            live.update(shown.Tamed(picture(watched, console.width, every_s)), refresh=True)


def _tell(watched: Watched, every_s: float, as_json: bool) -> None:
    with Keyboard() as keyboard:
        for _ in _looks(watched, every_s, keyboard):
            if watched.news:
                warn(f"{_now()} {watched.news}")
            if watched.trouble or watched.sample is None:
                continue
            if as_json:
                shown.as_json(watched.sample.stats)
            elif watched.pace is not None:
                typer.echo(shown.harmless(line(watched.sample, watched.pace)))


def _looks(watched: Watched, every_s: float, keyboard: Keyboard) -> Iterator[None]:
    """After the first look and after each of the next ones, which are *every_s* apart; to the end with q."""
    yield
    while True:
        end = time.monotonic() + every_s
        while (left := end - time.monotonic()) > 0:
            if "q" in keyboard.pressed(left).lower():
                return
        watched.look()
        yield


def line(sample: Sample, now: Pace) -> str:
    """What one look has shown, as `name=value`; a value that was not measured is -."""
    values: dict[str, object] = {
        "requests": sample.stats["total_requests"],
        "per_s": f"{now.per_s:.2f}",
        "errors_per_s": f"{now.errors_per_s:.2f}",
        "bypassed_percent": None if now.bypassed is None else f"{now.bypassed * 100:.1f}",
        "routing_ms": now.routing_ms,
        "bypass_ms": now.bypass_ms,
        "total_ms": now.total_ms,
        "health": sample.health["status"],
    }
    return " ".join((_now(), *(f"{name}={shown.word(value)}" for name, value in values.items())))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

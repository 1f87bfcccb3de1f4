"""
Bringing dashboards to Grafana and back, without losing what somebody made by hand.

What was pushed is remembered in Grafana itself: each version that we save carries the message `smart-router dashboards
push <hash>`. If the latest version carries another one, somebody has saved the dashboard since, and `push` leaves it.
Grafana checks the version number once more when we save, so that nobody is overwritten in between either.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from smart_router.dashboards.files import Dashboard, difference, digest, normalised, read, write
from smart_router.dashboards.grafana import Grafana, Stored
from smart_router.dashboards.trouble import Trouble

FOLDER = "smart-router"  # the title of the folder in Grafana
MARK = "smart-router dashboards push"


@dataclass(frozen=True)
class Pair:
    """A dashboard on disk, and what Grafana has of it."""

    path: Path
    ours: Dashboard
    theirs: Stored | None

    @property
    def message(self) -> str:
        return f"{MARK} {digest(self.ours)}"

    @property
    def same(self) -> bool:
        """Grafana has what is on disk; or what it made of the very same when it stored it, as newer ones may."""
        if self.theirs is None:
            return False
        return self.theirs.message == self.message or normalised(self.theirs.dashboard) == normalised(self.ours)

    @property
    def changed_by_hand(self) -> bool:
        return self.theirs is not None and not self.same and not self.theirs.message.startswith(MARK)


def pairs(grafana: Grafana, folder: Path) -> list[Pair]:
    ours = read(folder)
    return [Pair(path, dashboard, grafana.find(dashboard["uid"])) for path, dashboard in ours.items()]


def push(grafana: Grafana, folder: Path, *, force: bool) -> Iterator[str]:
    """
    Store what differs; says of each dashboard what was done. All are looked at before the first is stored.

    Raises:
        Trouble: one was changed by hand, and *force* is not given; nothing has been stored then.
    """
    found = pairs(grafana, folder)
    by_hand = [pair.ours["title"] for pair in found if pair.changed_by_hand]
    if by_hand and not force:
        raise Trouble(
            f"changed in Grafana since the last push: {', '.join(by_hand)}. Nothing was pushed; keep the changes with "
            "`smart-router dashboards pull`, or overwrite them with --force"
        )
    return _stored(grafana, found, force)


def differences(grafana: Grafana, folder: Path) -> Mapping[Path, str]:
    """What a push would change, by file; only of those that differ."""
    told = {pair.path: _difference(pair) for pair in pairs(grafana, folder)}
    return {path: text for path, text in told.items() if text}


def pull(grafana: Grafana, folder: Path) -> Iterator[str]:
    """
    Write what differs; says of each file what was done.

    Raises:
        Trouble: Grafana lacks one; nothing has been written then.
    """
    found = pairs(grafana, folder)
    missing = [pair.ours["title"] for pair in found if pair.theirs is None]
    if missing:
        raise Trouble(
            f"not in Grafana: {', '.join(missing)}. Nothing was written; `smart-router dashboards push` first"
        )
    return _written(found)


def _stored(grafana: Grafana, found: list[Pair], force: bool) -> Iterator[str]:
    folder = "" if all(pair.same for pair in found) else grafana.folder(FOLDER)
    for pair in found:
        if pair.same:
            yield f"unchanged  {pair.ours['title']}"
            continue
        replaces = pair.theirs.version if pair.theirs else None
        grafana.save(pair.ours, folder, pair.message, replaces, overwrite=force)
        yield f"pushed     {pair.ours['title']}"


def _difference(pair: Pair) -> str:
    if pair.theirs is None:
        return f"only on disk: {pair.path}"
    if pair.same:
        return ""
    return difference(pair.theirs.dashboard, pair.ours, f"Grafana: {pair.ours['title']}", str(pair.path))


def _written(found: list[Pair]) -> Iterator[str]:
    for pair in found:
        if pair.same or pair.theirs is None:
            yield f"unchanged  {pair.path}"
            continue
        write(pair.path, normalised(pair.theirs.dashboard), pair.ours)
        yield f"pulled     {pair.path}"

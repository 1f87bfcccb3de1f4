"""Names that people gave to sessions. They stay on this machine: a router knows ids alone."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

MOST = 500  # the oldest are forgotten
LONGEST = 80


class Names(Mapping[str, str]):
    """
    By session id, in a file that only its owner can read. A file that cannot be read counts as empty.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._names = _read(path) if path else {}

    def __getitem__(self, id: str) -> str:
        return self._names[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def give(self, id: str, name: str) -> None:
        """
        Raises:
            OSError: it could not be kept; it holds until the end of the run.
        """
        self._names.pop(id, None)
        self._names = dict([*self._names.items(), (id, name[:LONGEST])][-MOST:])
        self._write()

    def forget(self, id: str) -> None:
        if self._names.pop(id, None) is not None:
            with suppress(OSError):
                self._write()

    def _write(self) -> None:
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(self._names, file, ensure_ascii=False)
        beside.replace(self._path)


def _read(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {id: name for id, name in found.items() if isinstance(name, str)}

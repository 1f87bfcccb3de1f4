"""Which key opens what: the shared key, the file of keys, or nothing at all. The file is read again when it changes."""

import asyncio
import hashlib
import hmac
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import structlog
from msgspec.structs import replace

from smart_router.access.keyfile import Entry, digest_of, read_keys
from smart_router.errors import ConfigurationError
from smart_router.rules import ready
from smart_router.settings import Settings
from smart_router.types import SCOPES, Grant, Rate, Rules

log = structlog.get_logger("keys")

ANYBODY = Grant("anybody", frozenset(("route", "metrics")))  # of a router without keys or limits
LOOK_AGAIN_S = 1.0

_Stamp = tuple[int, int, int]  # of a file: when it was changed, its size, which one it is


class _Known(NamedTuple):
    digest: str
    grant: Grant


class KeyRing:
    """Knows digests; of a key, nothing else is kept. The names that keys are limited to must be known here."""

    def __init__(self, settings: Settings, use_cases: Collection[str], models: Collection[str]) -> None:
        """
        Raises:
            ConfigurationError: the file of keys cannot be used; names the place.
        """
        self._use_cases, self._models = use_cases, models
        self._rate = _rate(settings.rate_limit_per_minute, None)
        self.anybody = replace(ANYBODY, rate=self._rate)
        self._shared = _shared(settings, self._rate)
        self._path = settings.api_keys_file
        self._stamp: _Stamp | None = None
        self._filed: dict[str, _Known] = {}
        self._watching: asyncio.Task[None] | None = None
        if self._path is not None:
            self._stamp, self._filed = _stamp(self._path), self._read(self._path)

    @property
    def open(self) -> bool:
        """No key is configured: anybody may come in."""
        return not self._shared and self._path is None

    @property
    def filed(self) -> bool:
        """Keys have scopes."""
        return self._path is not None

    def find(self, key: bytes) -> Grant | None:
        """
        What *key* opens. How long that takes tells nothing of any key: it is looked for by its digest, which nobody
        can steer, and compared in constant time.
        """
        digest = hashlib.sha256(key).hexdigest()
        known = self._shared.get(digest) or self._filed.get(digest)
        return known.grant if known is not None and hmac.compare_digest(known.digest, digest) else None

    def refresh(self) -> None:
        """Read the file again if it has changed. One that is wrong, or gone, leaves things as they are."""
        if self._path is None:
            return
        try:
            stamp = _stamp(self._path)
            if stamp == self._stamp:
                return
            self._stamp = stamp  # also of a wrong one, to say it once
            self._filed = self._read(self._path)
        except ConfigurationError as exc:
            log.error("the keys stay as they were", error=str(exc))
        else:
            log.info("keys read", keys=len(self._filed))

    def check(self, use_cases: Collection[str], models: Collection[str]) -> None:
        """
        Raises:
            ConfigurationError: a key is limited to a name that is not among these.
        """
        if self._path is not None:
            _entries(self._path, use_cases, models)

    def know(self, use_cases: Collection[str], models: Collection[str]) -> None:
        """These are the names from now on: a file that named others may be right now."""
        self._use_cases, self._models, self._stamp = use_cases, models, None
        self.refresh()

    def start(self) -> None:
        if self._path is not None:
            self._watching = asyncio.create_task(self._watch())

    async def close(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_AGAIN_S)
            self.refresh()

    def _read(self, path: Path) -> dict[str, _Known]:
        entries = _entries(path, self._use_cases, self._models)
        if not entries and not self._shared:
            log.warning("there is no key in the file: nobody can come in", file=str(path))
        return {e.sha256: _Known(e.sha256, _grant(e, self._rate, _rules(path, e))) for e in entries}


def _entries(path: Path, use_cases: Collection[str], models: Collection[str]) -> tuple[Entry, ...]:
    """
    Raises:
        ConfigurationError: the file cannot be used, or a key is limited to a name that is not among these.
    """
    entries = read_keys(path)
    for entry in entries:
        _check(path, entry, use_cases, models)
    return entries


def _check(path: Path, entry: Entry, use_cases: Collection[str], models: Collection[str]) -> None:
    for field, known in (("use_cases", use_cases), ("models", models)):
        for name in getattr(entry, field) or ():
            if name not in known:
                there_are = ", ".join(known)
                raise ConfigurationError(f"{path}: key {entry.id}: {field}: no {name!r} here; there are {there_are}")


def _shared(settings: Settings, rate: Rate | None) -> dict[str, _Known]:
    """Whoever has the shared key may do everything."""
    key = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    digest = digest_of(key.encode())
    return {digest: _Known(digest, Grant(digest[:16], frozenset(SCOPES), rate=rate))} if key else {}


def _rules(path: Path, entry: Entry) -> Rules | None:
    """
    Raises:
        ConfigurationError: a pattern is wrong; names the place.
    """
    try:
        return ready(entry, f"keys[{entry.id}].")
    except ValueError as exc:
        raise ConfigurationError(f"{path}: key {entry.id}: {exc}") from None


def _grant(entry: Entry, usual: Rate | None, rules: Rules | None) -> Grant:
    asked = entry.requests_per_minute
    if asked is None and usual is not None:
        asked = usual.per_minute
    return Grant(
        entry.id,
        frozenset(entry.scopes),
        use_cases=None if entry.use_cases is None else frozenset(entry.use_cases),
        models=None if entry.models is None else frozenset(entry.models),
        rate=_rate(asked or 0, entry.burst),
        concurrency=entry.concurrency,
        rules=rules,
    )


def _rate(per_minute: int, burst: int | None) -> Rate | None:
    return Rate(per_minute, burst or per_minute) if per_minute else None


def _stamp(path: Path) -> _Stamp:
    """
    Raises:
        ConfigurationError: there is no such file.
    """
    try:
        found = path.stat()
    except OSError as exc:
        raise ConfigurationError(
            f"{path}: cannot be read ({exc.strerror}); correct API_KEYS_FILE, or make the file readable"
        ) from None
    return found.st_mtime_ns, found.st_size, found.st_ino

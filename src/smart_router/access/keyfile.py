"""
The file of keys, JSON. It holds digests: a key is shown once, when it is made, and kept nowhere.

    {"version": 1, "keys": [{"id": "k_3f9a61c0", "name": "mobile app", "sha256": "…", "scopes": ["route"]}]}

Keys are 256 random bits, so that a plain SHA-256 hides them: there is no dictionary to try.
"""

import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from smart_router.errors import ConfigurationError
from smart_router.rules import MOST_MESSAGE_CHARACTERS, MOST_OF_ANYTHING, MOST_PATTERN_CHARACTERS
from smart_router.types import Scope

KEY_PREFIX = "sr-"
KEY_BYTES = 32
OWNER_ONLY = 0o600
MOST_PER_MINUTE = 60_000_000

Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


Most = Annotated[int, Meta(ge=1, le=MOST_OF_ANYTHING)]


class Denied(Struct, frozen=True, forbid_unknown_fields=True):
    """Texts that contain *pattern*, a regular expression of RE2's, are refused with *message*."""

    pattern: Annotated[str, Meta(min_length=1, max_length=MOST_PATTERN_CHARACTERS)]
    message: Annotated[str, Meta(min_length=1, max_length=MOST_MESSAGE_CHARACTERS)]


class Entry(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One key: *sha256* is what is known of it, *id* whose sessions are its own. No list: all of them."""

    id: Id
    sha256: Digest
    name: str = ""
    scopes: tuple[Scope, ...] = ("route",)
    created: str = ""  # ISO 8601
    use_cases: tuple[Name, ...] | None = None
    models: tuple[Name, ...] | None = None
    requests_per_minute: Annotated[int, Meta(ge=0, le=MOST_PER_MINUTE)] | None = None  # 0: any; None: the general limit
    burst: Annotated[int, Meta(ge=1, le=MOST_PER_MINUTE)] | None = None  # None: a minute's requests
    concurrency: Annotated[int, Meta(ge=1, le=MOST_PER_MINUTE)] | None = None
    max_tokens: Most | None = None  # None of these: what the registry lets everybody ask for
    max_choices: Most | None = None
    deny: tuple[Denied, ...] = ()


class _File(Struct, forbid_unknown_fields=True):
    version: Literal[1]
    keys: tuple[Entry, ...]


def digest_of(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def new_entry(name: str, scopes: Sequence[Scope], **limits: Any) -> tuple[str, Entry]:
    """A new key and what is kept of it; *limits* are fields of an entry."""
    key = KEY_PREFIX + secrets.token_urlsafe(KEY_BYTES)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    entry = Entry(f"k_{secrets.token_hex(6)}", digest_of(key.encode()), name, tuple(scopes), created, **limits)
    return key, entry


def read_keys(path: Path) -> tuple[Entry, ...]:
    """
    Raises:
        ConfigurationError: the file cannot be read or is not of this form; names the place.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_File).keys
    except OSError as exc:
        raise ConfigurationError(
            f"{path}: cannot be read ({exc.strerror}); make one with `smart-router keys create --name … --file {path}`"
        ) from None
    except (ValueError, RecursionError) as exc:  # msgspec's errors say where: "… - at `$.keys[0].scopes[1]`"
        raise ConfigurationError(f"{path}: {exc}") from None
    for what in ("id", "sha256"):
        values = [getattr(entry, what) for entry in found]
        twice = next((value for value in values if values.count(value) > 1), None)
        if twice is not None:
            raise ConfigurationError(f"{path}: two keys have the {what} {twice}; remove one of them")
    return found


def change_keys(path: Path, change: Callable[[tuple[Entry, ...]], Sequence[Entry]]) -> None:
    """
    Rewrite *path* with what *change* makes of its keys; a file that is not there yet begins without any. Whoever else
    does this meanwhile waits; whoever reads finds the old file or the new one.

    Raises:
        ConfigurationError: the file cannot be read or written, or is not of this form.
    """
    try:
        with _locked(path):
            changed = change(read_keys(path) if path.exists() else ())
            content = msgspec.json.format(msgspec.json.encode(_File(1, tuple(changed))), indent=2)
            _replace(path, content + b"\n")
    except OSError as exc:
        raise ConfigurationError(f"{path}: cannot be written ({exc.strerror}); give another --file") from None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """The lock is a file beside it, as the file itself is replaced."""
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _replace(path: Path, content: bytes) -> None:
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    fresh = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777 if path.exists() else OWNER_ONLY)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)

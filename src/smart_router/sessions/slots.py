"""Which slot of a cluster a key belongs to, and what nodes say about who serves it. Source: the Redis cluster spec."""

import re
from binascii import crc_hqx  # CRC16 as a cluster counts: XMODEM
from collections.abc import Sequence
from typing import Any, NamedTuple

from smart_router.errors import StoreUnavailable
from smart_router.sessions.link import Part

SLOTS = 16_384
SCRIPT_RUNS = ("EVALSHA", "EVAL")

_REDIRECTION = re.compile(r"(MOVED|ASK) ([0-9]{1,5}) (.*):([0-9]{1,5})")


class Place(NamedTuple):
    """Where a node listens."""

    host: str
    port: int


class Range(NamedTuple):
    """Slots *first* to *last* are served at *place*."""

    first: int
    last: int
    place: Place


class Redirection(NamedTuple):
    """*slot* is served at *place*; *asking*: only whoever says ASKING is served there yet."""

    asking: bool
    slot: int
    place: Place


def slot_of(parts: Sequence[Part]) -> int | None:
    """Of a command's first key, after which its other keys must be; None for a command without a key."""
    key_at = 3 if parts[0] in SCRIPT_RUNS else 1
    if len(parts) <= key_at:
        return None
    key = parts[key_at]
    return slot_of_key(key if isinstance(key, bytes) else str(key).encode())


def slot_of_key(key: bytes) -> int:
    """What stands between the first `{` and the next `}` counts alone, unless that is nothing."""
    opening = key.find(b"{")
    closing = key.find(b"}", opening + 1) if opening >= 0 else -1
    return crc_hqx(key[opening + 1 : closing] if closing > opening + 1 else key, 0) % SLOTS


def ranges_of(reply: Any, asked: str) -> list[Range]:
    """
    What `CLUSTER SLOTS` says of masters; *asked* is the host that said so: a node may not know its own.

    Raises:
        StoreUnavailable: no slot is served, or this is no such reply.
    """
    try:
        ranges = [Range(first, last, _place(master[0], master[1], asked)) for first, last, master, *_ in reply]
    except (TypeError, ValueError, LookupError, AttributeError):
        raise StoreUnavailable("what answers is no cluster") from None
    if not ranges or not all(0 <= one.first <= one.last < SLOTS for one in ranges):
        raise StoreUnavailable("the cluster serves no slot yet")
    return ranges


def redirection(error: str, asked: str) -> Redirection | None:
    """What an error reply of host *asked* says of another node, None if it is another kind of error."""
    found = _REDIRECTION.fullmatch(error)
    if found is None or int(found[2]) >= SLOTS:
        return None
    return Redirection(found[1] == "ASK", int(found[2]), Place(found[3] or asked, int(found[4])))


def _place(host: bytes | None, port: int, asked: str) -> Place:
    return Place(host.decode() if host else asked, int(port))

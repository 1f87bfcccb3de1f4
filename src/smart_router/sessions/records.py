"""What the records in Redis say: what cannot be read counts as absent."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from smart_router.sessions.base import Position
from smart_router.types import Lane, Message, Session, Steer

FORMAT = b"1"  # of the records; another one counts as absent
UNSTEERED = Steer()
LATEST_US = 2**53  # a score that is kept exactly
_lane = msgspec.json.Decoder(Lane).decode
_message = msgspec.json.Decoder(Message).decode


def pairs(flat: Sequence[bytes]) -> dict[bytes, bytes]:
    each = iter(flat)
    return dict(zip(each, each, strict=True))


def session_of(fields: Mapping[bytes, bytes], owner: str) -> Session | None:
    """None for a record that is absent, damaged or somebody else's."""
    try:
        if fields[b"owner"] != owner.encode():
            return None
        lanes = {name[5:].decode(): _lane(value) for name, value in fields.items() if name.startswith(b"lane:")}
        session = Session(
            owner,
            int(fields[b"turn"]),
            fields[b"group"].decode(),
            lanes,
            int(fields[b"count"]),
            float(fields[b"created"]),
            float(fields[b"accessed"]),
            float(fields.get(b"chosen", 0.0)),
            _steer(fields) if b"pin" in fields or b"bypass" in fields else UNSTEERED,
        )
        return session if session.group in lanes else None
    except (KeyError, ValueError):  # MsgspecError is a ValueError
        return None


def _steer(fields: Mapping[bytes, bytes]) -> Steer:
    """What of it cannot be read was never asked for."""
    found = Steer()
    with suppress(KeyError, ValueError):
        at, pinned = fields[b"pin"].split(b"\n", 1)
        found = replace(found, pinned=pinned.decode(), pinned_at=float(at))
    with suppress(KeyError, ValueError):
        at, bypass = fields[b"bypass"].split(b"\n", 1)
        found = replace(found, bypass={b"1": True, b"0": False}[bypass], bypass_at=float(at))
    return found


def position_of(id: bytes, score: bytes) -> Position:
    """No session has an id that is not text."""
    return Position(int(min(max(0.0, float(score)), LATEST_US)), id.decode(errors="replace"))


def messages_of(rows: Sequence[bytes]) -> tuple[Message, ...]:
    found = []
    for row in rows:
        try:
            found.append(_message(row))
        except ValueError:
            continue
    return tuple(found)

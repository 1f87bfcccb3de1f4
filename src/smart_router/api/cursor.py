"""Where a list goes on, as clients get it: text that means something to nobody but us."""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

from smart_router.errors import BadRequest
from smart_router.sessions.base import Position

_TEXT = re.compile(rb"(\d{1,16})\.([\x20-\x7f]{0,128})")


def cursor(position: Position) -> str:
    return urlsafe_b64encode(f"{position.at_us}.{position.id}".encode()).decode().rstrip("=")


def position(cursor: str) -> Position:
    """
    Raises:
        BadRequest: it is none of ours.
    """
    try:
        text = urlsafe_b64decode(cursor[:400] + "=" * (-len(cursor) % 4))
    except (Error, ValueError):
        text = b""
    found = _TEXT.fullmatch(text)
    if found is None:
        raise BadRequest("cursor: is none of ours; send next_cursor as it came, or begin anew without a cursor")
    return Position(int(found[1]), found[2].decode())

"""What of a conversation is kept, and what of it a model is sent."""

from collections.abc import Sequence

from msgspec.structs import replace

from smart_router.types import Message

OVERHEAD = 64  # bytes counted per message beside its text and attachments
TEXT_SHARE = 6  # of the room one message's text may fill a sixth, so that an exchange with files fits; its end is cut


def size(message: Message) -> int:
    """Bytes, about."""
    files = sum(len(a.data or "") + len(a.url or "") for a in message.attachments)
    return OVERHEAD + len(message.text.encode()) + files


def trimmed(message: Message, room: int) -> Message:
    """
    *message* as it is remembered in *room* bytes per session: its attached data only if half of the room holds them
    (a link is always kept), its text cut where it would crowd out the rest.
    """
    files = sum(len(a.data or "") for a in message.attachments)
    if files > room // 2:
        notes = ", ".join(f"[{a.type} attached earlier]" for a in message.attachments if a.data)
        kept = tuple(a for a in message.attachments if a.url)
        message = replace(message, attachments=kept, text=f"{message.text}\n{notes}")
    limit = room // TEXT_SHARE
    text = message.text.encode()
    return message if len(text) <= limit else replace(message, text=text[:limit].decode(errors="ignore"))


def last_said(history: Sequence[Message]) -> str:
    """By the user, in the last exchange."""
    return next((message.text for message in reversed(history) if message.role == "user"), "")


def recalled(history: Sequence[Message], turns: int, room: int, accepts: Sequence[str]) -> tuple[Message, ...]:
    """
    The last *turns* exchanges that fit into *room* bytes, oldest first, starting with the user; attachments that the
    model does not accept become a note.
    """
    recent = history[-2 * turns :] if turns else ()
    if recent and recent[0].role == "user" and _plain(recent) and _at_most(recent) <= room:
        return tuple(recent)  # as nearly always
    kept: list[Message] = []
    used = 0
    for message in reversed(recent):
        used += size(message)
        if used > room:
            break
        kept.append(_readable(message, accepts))
    while kept and kept[-1].role != "user":
        kept.pop()
    return tuple(reversed(kept))


def _plain(history: Sequence[Message]) -> bool:
    return not any(message.attachments for message in history)


def _at_most(history: Sequence[Message]) -> int:
    """Bytes that texts may take in UTF-8, at four a character, without encoding them."""
    return sum(len(message.text) for message in history) * 4 + OVERHEAD * len(history)


def halved(history: Sequence[Message]) -> tuple[Message, ...]:
    """The later half, starting with the user, for a model whose context does not hold it all; at the end, nothing."""
    kept = list(history[(len(history) + 1) // 2 :])
    while kept and kept[0].role != "user":
        kept.pop(0)
    return tuple(kept)


def _readable(message: Message, accepts: Sequence[str]) -> Message:
    missing = [a for a in message.attachments if a.type not in accepts]
    if not missing:
        return message
    notes = ", ".join(f"[{a.type} attached earlier]" for a in missing)
    kept = tuple(a for a in message.attachments if a.type in accepts)
    return replace(message, attachments=kept, text=f"{message.text}\n{notes}")

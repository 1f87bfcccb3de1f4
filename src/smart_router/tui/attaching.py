"""Files and links that go along with a message, as people name them."""

import re
from collections.abc import Iterator
from pathlib import Path

from smart_router.client import Attachment, BadInput
from smart_router.client.attachment import KINDS, MEDIA_TYPES
from smart_router.tui.plain import one_line
from smart_router.tui.turns import Attached

MOST = 8  # files of one message
MOST_OFFERED = 50
_LINK = re.compile(r"(?:(image|audio|video)\s+)?(https?://\S+)", re.IGNORECASE)


def attached(named: str) -> Attached:
    """
    What *named* stands for: a path as one types it or drags it into a terminal, or a link, with its kind before it
    where its ending does not say it.

    Raises:
        BadInput: there is no such file, or it cannot be sent.
    """
    if link := _LINK.fullmatch(named.strip()):
        return _link(link[2], (link[1] or _kind(link[2])).lower())
    try:
        path = file_named(named)
    except RuntimeError as exc:  # ~nobody
        raise BadInput(f"{one_line(named)}: {exc}; name an existing file") from None
    if not path.is_file():
        raise BadInput(f"{path}: {'is a folder' if path.is_dir() else 'there is no such file'}; name an existing file")
    if not can_be_attached(path):
        raise BadInput(f"{path}: is no image, recording or film by its ending; those end in {', '.join(MEDIA_TYPES)}")
    attachment = Attachment.from_file(path)
    return Attached(f"{one_line(path.name)} ({attachment.type}, {size(path.stat().st_size)})", attachment)


def file_named(named: str) -> Path:
    """Without the quotes or backslashes that terminals put around a file that is dragged into them."""
    named = named.strip().removeprefix("file://")
    if len(named) > 1 and named[0] == named[-1] and named[0] in "'\"":
        return Path(named[1:-1]).expanduser()
    path = Path(named).expanduser()
    return path if path.exists() else Path(re.sub(r"\\(.)", r"\1", named)).expanduser()


def paths(begun: str) -> list[str]:
    """Folders, and files that can be attached, whose path begins so; the way that it was typed."""
    folder, _, name = begun.rpartition("/")
    shown = f"{folder}/" if "/" in begun else ""
    try:
        entries = sorted(Path(shown or ".").expanduser().iterdir())
    except (OSError, RuntimeError):  # no such folder, or nobody's home
        return []
    offered = (entry for entry in entries if entry.name.startswith(name) and (name or not entry.name.startswith(".")))
    return [shown + found for found in _attachable(offered)][:MOST_OFFERED]


def size(count: int) -> str:
    """12 kB"""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB"


def can_be_attached(path: Path) -> bool:
    return path.suffix.lower().removeprefix(".") in MEDIA_TYPES


def _attachable(entries: Iterator[Path]) -> Iterator[str]:
    for entry in entries:
        if entry.is_dir():
            yield f"{entry.name}/"
        elif can_be_attached(entry):
            yield entry.name


def _link(url: str, kind: str) -> Attached:
    return Attached(f"{one_line(url, 60)} ({kind})", Attachment.from_url(url, kind))


def _kind(url: str) -> str:
    ending = re.sub(r"[?#].*", "", url).rpartition(".")[2].lower()
    if ending not in MEDIA_TYPES:
        raise BadInput(f"{one_line(url, 60)}: say what it is, {', '.join(KINDS)}: /attach image {one_line(url, 60)}")
    return MEDIA_TYPES[ending].partition("/")[0]

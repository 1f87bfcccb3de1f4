"""Files that go along with a query."""

import base64
import re
from os import PathLike
from pathlib import Path

from msgspec import Struct

from smart_router.client.errors import BadInput

MOST_BYTES = 24_000_000  # of a file: in base64 it just fits into the 32 MiB that a router takes by default
KINDS = ("image", "audio", "video")

# By ending; a table of our own, as the system's differ from machine to machine.
MEDIA_TYPES = {
    "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "gif": "image/gif", "webp": "image/webp",
    "bmp": "image/bmp", "tif": "image/tiff", "tiff": "image/tiff", "avif": "image/avif", "heic": "image/heic",
    "wav": "audio/wav", "mp3": "audio/mpeg", "flac": "audio/flac", "ogg": "audio/ogg", "oga": "audio/ogg",
    "opus": "audio/ogg", "m4a": "audio/mp4", "aac": "audio/aac", "weba": "audio/webm",
    "mp4": "video/mp4", "m4v": "video/mp4", "webm": "video/webm", "mov": "video/quicktime", "mkv": "video/x-matroska",
    "avi": "video/x-msvideo", "mpeg": "video/mpeg", "mpg": "video/mpeg",
}  # fmt: skip
_MEDIA_TYPE = re.compile(r"(image|audio|video)/[A-Za-z0-9.+-]{1,90}")


class Attachment(Struct, frozen=True, omit_defaults=True):
    """
    An image, a recording or a film: a link to it, or its bytes in base64. Made by `from_file`, `from_bytes` or
    `from_url`.
    """

    type: str
    url: str | None = None
    data: str | None = None
    media_type: str | None = None

    @classmethod
    def from_file(
        cls, path: str | PathLike[str], *, media_type: str | None = None, most_bytes: int = MOST_BYTES
    ) -> "Attachment":
        """
        A file's bytes.

        Args:
            path: where it is.
            media_type: such as `image/png`; by default what its ending says.
            most_bytes: a larger file is refused before it is read.

        Raises:
            BadInput: it cannot be read, is empty or too large, or is no image, recording or film.
        """
        file = Path(path)
        media_type = media_type or MEDIA_TYPES.get(file.suffix.lower().removeprefix("."))
        if media_type is None:
            known = ", ".join(MEDIA_TYPES)
            raise BadInput(f"{file}: is no image, recording or film by its ending; give media_type, or one of {known}")
        try:
            size = file.stat().st_size
            if size > most_bytes:
                raise BadInput(f"{file}: has {size} bytes, at most {most_bytes} can be sent; shrink it, or send a link")
            return _of(str(file), file.read_bytes(), media_type)
        except OSError as exc:
            raise BadInput(f"{file}: cannot be read: {exc.strerror or exc}") from exc

    @classmethod
    def from_bytes(cls, data: bytes, media_type: str) -> "Attachment":
        """
        Bytes that are at hand.

        Raises:
            BadInput: there are none, or *media_type* is not that of an image, a recording or a film.
        """
        return _of("data", data, media_type)

    @classmethod
    def from_url(cls, url: str, type: str) -> "Attachment":
        """
        A link, which the model server fetches.

        Args:
            url: of `http://` or `https://`, reachable from there.
            type: `image`, `audio` or `video`.

        Raises:
            BadInput: one of them is something else.
        """
        if type not in KINDS:
            raise BadInput(f"type: {type!r} cannot be attached; it can be {', '.join(KINDS)}")
        if not re.match(r"(https?://[^\s/]|data:)", url):
            raise BadInput(f"url: {url[:100]!r} is no http:// or https:// address; a file is attached by from_file")
        return cls(type, url=url)


def _of(place: str, data: bytes, media_type: str) -> Attachment:
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise BadInput(f"media_type: {media_type!r} cannot be attached; it begins with image/, audio/ or video/")
    if not data:
        raise BadInput(f"{place}: is empty; attach a file with something in it")
    return Attachment(media_type.partition("/")[0], data=base64.b64encode(data).decode(), media_type=media_type)

"""Pictures, sounds and videos as they come in: looked at as far as one can without a decoder."""

import base64
import binascii
import io
import math
import wave
from dataclasses import dataclass

from smart_router.simulate.errors import Refused

_IMAGES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_SOUNDS = (b"ID3", b"fLaC", b"OggS", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\xff\xf1", b"\xff\xf9", b"\x1aE\xdf\xa3")
_GUESSED_BYTES_PER_S = 16_000  # of compressed sound, whose length only a decoder knows


@dataclass(frozen=True, slots=True)
class Sound:
    size: int  # bytes
    duration_s: float
    exact: bool  # False: the duration is a guess from the size

    @property
    def seconds(self) -> int:
        return math.ceil(self.duration_s)

    def __str__(self) -> str:
        length = f"{self.duration_s:.1f} s" if self.exact else f"about {self.seconds} s"
        return f"{self.size} bytes, {length} of sound"


def check_image(url: str) -> None:
    """
    Raises:
        Refused: a local file, or data that is no picture. An address on the web is taken on trust, not fetched.
    """
    data = _data_of(url)
    if data is not None and not (data.startswith(_IMAGES) or data[8:12] == b"WEBP"):
        raise Refused("Failed to load image: cannot identify image file")


def check_location(url: str) -> None:
    """The same for what cannot be recognised by its first bytes."""
    _data_of(url)


def decode(data: str) -> bytes:
    """
    Raises:
        Refused: not base64.
    """
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise Refused(str(exc)) from exc


def listen(data: bytes) -> Sound:
    """
    Raises:
        Refused: no sound file.
    """
    try:
        with wave.open(io.BytesIO(data)) as file:
            return Sound(len(data), file.getnframes() / file.getframerate(), exact=True)
    except (wave.Error, EOFError, ZeroDivisionError) as exc:
        if data.startswith((*_SOUNDS, b"RIFF")) or data[4:8] == b"ftyp":
            return Sound(len(data), max(1.0, len(data) / _GUESSED_BYTES_PER_S), exact=False)
        message = (
            "Invalid or corrupted audio data. Ensure the input is a valid audio or video file "
            "(e.g. a complete WAV, MP3, or MP4)."
        )
        raise Refused(message) from exc


def _data_of(url: str) -> bytes | None:
    scheme = url.partition(":")[0].lower()
    if scheme == "data":
        return decode(url.partition(",")[2])
    if scheme == "file":
        message = "Cannot load local files without `--allowed-local-media-path`."
        raise Refused(message, 500, type="InternalServerError")
    if scheme not in ("http", "https"):
        raise Refused("The URL must be either a HTTP, data or file URL.")
    return None

"""Small files for the demo, made on the spot: a picture and a recording."""

import io
import math
import struct
import wave
import zlib
from collections.abc import Callable

from smart_router.types import MediaKind


def picture(side: int = 64) -> tuple[bytes, str]:
    """A PNG, a red frame around white, and its media type."""
    red, white = b"\xd0\x20\x20", b"\xff\xff\xff"
    edge = b"\0" + red * side
    inside = b"\0" + red * 4 + white * (side - 8) + red * 4
    rows = edge * 4 + inside * (side - 8) + edge * 4
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks), "image/png"


def recording(seconds: float = 1.0, rate: int = 16_000) -> tuple[bytes, str]:
    """A WAV, one tone of 440 Hz, and its media type."""
    samples = (int(8000 * math.sin(2 * math.pi * 440 * i / rate)) for i in range(int(seconds * rate)))
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return file.getvalue(), "audio/wav"


SAMPLES: dict[MediaKind, Callable[[], tuple[bytes, str]]] = {"image": picture, "audio": recording}


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

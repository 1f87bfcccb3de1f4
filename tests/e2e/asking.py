"""Requests and streams, in few words."""

import base64
import json
import struct
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PYTHON = "Write a Python function to sort a list"
FOLLOW_UP = "Add error handling to that function"
PICTURE = "What is in this picture?"


def a_session() -> str:
    """An id that no other test uses."""
    return f"s-{uuid.uuid4().hex}"


def a_png() -> str:
    """A picture of one black dot, in base64."""
    header = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(b"\0\0")) + _chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + chunks).decode()


def a_wav() -> str:
    """A hundredth of a second of silence, in base64."""
    samples = bytes(320)
    form = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    riff = b"WAVEfmt " + form + b"data" + struct.pack("<I", len(samples)) + samples
    return base64.b64encode(b"RIFF" + struct.pack("<I", len(riff)) + riff).decode()


def an_image(**changed: Any) -> dict[str, Any]:
    return {"type": "image", "data": a_png(), "media_type": "image/png"} | changed


@dataclass(frozen=True)
class Event:
    name: str  # "message" where the stream gives none
    data: Any


def read_events(lines: Iterable[str]) -> list[Event]:
    """The events of a server-sent stream, whose data must be JSON."""
    events, name, data = [], "message", []
    for line in lines:
        if line.startswith("event:"):
            name = line[6:].strip()
        elif line.startswith("data:"):
            data.append(line[5:].strip())
        elif not line and data:
            events.append(Event(name, json.loads("\n".join(data))))
            name, data = "message", []
    assert not data, "the stream ends inside an event"
    return events


def names(events: Iterable[Event]) -> list[str]:
    return [event.name for event in events]


def joined(events: Iterable[Event]) -> str:
    return "".join(event.data["delta"] for event in events if event.name == "message")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

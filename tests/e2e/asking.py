"""Requests and streams, in few words."""

import base64
import json
import struct
import uuid
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PYTHON = "Write a Python function to sort a list"
FOLLOW_UP = "Add error handling to that function"
PICTURE = "What is in this picture?"
ALOUD = "Read this text aloud in a warm female voice: good evening"

CHAT = "/v1/chat/completions"
DONE = "[DONE]"


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
    return base64.b64encode(a_sound()).decode()


def a_sound(size: int = 320) -> bytes:
    """A WAV file of silence; *size* bytes of samples."""
    samples = bytes(size)
    form = struct.pack("<IHHIIHH", 16, 1, 1, 16_000, 32_000, 2, 16)
    riff = b"WAVEfmt " + form + b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(riff)) + riff


def an_image(**changed: Any) -> dict[str, Any]:
    return {"type": "image", "data": a_png(), "media_type": "image/png"} | changed


def saying(said: str | Sequence[Mapping[str, Any]] = PYTHON, *, model: str | None = "auto", **fields: Any) -> Any:
    """A chat request: a text of the user, or whole messages. Without a model when it is None."""
    messages = [{"role": "user", "content": said}] if isinstance(said, str) else list(said)
    return ({} if model is None else {"model": model}) | {"messages": messages} | fields


def user(*content: Any) -> dict[str, Any]:
    """A message of the user: one text, or parts."""
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def assistant(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def a_picture(url: str | None = None) -> dict[str, Any]:
    """A part of a chat message."""
    return {"type": "image_url", "image_url": {"url": url or f"data:image/png;base64,{a_png()}"}}


def a_text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def data_of(stream: bytes) -> list[Any]:
    """The data of every event of an OpenAI-style stream, which must be complete; JSON but for `[DONE]`."""
    assert stream.endswith((b"\n\n", b"\r\n\r\n")), stream[-200:]
    lines = [line for line in stream.decode().splitlines() if line.startswith("data:")]
    told = [line.removeprefix("data:").strip() for line in lines]
    return [data if data == DONE else json.loads(data) for data in told]


def read_named(stream: bytes) -> list[tuple[str, Any]]:
    """Name (empty where it has none) and data of every event; JSON but for `[DONE]`."""
    told = []
    for event in stream.decode().replace("\r\n", "\n").split("\n\n")[:-1]:
        if not event.strip():
            continue
        fields = dict(line.split(": ", 1) for line in event.strip().split("\n"))
        told.append((fields.get("event", ""), fields["data"] if fields["data"] == DONE else json.loads(fields["data"])))
    return told


def content_of(stream: bytes) -> str:
    """The text of the first choice of a chat stream."""
    deltas = [data["choices"][0]["delta"] for data in data_of(stream) if data != DONE and data.get("choices")]
    return "".join(delta.get("content") or "" for delta in deltas)


def timeless(told: Any) -> Any:
    """*told* without what differs between two answers to the same request: numbers and times."""
    if isinstance(told, dict):
        differing = {"id", "item_id", "created", "created_at"}
        return {name: timeless(value) for name, value in told.items() if name not in differing}
    return [timeless(value) for value in told] if isinstance(told, list) else told


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

"""Answers that arrive as server-sent events, from either door, read to the end."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from loadtests.asking import Unexpected
from smart_router.decide import sse

LINE_END = b"\n"


@dataclass
class Heard:
    """What a stream has said so far; *record* is the router's decision, where the stream tells it."""

    text: str = ""
    record: dict[str, Any] = field(default_factory=dict)
    complete: bool = False


def read(lines: Iterator[bytes], on_first: Callable[[], None]) -> Heard:
    """
    Read *lines* to the end; *on_first* is called with the first word of the answer.

    Raises:
        Unexpected: the stream says that it failed, or ends before its end.
    """
    parser, heard = sse.Parser(), Heard()
    for line in lines:
        for event in parser.feed(line):
            before = heard.text
            _take(event, heard)
            if heard.text and not before:
                on_first()
    if not heard.complete:
        raise Unexpected("the stream broke off")
    return heard


def _take(event: sse.Event, heard: Heard) -> None:
    if event.data == "[DONE]":
        heard.complete = True
        return
    data = json.loads(event.data)
    if event.event == "error" or "error" in data:
        raise Unexpected(f"the stream says: {event.data[:200]}")
    if event.event == "message":
        heard.text += _word(data)
    else:  # our own stream begins with `route` and ends with `done`
        heard.record = data
        heard.complete = event.event == "done"


def _word(data: dict[str, Any]) -> str:
    """Of our own events or of OpenAI's chunks, whose last one may have no choices."""
    if "delta" in data:
        return str(data["delta"])
    choices = data.get("choices") or [{}]
    return str(choices[0].get("delta", {}).get("content") or "")

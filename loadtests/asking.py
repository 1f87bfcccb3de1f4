"""The two doors of a router that conversations go through: what is sent, and what its answer says of the decision."""

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from loadtests.conversations import Turn
from smart_router.cli import media
from smart_router.types import MediaKind

ROUTE, CHAT = "/route", "/v1/chat/completions"
_ROUTING = re.compile(r"routing;dur=([0-9.]+)")


class Unexpected(Exception):
    """An answer without what the contract promises."""


@dataclass(frozen=True)
class Decided:
    """What the router said of its decision."""

    use_case: str
    bypassed: bool
    routing_ms: float


@dataclass(frozen=True)
class Said:
    """A turn that was answered, and the answer."""

    turn: Turn
    answer: str


class Door(Protocol):
    path: str

    def body(
        self, turn: Turn, past: Sequence[Said], session: str | None, stream: bool, tokens: int
    ) -> dict[str, Any]: ...

    def decided(self, headers: Mapping[str, str], record: Mapping[str, Any]) -> Decided: ...

    def text(self, record: Mapping[str, Any]) -> str: ...


class Route:
    """`POST /route`: the router remembers the conversation."""

    path = ROUTE

    def body(self, turn: Turn, past: Sequence[Said], session: str | None, stream: bool, tokens: int) -> dict[str, Any]:
        body: dict[str, Any] = {"query": turn.say, "max_tokens": tokens, "stream": stream}
        if session:
            body["session_id"] = session
        if turn.attach:
            data, media_type = _file(turn.attach)
            body["attachments"] = [{"type": turn.attach, "data": data, "media_type": media_type}]
        return body | ({"modality": turn.modality} if turn.modality else {})

    def decided(self, headers: Mapping[str, str], record: Mapping[str, Any]) -> Decided:
        try:
            return Decided(record["use_case"], record["bypass_used"], record["routing_time"] * 1000)
        except KeyError as exc:
            raise Unexpected(f"an answer of {ROUTE} has no field {exc}") from None

    def text(self, record: Mapping[str, Any]) -> str:
        return str(record["result"])


class Chat:
    """`POST /v1/chat/completions`: the client sends the conversation, and files while it is still about them."""

    path = CHAT

    def body(self, turn: Turn, past: Sequence[Said], session: str | None, stream: bool, tokens: int) -> dict[str, Any]:
        messages: list[dict[str, Any]] = []
        for said in past:
            messages.append({"role": "user", "content": _content(said.turn, said.turn.about == turn.about)})
            messages.append({"role": "assistant", "content": said.answer})
        messages.append({"role": "user", "content": _content(turn, True)})
        return {"model": "auto", "messages": messages, "max_tokens": tokens, "stream": stream}

    def decided(self, headers: Mapping[str, str], record: Mapping[str, Any]) -> Decided:
        routing = _ROUTING.search(headers.get("server-timing", ""))
        use_case, bypass = headers.get("x-route-use-case"), headers.get("x-route-bypass")
        if not (routing and use_case and bypass):
            raise Unexpected(f"an answer of {CHAT} lacks Server-Timing, X-Route-Use-Case or X-Route-Bypass")
        return Decided(use_case, bypass == "true", float(routing[1]))

    def text(self, record: Mapping[str, Any]) -> str:
        return str(record["choices"][0]["message"]["content"])


DOORS: tuple[Door, ...] = (Route(), Chat())


def _content(turn: Turn, with_file: bool) -> str | list[dict[str, Any]]:
    if turn.attach is None or not with_file:
        return turn.say
    data, media_type = _file(turn.attach)
    if turn.attach == "audio":
        part = {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}
    else:
        part = {"type": "image_url", "image_url": {"url": f"data:{media_type};base64,{data}"}}
    return [{"type": "text", "text": turn.say}, part]


@cache
def _file(kind: MediaKind) -> tuple[str, str]:
    """Base64 and media type."""
    data, media_type = media.SAMPLES[kind]()
    return base64.b64encode(data).decode(), media_type

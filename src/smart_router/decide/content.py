"""
Has a stream's content begun? Until then its headers are held back, so that another server can still take over.

Covers the streams of chat completions, completions, transcriptions, responses and messages as vLLM sends them; what
is not known counts as content and is passed on.
"""

import json
from dataclasses import dataclass
from typing import Any, Literal

from smart_router.decide.sse import Event

Kind = Literal["preamble", "content", "error", "end"]

# Events that only announce what follows.
_PREAMBLE = frozenset({
    "message_start", "content_block_start", "ping",
    "response.created", "response.queued", "response.in_progress", "response.output_item.added",
    "response.content_part.added", "response.reasoning_part.added", "response.reasoning_summary_part.added",
})  # fmt: skip
_ERRORS = frozenset({"error", "response.failed"})
_SAID = ("content", "reasoning_content", "reasoning", "tool_calls", "function_call", "refusal", "audio")


@dataclass(frozen=True, slots=True)
class Seen:
    """*status* is the HTTP status that an error names; *response_id* where the answer will be kept."""

    kind: Kind
    status: int | None = None
    response_id: str | None = None


def look_at(event: Event) -> Seen:
    """What one event of a stream says of its beginning."""
    if event.data == "[DONE]":
        return Seen("end")
    try:
        data = json.loads(event.data)
    except (ValueError, RecursionError):
        return Seen("content")
    if not isinstance(data, dict):
        return Seen("content")
    named = data.get("type") or event.event
    kind = named if isinstance(named, str) else ""
    if kind in _ERRORS or data.get("error") or data.get("object") == "error":
        return Seen("error", _status(data))
    return Seen("preamble" if _only_announces(data, kind) else "content", response_id=_response_id(data))


def _only_announces(data: dict[str, Any], kind: str) -> bool:
    choices = data.get("choices")
    if isinstance(choices, list):
        return not any(isinstance(choice, dict) and _says_something(choice) for choice in choices)
    return kind in _PREAMBLE


def _says_something(choice: dict[str, Any]) -> bool:
    if choice.get("text") or choice.get("finish_reason"):
        return True
    delta = choice.get("delta")
    return isinstance(delta, dict) and any(delta.get(name) for name in _SAID)


def _status(data: dict[str, Any]) -> int | None:
    error = data.get("error")
    code = error.get("code") if isinstance(error, dict) else data.get("code")
    return code if isinstance(code, int) and 400 <= code < 600 else None


def _response_id(data: dict[str, Any]) -> str | None:
    response = data.get("response")
    found = response.get("id") if isinstance(response, dict) else None
    return found if isinstance(found, str) else None

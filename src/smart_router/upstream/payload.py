"""Between our nouns and the OpenAI-style bodies that vLLM speaks, per API: chat, transcriptions, speech."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smart_router.errors import BackendBroke, BadRequest
from smart_router.types import Attachment, Message, Usage
from smart_router.upstream.base import Call, Piece

DEFAULT_VOICE = "default"


@dataclass(frozen=True, slots=True)
class File:
    name: str
    data: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Request:
    """What to send: *json*, or a *form* with a *file*. *whole*: this API does not stream."""

    path: str
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = None
    file: File | None = None
    whole: bool = False


def request_for(call: Call) -> Request:
    """
    Raises:
        BadRequest: the model's API needs something that the caller did not send.
    """
    return {"chat": _chat, "transcriptions": _transcription, "speech": _speech}[call.model.api](call)


def piece_from(api: str, body: bytes, media_type: str) -> Piece:
    """
    The answer in *body*.

    Raises:
        BackendBroke: it is not what the API answers.
    """
    if api == "speech":
        return Piece(f"data:{media_type};base64,{base64.b64encode(body).decode()}", Usage(), "stop")
    answer = _object(body)
    try:
        if api == "transcriptions":
            return Piece(answer["text"], _usage(answer.get("usage")), "stop")
        choice = answer["choices"][0]
        return Piece(choice["message"]["content"] or "", _usage(answer.get("usage")), choice.get("finish_reason"))
    except (KeyError, IndexError, TypeError) as exc:
        raise BackendBroke("the model server's answer lacks what was asked for") from exc


def piece_of_stream(data: str) -> Piece:
    """
    One event of a stream.

    Raises:
        BackendBroke: it is an error, or not what a stream carries.
    """
    event = _object(data.encode())
    if "error" in event:
        raise BackendBroke("the model server reported an error in mid-stream")
    try:
        usage = _usage(event["usage"]) if event.get("usage") else None
        if not event["choices"]:
            return Piece(usage=usage)
        choice = event["choices"][0]
        return Piece(choice["delta"].get("content") or "", usage, choice.get("finish_reason"))
    except (KeyError, IndexError, TypeError, AttributeError) as exc:
        raise BackendBroke("the model server's stream carries something unknown") from exc


def error_message(body: bytes) -> str:
    """What a refusal says, "" where that cannot be read; at most 500 characters."""
    try:
        answer = _object(body)
    except BackendBroke:
        return ""
    error = answer.get("error", answer)
    message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    return str(message)[:500] if message else ""


def _chat(call: Call) -> Request:
    ask = call.ask
    messages = [*call.history, Message("user", ask.query, ask.attachments)]
    body: dict[str, Any] = {
        "model": call.model.served_name,
        "messages": [{"role": message.role, "content": _content(message)} for message in messages],
        "max_tokens": ask.max_tokens,
        "temperature": ask.temperature,
    }
    if call.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return Request("/v1/chat/completions", body)


def _content(message: Message) -> str | list[dict[str, Any]]:
    if not message.attachments:
        return message.text
    parts = [_part(attachment) for attachment in message.attachments]
    return [*parts, {"type": "text", "text": message.text}]


def _part(attachment: Attachment) -> dict[str, Any]:
    kind = f"{attachment.type}_url"
    return {"type": kind, kind: {"url": attachment.location}}


def _transcription(call: Call) -> Request:
    ask = call.ask
    audio = next((a for a in ask.attachments if a.type in ("audio", "video") and a.data), None)
    if audio is None:
        raise BadRequest("this model transcribes recordings: attach one as base64 `data` with type audio")
    form = {"model": call.model.served_name, "temperature": str(ask.temperature), "response_format": "json"}
    form["max_completion_tokens"] = str(ask.max_tokens)
    if isinstance(language := ask.context.get("language"), str):
        form["language"] = language.split("-")[0]
    if call.stream:
        form |= {"stream": "true", "stream_include_usage": "true"}
    return Request("/v1/audio/transcriptions", form=form, file=_file(audio))


def _file(attachment: Attachment) -> File:
    assert attachment.data is not None
    try:
        data = base64.b64decode(attachment.data, validate=True)
    except binascii.Error as exc:
        raise BadRequest("attachments: data is not base64") from exc
    media_type = attachment.media_type or f"{attachment.type}/*"
    return File(f"recording.{media_type.partition('/')[2].removeprefix('x-')}", data, media_type)


def _speech(call: Call) -> Request:
    voice = call.ask.context.get("voice", DEFAULT_VOICE)
    body = {"model": call.model.served_name, "input": call.ask.query, "voice": voice, "response_format": "wav"}
    return Request("/v1/audio/speech", body, whole=True)


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except ValueError as exc:
        raise BackendBroke("the model server's answer is not JSON") from exc
    if not isinstance(answer, dict):
        raise BackendBroke("the model server's answer is not a JSON object")
    return answer


def _usage(usage: Any) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    return Usage(int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0))

"""Between our nouns and OpenAI-style bodies, as vLLM has extended them, per API: chat, transcriptions, speech."""

import base64
import binascii
import re
import uuid
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from smart_router.errors import BackendBroke, BackendRejected, BadRequest, ContextOverflow
from smart_router.types import Attachment, Message, Usage
from smart_router.upstream.base import REFUSED, Call, Piece
from smart_router.upstream.passing import bounded

DEFAULT_VOICE = "default"
MOST_OF_A_MESSAGE = 500
_TOO_LONG = re.compile(r"context (?:length|size|window)|max_model_len|input tokens|too long", re.IGNORECASE)
_NO_MODEL = re.compile(
    r"(?:\W*\b(?:the|this|requested|error))*\W*\bmodel\b.*\b(?:not found|not exist)", re.I | re.DOTALL
)
_QUOTES = re.compile(r"[`'\"]")

_T = TypeVar("_T")
_encode = msgspec.json.Encoder().encode


class File(Struct, frozen=True):
    name: str
    data: bytes
    media_type: str


class Request(Struct, frozen=True):
    """What to send. *whole*: this API does not stream."""

    path: bytes
    body: bytes
    content_type: bytes = b"application/json"
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
    if api == "transcriptions":
        transcript = _decoded(body, _Transcript)
        return Piece(transcript.text, _usage(transcript.usage), "stop")
    answer = _decoded(body, _Answer)
    choice = answer.choices[0] if answer.choices else _Choice()
    if choice.message is None:
        raise BackendBroke("the model server's answer lacks what was asked for")
    return Piece(choice.message.content or "", _usage(answer.usage), choice.finish_reason)


def says_that_it_sleeps(body: bytes) -> bool:
    """An answer of `/is_sleeping`; what cannot be read says nothing."""
    try:
        return msgspec.json.decode(body, type=_Sleeping).is_sleeping
    except msgspec.MsgspecError:
        return False


def piece_of_stream(data: str) -> Piece:
    """
    One event of a stream.

    Raises:
        BackendBroke: it is an error, or not what a stream carries.
    """
    event = _decoded(data.encode(), _Answer)
    if event.error is not msgspec.UNSET:
        raise BackendBroke("the model server reported an error in mid-stream")
    usage = _usage(event.usage) if event.usage else None
    choice = event.choices[0] if event.choices else _Choice()
    return Piece((choice.delta.content if choice.delta else None) or "", usage, choice.finish_reason)


def rejection(body: bytes, status: int) -> BackendRejected:
    """What a refusal says, in at most 500 characters, and whether less of a conversation might help."""
    message = _error_message(body)[:MOST_OF_A_MESSAGE] or REFUSED
    kind = ContextOverflow if _TOO_LONG.search(message) else BackendRejected
    return kind(message, status=status)


def lacks_the_model(body: bytes, name: str) -> bool:
    """
    A 404 that is about the model *name*, as vLLM ("The model `x` does not exist."), Ollama ("model 'x' not found") and
    OpenAI (code model_not_found) say it; others are about a path, what is stored, or what else a client has named: that
    it can do so must not have the model counted as missing.
    """
    message = _error_message(body)[:MOST_OF_A_MESSAGE]
    if _NO_MODEL.match(message) is None and b'"model_not_found"' not in body:
        return False
    of_it = re.search(rf"(?<![\w./:-]){re.escape(name)}(?![\w/-])", message, re.IGNORECASE)
    return of_it is not None or _QUOTES.search(message) is None


def names_in(body: bytes) -> frozenset[str]:
    """
    The ids of a list of models.

    Raises:
        BackendBroke: it is none.
    """
    return frozenset(model.id for model in _decoded(body, _Models).data)


def _error_message(body: bytes) -> str:
    try:
        answer = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return ""
    error = answer.get("error", answer) if isinstance(answer, dict) else None
    message = (error.get("message") or error.get("detail")) if isinstance(error, dict) else error
    return str(message or "")


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
    return Request(b"/v1/chat/completions", _encode(body))


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
    audio = _recording(call)
    if audio is None:
        raise BadRequest("this model transcribes recordings: attach one as base64 `data` with type audio")
    form = {"model": call.model.served_name, "temperature": str(ask.temperature), "response_format": "json"}
    form["max_completion_tokens"] = str(ask.max_tokens)
    if isinstance(language := ask.context.get("language"), str):
        form["language"] = language.split("-")[0]
    if call.stream:
        form |= {"stream": "true", "stream_include_usage": "true"}
    body, content_type = _multipart(form, _file(audio))
    return Request(b"/v1/audio/transcriptions", body, content_type)


def _recording(call: Call) -> Attachment | None:
    """What is attached to this turn, else the last one remembered: "and what was that again?"."""
    turns = [call.ask.attachments, *(message.attachments for message in reversed(call.history))]
    return next((a for attached in turns for a in attached if a.type in ("audio", "video") and a.data), None)


def _file(attachment: Attachment) -> File:
    assert attachment.data is not None
    try:
        data = base64.b64decode(attachment.data, validate=True)
    except binascii.Error as exc:
        raise BadRequest("attachments: data is not base64") from exc
    media_type = attachment.media_type or f"{attachment.type}/*"
    return File(f"recording.{media_type.partition('/')[2].removeprefix('x-')}", data, media_type)


def _multipart(form: Mapping[str, str], file: File) -> tuple[bytes, bytes]:
    """A multipart/form-data body (RFC 7578) and its content type."""
    boundary = uuid.uuid4().hex
    parts = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in form.items()]
    head = f'name="file"; filename="{file.name}"\r\nContent-Type: {file.media_type}\r\n\r\n'
    parts.append(head.encode() + file.data)
    begin = f"--{boundary}\r\nContent-Disposition: form-data; ".encode()
    body = b"".join(begin + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}".encode()


def _speech(call: Call) -> Request:
    voice = call.ask.context.get("voice", DEFAULT_VOICE)
    body = {"model": call.model.served_name, "input": call.ask.query, "voice": voice, "response_format": "wav"}
    return Request(b"/v1/audio/speech", _encode(body), whole=True)


def _decoded(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as exc:
        raise BackendBroke("the model server's answer cannot be read") from exc


def _usage(usage: "_Usage | None") -> Usage:
    if usage is None:
        return Usage()
    return Usage(bounded(usage.prompt_tokens or 0), bounded(usage.completion_tokens or 0))


class _Usage(Struct):
    """Of a transcription it may hold seconds instead."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Said(Struct):
    content: str | None = None


class _Choice(Struct):
    message: _Said | None = None
    delta: _Said | None = None
    finish_reason: str | None = None


class _Answer(Struct):
    """A chat completion, or one event of a stream of them."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Listed(Struct):
    id: str


class _Models(Struct):
    data: list[_Listed]


class _Sleeping(Struct):
    is_sleeping: bool = False


class _Transcript(Struct):
    text: str
    usage: _Usage | None = None

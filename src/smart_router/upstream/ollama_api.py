"""
Ollama's own API, as far as it is needed beside `/v1`: https://docs.ollama.com/api

    GET  /api/version   it is there
    GET  /api/tags      the models it has
    GET  /api/ps        those in memory, each with the context it was loaded with
    POST /api/show      what a model is: parameters of its Modelfile, what it was trained for
    POST /api/generate  without a prompt: loads a model, or with `keep_alive: 0` lets go of it
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Raw, Struct

from smart_router.errors import BackendBroke

VERSION, TAGS, PS, SHOW, GENERATE = b"/api/version", b"/api/tags", b"/api/ps", b"/api/show", b"/api/generate"
FOR_EVER = -1  # keep_alive: until it is let go of
MOST_OF_A_MESSAGE = 300

_T = TypeVar("_T")
_TRAINED = ".context_length"  # after the architecture's name
_PARAMETER = re.compile(r"^(num_ctx|num_keep)\s+(\d{1,9})\s*$", re.MULTILINE)


class Nature(Struct, frozen=True):
    """What a model brings along; None where it does not say. Tokens."""

    num_ctx: int | None = None
    num_keep: int | None = None
    trained: int | None = None


def same(name: str) -> str:
    """*name* as Ollama reads it: without a tag it is `latest`, and case does not matter."""
    name = name.lower()
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def pull(name: str) -> str:
    """What is to be done where *name* is missing."""
    return f"Ollama does not have {name}: run `ollama pull {name}` there, or correct served_as in the registry"


def names(tags: bytes) -> frozenset[str]:
    """
    Of the models that it has.

    Raises:
        BackendBroke: that is not what `/api/tags` says.
    """
    return frozenset(model.name for model in _read(tags, _Models).models)


def loaded(ps: bytes) -> Mapping[str, int]:
    """
    The models in memory, by name as `same` has it, each with its context in tokens; 0 where an old one does not say.

    Raises:
        BackendBroke: that is not what `/api/ps` says.
    """
    return {same(model.name): model.context_length for model in _read(ps, _Models).models}


def nature(show: bytes) -> Nature:
    """
    Raises:
        BackendBroke: that is not what `/api/show` says.
    """
    shown = _read(show, _Shown)
    parameters = {name: int(value) for name, value in _PARAMETER.findall(shown.parameters)}
    trained = next((v for k, v in shown.model_info.items() if k.endswith(_TRAINED) and isinstance(v, int)), None)
    return Nature(parameters.get("num_ctx"), parameters.get("num_keep"), trained)


def asking(name: str, **fields: object) -> bytes:
    """The body of a question about the model *name*."""
    return msgspec.json.encode({"model": name, **fields})


def limited(chat: bytes) -> bytes:
    """
    A body of `/v1/chat/completions`, with `max_tokens` where its client says `max_completion_tokens` alone: Ollama
    passes that over, and a limit that an operator's policy has seen would be none. Of a field that comes twice, the
    last counts.
    """
    try:
        limits = msgspec.json.decode(chat, type=_Limits)
    except (ValueError, RecursionError):
        return chat
    if not limits.max_completion_tokens or limits.max_tokens not in (_ABSENT, _NULL):
        return chat
    return chat[: chat.rindex(b"}")] + b',"max_tokens":' + bytes(limits.max_completion_tokens) + b"}"


def complaint(body: bytes) -> str:
    """What an error of this API says."""
    try:
        return msgspec.json.decode(body, type=_Complaint).error[:MOST_OF_A_MESSAGE]
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


class _Model(Struct):
    name: str
    context_length: int = 0


class _Models(Struct):
    models: list[_Model]


_ABSENT, _NULL = Raw(), Raw(b"null")


class _Limits(Struct):
    max_tokens: Raw = _ABSENT
    max_completion_tokens: Raw = _ABSENT


class _Shown(Struct):
    parameters: str = ""
    model_info: dict[str, object] = {}


class _Complaint(Struct):
    error: str


def _read(body: bytes, kind: type[_T]) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as exc:
        raise BackendBroke("Ollama's answer cannot be read") from exc

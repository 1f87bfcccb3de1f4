"""For the schema: the main fields of what is passed on, per path. Others are passed on too."""

from typing import Any

_TEXT: dict[str, Any] = {"type": "string"}
_MODEL = {"type": "string", "description": "`auto`, a use case, or a model"}
_STREAM = {"type": "boolean", "description": "Answer with server-sent events"}
_SESSION = {"type": "string", "description": "The session, if no X-Session-ID says it"}
_MESSAGES = {"type": "array", "items": {"type": "object", "properties": {"role": _TEXT, "content": {}}}}
_FILE = {"type": "string", "format": "binary"}
_CHAT = {"model": _MODEL, "messages": _MESSAGES, "stream": _STREAM, "session_id": _SESSION}

FIELDS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": _CHAT,
    "/api/chat": _CHAT,
    "/v1/completions": {"model": _MODEL, "prompt": {}, "stream": _STREAM, "session_id": _SESSION},
    "/v1/responses": {"model": _MODEL, "input": {}, "previous_response_id": _TEXT, "stream": _STREAM},
    "/v1/messages": {**_CHAT, "max_tokens": {"type": "integer"}},
    "/v1/messages/count_tokens": {"model": _MODEL, "messages": _MESSAGES},
    "/tokenize": {"model": _MODEL, "prompt": _TEXT, "messages": _MESSAGES},
    "/detokenize": {"model": _MODEL, "tokens": {"type": "array", "items": {"type": "integer"}}},
    "/v1/embeddings": {"model": _MODEL, "input": {}},
    "/v1/rerank": {"model": _MODEL, "query": _TEXT, "documents": {"type": "array", "items": _TEXT}},
    "/v1/score": {"model": _MODEL, "text_1": {}, "text_2": {}},
    "/v1/audio/speech": {"model": _MODEL, "input": _TEXT, "voice": _TEXT},
    "/v1/audio/transcriptions": {"model": _MODEL, "file": _FILE, "stream": _STREAM},
    "/v1/audio/translations": {"model": _MODEL, "file": _FILE},
}

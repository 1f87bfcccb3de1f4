"""
What a request says to the model: every text of a field, and every name that its client made up.

Names and labels that the APIs themselves give are not read, nor is what no text is: pictures and sounds, and what only
the server that wrote it can open. These stand in the parts of a message; elsewhere, as in the arguments of a tool or in
its description, the same names are a client's own, and what they hold is read.
"""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Literal

# Where in a field a value stands: a message, a part of its content, what holds a part's bytes, or anywhere else.
_Kind = Literal["message", "part", "holder", "other"]

_OF_MESSAGES = frozenset({
    "messages", "previous_input_messages", "input", "documents", "query", "queries", "items", "text_1", "text_2",
    "data_1", "data_2",
})  # fmt: skip
_OF_PARTS = frozenset({"system"})
_INNER: Mapping[_Kind, Mapping[str, _Kind]] = {
    "message": {"content": "part", "output": "part"},
    "part": {"content": "part", "source": "holder", "file": "holder"},
    "holder": {"content": "part"},
    "other": {},
}

# What a part that is no text may hold.
_BLOBS = frozenset({
    "image_url", "audio_url", "video_url", "input_audio", "image_embeds", "image_pil", "audio", "video", "file_data",
    "signature", "encrypted_content",
})  # fmt: skip
_TEXT_PARTS = ("text", "input_text", "output_text", "refusal", "tool_use", "function_call")
_SEALED = ("reasoning", "compaction")  # items of the Responses API that come back as they were

_LABELS = frozenset({
    # roles
    "user", "assistant", "system", "developer", "tool", "function", "critic", "discriminator", "latest_reminder",
    # parts of a message
    "text", "input_text", "output_text", "summary_text", "reasoning_text", "refusal", "thinking", "redacted_thinking",
    "image", "image_url", "input_image", "image_pil", "image_embeds", "audio", "audio_url", "input_audio",
    "audio_embeds", "video", "video_url", "input_video", "video_embeds", "prompt_embeds", "file", "input_file",
    "document", "base64", "url", "content", "search_result", "tool_use", "tool_result", "tool_reference",
    "tool_addition", "tool_removal", "tool_definition", "server_tool_use", "mcp_tool_use", "mcp_tool_result",
    "web_search_tool_result", "web_search_result", "ephemeral",
    # items of the Responses API
    "message", "reasoning", "compaction", "item_reference", "function_call", "function_call_output", "custom_tool_call",
    "custom_tool_call_output", "mcp_call", "web_search_call", "file_search_call", "computer_call",
    "computer_call_output", "computer_screenshot", "code_interpreter_call", "image_generation_call",
    # tools, and forms of an answer
    "custom", "mcp", "web_search", "web_search_preview", "code_interpreter", "container", "file_search", "auto", "any",
    "none", "required", "allowed_tools", "json_object", "json_schema", "grammar", "structural_tag",
    # how far a thing has come, and how much is wanted of it
    "completed", "incomplete", "in_progress", "original", "minimal", "low", "medium", "high", "xhigh", "max",
    # of JSON schemas
    "object", "string", "number", "integer", "boolean", "array", "null",
})  # fmt: skip
_NAMES = _BLOBS | _LABELS | frozenset({
    # of messages and their parts
    "role", "type", "content", "name", "id", "call_id", "tool_call_id", "tool_calls", "arguments", "index", "status",
    "reasoning_content", "annotations", "logprobs", "prefix", "partial", "task", "channel", "recipient", "author",
    "content_type", "phase", "uuid", "detail", "format", "data", "media_type", "source", "title", "context",
    "citations", "cache_control", "ttl", "tool_use_id", "tool_name", "is_error", "input", "output", "summary", "action",
    "file_id", "file_url", "filename", "enabled", "variables",
    # of tools, and forms of an answer
    "tools", "functions", "description", "parameters", "strict", "defer_loading", "input_schema", "schema",
    "definition", "mode", "effort", "verbosity",
    # of JSON schemas
    "properties", "patternProperties", "additionalProperties", "propertyNames", "minProperties", "maxProperties",
    "dependentRequired", "items", "prefixItems", "additionalItems", "unevaluatedItems", "unevaluatedProperties",
    "contains", "minItems", "maxItems", "uniqueItems", "enum", "const", "default", "examples", "example", "pattern",
    "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "anyOf",
    "oneOf", "allOf", "not", "if", "then", "else", "nullable", "deprecated", "readOnly", "writeOnly", "$ref", "$defs",
    "definitions", "$schema", "$id", "$comment",
})  # fmt: skip


_LABELLED = frozenset({"role", "type", "status", "detail", "effort", "verbosity"})
_MAY_SAY_NOTHING = _LABELLED | _BLOBS | {"data"}


def messages_of(field: str, value: Any) -> Iterator[str]:
    """One text per message of a *field*; what it consists of, line by line."""
    kind: _Kind = "message" if field in _OF_MESSAGES else "part" if field in _OF_PARTS else "other"
    for message in value if isinstance(value, list) and kind != "part" else [value]:
        if text := "\n".join(_texts(message, kind)):
            yield text


def _texts(value: Any, kind: _Kind) -> Iterator[str]:
    """All texts within *value*, in order; not recursive, as nesting is the client's."""
    left: list[tuple[Any, _Kind]] = [(value, kind)]
    while left:
        value, kind = left.pop()
        if isinstance(value, str):
            if value:
                yield value
        elif isinstance(value, dict):
            left += reversed(_within(value, kind))
        elif isinstance(value, list):
            left += [(one, kind) for one in reversed(value)]
        elif kind == "other" and isinstance(value, int | float) and not isinstance(value, bool):
            yield str(value)


def _within(owner: Mapping[str, Any], kind: _Kind) -> list[tuple[Any, _Kind]]:
    if kind == "part" and owner.get("type") in _TEXT_PARTS:
        kind = "other"
    inner, found = _INNER[kind], list[tuple[Any, _Kind]]()
    for name, value in owner.items():
        if name not in _NAMES:
            found.append((name, "other"))
        if name in _MAY_SAY_NOTHING and _says_nothing(name, value, owner, kind):
            continue
        found.append((value, inner.get(name, "other")))
        if name == "arguments" and isinstance(value, str) and "\\" in value:
            found += [(text, "other") for text in _unescaped(value)]
    return found


def _says_nothing(name: str, value: Any, owner: Mapping[str, Any], kind: _Kind) -> bool:
    if name in _LABELLED:
        return isinstance(value, str) and value in _LABELS
    if kind == "message":
        return name == "encrypted_content" and owner.get("type") in _SEALED
    if kind == "part":
        return name in _BLOBS or owner.get("type") == "redacted_thinking"
    return kind == "holder" and (name == "file_data" or (name == "data" and owner.get("type") == "base64"))


_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_read = json.JSONDecoder(strict=False).raw_decode


def _unescaped(written: str) -> Iterator[str]:
    """The texts of JSON that are *written* with escapes: servers read them before a model does."""
    for found in _STRING.finditer(written):
        if "\\" in found[0]:
            with suppress(ValueError):  # then it stays as it is written
                yield _read(found[0])[0]

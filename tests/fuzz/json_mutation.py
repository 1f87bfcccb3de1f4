"""JSON that is changed and stays JSON: most bytes that are changed at random make it none, and are refused at once."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

WORDS = (
    "model", "stream", "session_id", "conversation_id", "conversation", "previous_response_id", "user", "messages",
    "id", "input", "prompt", "system", "instructions", "role", "assistant", "tool", "content", "type", "text",
    "tool_result", "image_url", "input_audio", "message", "output", "query", "user_id", "modality", "context",
    "attachments", "url", "data", "media_type", "max_tokens", "temperature", "use_case", "remember", "auto", "image",
    "image/png", "audio", "audio/wav", "language", "voice", "http://a/b", "data:image/png;base64,AAAA", "AAAA", "",
    "\0", "\ud83d", "\"model\":", "{\"model\":\"x\"}", "\\", "நிகழ்", "\N{GRINNING FACE}",
    "a message that many words make long",
)  # fmt: skip
NUMBERS = (0, 1, -1, 0.5, 1e308, 2**63, 10**30)
SPACES = ("", "", "", " ", "\n", "\t \r\n")


class Fields(list[tuple[str, Any]]):
    """Of an object, in order and repeated."""


def changed(data: bytes, chance: Random) -> bytes:
    """*data* with one to three values or names in the place of others, written in one of many ways."""
    try:
        tree = json.loads(data, object_pairs_hook=Fields)
        for _ in range(chance.randint(1, 3)):
            tree = _change(tree, chance)
        return "".join(_written(tree, chance)).encode(errors="replace")
    except (ValueError, RecursionError):
        return data


def _change(tree: Any, chance: Random) -> Any:
    if not isinstance(tree, list) or chance.random() < 0.15:
        return _value(tree, chance)
    if not tree or chance.random() < 0.3:
        made = _value(chance.choice(WORDS), chance)
        place = chance.randint(0, len(tree))
        tree.insert(place, (chance.choice(WORDS), made) if isinstance(tree, Fields) else made)
        return tree
    place = chance.randrange(len(tree))
    if chance.random() < 0.1:
        del tree[place]
    elif not isinstance(tree, Fields):
        tree[place] = _change(tree[place], chance)
    elif chance.random() < 0.3:
        tree[place] = (chance.choice(WORDS), tree[place][1])
    else:
        tree[place] = (tree[place][0], _change(tree[place][1], chance))
    return tree


def _value(old: Any, chance: Random) -> Any:
    kind = chance.randrange(6)
    if kind == 0:
        return chance.choice((None, True, False))
    if kind == 1:
        return chance.choice(NUMBERS)
    if kind == 2:
        return Fields([(chance.choice(WORDS), old)])
    return [old] if kind == 3 else chance.choice(WORDS)


def _written(tree: Any, chance: Random) -> Iterator[str]:
    if not isinstance(tree, list):
        yield _name(tree, chance) if isinstance(tree, str) else json.dumps(tree)
        return
    begin, end = "{}" if isinstance(tree, Fields) else "[]"
    yield begin + chance.choice(SPACES)
    for place, item in enumerate(tree):
        yield "," + chance.choice(SPACES) if place else ""
        if isinstance(tree, Fields):
            yield _name(item[0], chance) + chance.choice(SPACES) + ":" + chance.choice(SPACES)
            item = item[1]
        yield from _written(item, chance)
    yield chance.choice(SPACES) + end


def _name(text: str, chance: Random) -> str:
    if text and chance.random() < 0.1 and text.isascii():
        place = chance.randrange(len(text))
        parts = (json.dumps(part)[1:-1] for part in (text[:place], text[place + 1 :]))
        return f'"{f"{chr(92)}u{ord(text[place]):04x}".join(parts)}"'
    return json.dumps(text, ensure_ascii=chance.random() < 0.5)

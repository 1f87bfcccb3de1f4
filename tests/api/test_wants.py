"""What a body wants: numbers by field, and every text that a model would get to read."""

import json
from math import inf
from typing import Any

import pytest

from smart_router.api.wants import BodyWants, QueryWants
from smart_router.errors import BadRequest

CHAT = ("max_tokens", "max_completion_tokens")


def texts(**fields: Any) -> tuple[str, ...]:
    return BodyWants(json.dumps(fields).encode(), CHAT).wish(texts=True).texts


def unreadable(**fields: Any) -> str | None:
    return BodyWants(json.dumps(fields).encode(), CHAT).wish(texts=True).unreadable


@pytest.mark.parametrize(
    ("body", "tokens", "open_ended"),
    [
        ("{}", {}, True),
        ('{"max_tokens":null}', {}, True),
        ('{"max_tokens":5}', {"max_tokens": 5}, False),
        ('{"max_completion_tokens":5.0}', {"max_completion_tokens": 5}, False),
        ('{"max_output_tokens":5}', {"max_output_tokens": 5}, True),
        ('{"max_tokens":9,"max_tokens":5}', {"max_tokens": 5}, False),
        ('{"max_tokens":9,"max_tokens":null}', {}, True),
        (r'{"max\u005ftokens":5}', {"max_tokens": 5}, False),
        ('{"metadata":{"max_tokens":5}}', {}, True),
        ('{"max_tokens":123456789012345678901234567890}', {"max_tokens": 123456789012345678901234567890}, False),
    ],
)
def test_tokens_are_what_a_server_would_take_them_for(body: str, tokens: dict[str, float], open_ended: bool) -> None:
    wish = BodyWants(body.encode(), CHAT).wish(texts=False)
    assert (wish.tokens, wish.open_ended) == (tokens, open_ended)


@pytest.mark.parametrize("value", ['"5"', "true", "[5]", "{}", "1e999"])
def test_what_is_no_number_is_beyond_any_as_servers_differ_in_what_they_make_of_it(value: str) -> None:
    wish = BodyWants(f'{{"max_tokens":{value},"n":{value}}}'.encode(), CHAT).wish(texts=False)
    assert (wish.tokens, wish.choices, wish.open_ended) == ({"max_tokens": inf}, {"n": inf}, False)


def test_a_path_that_generates_nothing_has_nothing_to_limit() -> None:
    wish = BodyWants(b'{"max_tokens":5,"n":"x"}', ()).wish(texts=False)
    assert (wish.tokens, wish.choices, wish.open_ended) == ({}, {}, False)


def test_texts_are_read_only_if_asked_for() -> None:
    assert BodyWants(b'{"messages":[{"content":"a"}]}', CHAT).wish(texts=False).texts == ()
    assert QueryWants("a", None).wish(texts=False).texts == ()


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer", "tool"])
@pytest.mark.parametrize("content", ["magic", [{"type": "text", "text": "magic"}], ["magic"]])
def test_all_roles_and_kinds_of_text_are_read(role: str, content: Any) -> None:
    assert texts(messages=[{"role": role, "content": content}, {"role": "user", "content": "hi"}]) == ("magic", "hi")


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "magic"},
        {"prompt": ["magic"]},
        {"prompt": "", "suffix": "magic"},
        {"input": "magic"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "magic"}]}]},
        {"input": [{"type": "function_call_output", "call_id": "", "output": "magic"}]},
        {"system": "magic"},
        {"system": [{"type": "text", "text": "magic"}]},
        {"instructions": "magic"},
        {"messages": [{"content": [{"type": "tool_result", "content": [{"type": "text", "text": "magic"}]}]}]},
        {"messages": [{"content": None, "tool_calls": [{"function": {"arguments": "magic"}}]}]},
        {"messages": [{"content": [{"type": "document", "source": {"type": "text", "data": "magic"}}]}]},
        {"messages": [{"role": "say magic", "content": "magic"}]},
        {"tools": [{"type": "function", "function": {"description": "magic"}}]},
        {"documents": [{"text": "magic"}]},
        {"chat_template": "{{ messages }} magic"},
        {"chat_template_kwargs": {"note": "magic"}},
        {"query": "magic"},
        {"text_1": "magic"},
        {"text_2": ["magic"]},
    ],
)
def test_wherever_a_model_would_read_it_a_text_is_found(fields: Any) -> None:
    assert "magic" in "\n".join(texts(**fields))


def test_the_parts_of_a_message_are_one_text() -> None:
    parts = [{"type": "text", "text": "how to"}, {"type": "text", "text": "do it"}]
    assert texts(messages=[{"role": "user", "content": parts}]) == ("how to\ndo it",)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,magic"}},
        {"type": "input_image", "image_url": "data:image/png;base64,magic"},
        {"type": "input_audio", "input_audio": {"data": "magic", "format": "wav"}},
        {"type": "image", "source": {"type": "base64", "media_type": "", "data": "magic"}},
        {"type": "redacted_thinking", "data": "magic"},
        {"type": "thinking", "thinking": "", "signature": "magic"},
    ],
)
def test_what_is_no_text_is_not_read(part: Any) -> None:
    assert "magic" not in "\n".join(texts(messages=[{"role": "user", "content": ["hi", part]}]))


def test_labels_say_nothing() -> None:
    assert texts(messages=[{"role": "system", "content": [{"type": "text", "text": ""}]}]) == ()


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"prompt": [1, 2]}, "prompt"),
        ({"prompt": [[1, 2], [3]]}, "prompt"),
        ({"prompt": ["a", [1]]}, "prompt"),
        ({"input": [1, 2]}, "input"),
        ({"prompt": "a", "prompt_embeds": "AAAA"}, "prompt_embeds"),
        ({"prompt": "a", "prompt_embeds": None}, None),
        ({"prompt": ["a", "b"]}, None),
        ({"input": [{"type": "message", "content": "a"}]}, None),
    ],
)
def test_a_prompt_that_is_no_text_is_named(fields: Any, field: str | None) -> None:
    assert unreadable(**fields) == field


def test_no_depth_of_nesting_is_too_much_for_the_reader() -> None:
    deep = b'{"messages":[{"content":' + b"[" * 500 + b'"magic"' + b"]" * 500 + b"}]}"
    assert BodyWants(deep, CHAT).wish(texts=True).texts == ("magic",)


@pytest.mark.parametrize(
    ("said", "place"),
    [(b"1e999", "messages"), (rb'"\ud800"', "the body"), (b"[" * 100_000 + b"]" * 100_000, "the body")],
)
def test_what_cannot_be_read_is_refused(said: bytes, place: str) -> None:
    with pytest.raises(BadRequest, match=f"^{place}: cannot be read"):
        BodyWants(b'{"messages":[{"content":' + said + b"}]}", CHAT).wish(texts=True)


def test_a_query_says_itself() -> None:
    wish = QueryWants("write", 5).wish(texts=True)
    assert (wish.texts, wish.tokens, wish.open_ended) == (("write",), {"max_tokens": 5}, False)
    assert QueryWants("write", None).wish(texts=True).open_ended

"""What a body wants: numbers by field, and every text that a model would get to read."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_of_a_body_with_many_fields_only_those_that_are_asked_for_are_kept() -> None:
    body = b"{%b}" % b",".join(b'"%x":0' % i for i in range(100_000))
    tracemalloc.start()
    BodyWants(body, CHAT).wish(texts=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(body) / 10


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
        {"data_1": "magic"},
        {"data_2": [{"content": [{"type": "text", "text": "magic"}]}]},
        {"queries": "", "items": ["magic"]},
        {"instruction": "magic"},
        {"input": "", "previous_input_messages": [{"role": "user", "content": [{"type": "text", "text": "magic"}]}]},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"description": "magic"}}}},
        {"input": [[{"role": "user", "content": "magic"}], [{"role": "user", "content": "hi"}]]},
    ],
)
def test_wherever_a_model_would_read_it_a_text_is_found(fields: Any) -> None:
    assert "magic" in "\n".join(texts(**fields))


def a_tool(**properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": [*properties]}
    return {"type": "function", "function": {"name": "look", "description": "Looks", "parameters": parameters}}


def a_call(**input: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "tool_use", "id": "", "name": "", "input": input}]}


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [a_tool(magic={"type": "string"})]},
        {"tools": [{"name": "look", "input_schema": {"type": "object", "$defs": {"magic": {}}}}]},
        {"messages": [a_call(magic=1)]},
        {"messages": [a_call(a=[{"b": {"magic": None}}])]},
        {"messages": [{"content": None, "function_call": {"name": "f", "arguments": {"magic": 1}}}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "", "magic": "x"}]}]},
        {"documents": [{"magic": ""}]},
        {"chat_template_kwargs": {"magic": True}},
    ],
)
def test_names_that_a_client_makes_up_are_read(fields: Any) -> None:
    assert "magic" in "\n".join(texts(**fields))


@pytest.mark.parametrize(
    "name",
    ["audio", "video", "image_url", "input_audio", "file_data", "signature", "encrypted_content", "data", "source"],
)
@pytest.mark.parametrize("value", ["magic", {"description": "magic"}, {"type": "base64", "data": "magic"}])
def test_names_of_pictures_and_sounds_hide_nothing_from_the_reader_of_a_tool(name: str, value: Any) -> None:
    assert "magic" in "\n".join(texts(tools=[a_tool(**{name: value})]))
    assert "magic" in "\n".join(texts(messages=[a_call(**{name: value})]))
    assert "magic" in "\n".join(texts(messages=[a_call(content=[{"type": "image", name: value}])]))
    assert "magic" in "\n".join(texts(chat_template_kwargs={name: value}))
    assert "magic" in "\n".join(texts(messages=[{"role": "developer", "tools": [a_tool(**{name: value})]}]))


STRANGE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=5).map("magic ".__add__)
NAMED = st.sampled_from(
    ["audio", "data", "source", "content", "output", "type", "role", "arguments", "file", "image_url"]
)
VALUES = st.recursive(
    st.one_of(STRANGE, st.none(), st.booleans()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRANGE | NAMED, inner, max_size=3),
    max_leaves=6,
)


def made_up(value: Any) -> Iterator[str]:
    """All texts, and all names but those of the APIs."""
    if isinstance(value, str):
        yield value
    for inner in value if isinstance(value, list) else ():
        yield from made_up(inner)
    for name, inner in value.items() if isinstance(value, dict) else ():
        yield from (name,) if name.startswith("magic") else ()
        yield from made_up(inner)


@given(value=VALUES)
def test_nothing_that_a_tool_reads_goes_unread(value: Any) -> None:
    for fields in ({"messages": [a_call(x=value)]}, {"tools": [a_tool(x=value)]}, {"documents": [{"x": value}]}):
        said = "\n".join(texts(**fields))
        assert [text for text in made_up(value) if text not in said] == []


@pytest.mark.parametrize("kind", ["text", "input_text", "output_text", "refusal", "tool_use", "function_call"])
def test_nor_do_they_within_a_part_that_is_text(kind: str) -> None:
    parts = [{"type": kind, "text": "", "audio": "magic"}]
    assert texts(messages=[{"role": "user", "content": parts}]) == ("magic",)


@pytest.mark.parametrize("label", ["role", "type"])
@pytest.mark.parametrize("value", ["如何制造炸弹的方法", "say_magic", "magic", "Rufe_Zauber", "x" * 41])
def test_a_label_that_no_api_knows_is_read(label: str, value: str) -> None:
    assert texts(messages=[{label: value, "content": "hi"}]) == (f"{value}\nhi",)


CALLED: dict[str, Callable[[str], dict[str, Any]]] = {
    "tool_calls": lambda arguments: {"messages": [{"tool_calls": [{"function": {"arguments": arguments}}]}]},
    "function_call": lambda arguments: {"messages": [{"function_call": {"name": "f", "arguments": arguments}}]},
    "an item": lambda arguments: {"input": [{"type": "function_call", "name": "f", "arguments": arguments}]},
}


@pytest.mark.parametrize("called", CALLED.values(), ids=CALLED)
@pytest.mark.parametrize(
    "arguments",
    [
        r'{"a":"\u006dagic"}',
        r'{"\u006d\u0061gic":1}',
        r'{"a":["","\"",{"b":"mag\u0069c"}],"c":NaN}',
        r'{"a":"\ud800","b":"\u006dagic","b":""}',
        r'{"a":"\n\u006d\u0061\u0067\u0069\u0063\ud83d\ude00"}',
        "{" * 5000 + r'"\u006dagic"',
        '{"a":"\n\\u006dagic"}',
        r'{"a":"\q","b":"\u006dagic"}',
    ],
)
def test_what_servers_unescape_for_a_model_is_read_as_it_reads_it(called: Any, arguments: str) -> None:
    said = "\n".join(texts(**called(arguments)))
    assert arguments in said
    assert "magic" in said.removeprefix(arguments)


def test_what_cannot_be_unescaped_stays_as_it_is_written() -> None:
    assert texts(**CALLED["an item"](r'{"a":"\q","b":"c"}')) == ("f\n" + r'{"a":"\q","b":"c"}',)


def test_numbers_that_a_model_reads_are_read() -> None:
    assert texts(messages=[a_call(card=4111111111111111, of=[0.5, True])]) == ("card\n4111111111111111\nof\n0.5",)


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
        {"image_url": {"url": "data:image/png;base64,magic"}},
        {"type": "file", "file": {"filename": "", "file_data": "magic"}},
        {"type": "input_file", "filename": "", "file_data": "magic"},
        {"type": "tool_result", "content": [{"type": "image", "source": {"type": "base64", "data": "magic"}}]},
        {
            "type": "document",
            "source": {
                "type": "content",
                "content": [{"type": "image", "source": {"type": "base64", "data": "magic"}}],
            },
        },
    ],
)
def test_what_is_no_text_is_not_read(part: Any) -> None:
    assert "magic" not in "\n".join(texts(messages=[{"role": "user", "content": ["hi", part]}]))


@pytest.mark.parametrize(
    "item",
    [
        {"type": "reasoning", "summary": [], "encrypted_content": "magic"},
        {"type": "function_call_output", "output": [{"type": "input_image", "image_url": "magic"}]},
        {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "magic"}},
    ],
)
def test_nor_is_it_in_an_item_of_the_responses_api(item: Any) -> None:
    assert texts(input=[item]) == ()


def test_labels_and_names_of_the_apis_say_nothing() -> None:
    assert texts(messages=[{"role": "system", "content": [{"type": "text", "text": ""}]}]) == ()
    assert texts(input=[{"type": "message", "role": "user", "status": "completed", "content": []}]) == ()
    assert texts(tools=[a_tool(city={"type": "string", "minLength": 1})]) == ("look\nLooks\ncity\n1\ncity",)
    assert texts(response_format={"type": "json_object"}, text={"format": {"type": "text"}, "verbosity": "low"}) == ()


def test_the_parts_of_a_system_prompt_are_one_text() -> None:
    assert texts(system=[{"type": "text", "text": "how to"}, {"type": "text", "text": "do it"}]) == ("how to\ndo it",)


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
        ({"input": [[{"role": "user", "content": "a"}]]}, None),
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

"""What is refused of an OpenAI-style body, by the name of its place; what is honest passes, and costs one look."""

import json
import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.api import armour as api_armour
from smart_router.api import media, structures
from smart_router.api.armour import Armour
from smart_router.api.body import read_head
from smart_router.api.media import MOST_MEDIA, MOST_VALUES, may_hold_media, media_of
from smart_router.api.parameters import MACHINERY, MOST_PROMPTS, Parameters
from smart_router.api.structures import MOST_BYTES, MOST_OF_ALL_PATTERNS, MOST_TOOLS
from smart_router.decide.parameters import MAY_BE_ALLOWED, REFUSED, REFUSED_WITHIN
from smart_router.decide.pattern import MOST_OF_A_PATTERN
from smart_router.decide.schema import MOST_DEPTH, fault_of_schema
from smart_router.errors import BadRequest
from smart_router.types import Attachment
from tests.fakes import settings

pytestmark = pytest.mark.usefixtures("bare_environment")

INSIDE = "http://169.254.169.254/latest/meta-data"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
HOSTILE = {"type": "object", "properties": {"a": {"type": "bogus"}}}


def a_body(**fields: Any) -> bytes:
    return json.dumps({"model": "auto", "messages": [{"role": "user", "content": "Hi"}]} | fields).encode()


async def inspected(body: bytes, **changed: Any) -> None:
    await Armour(settings(**changed)).inspect(body, read_head(body))


async def refusal(body: bytes, **changed: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        await inspected(body, **changed)
    return caught.value.message


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 8},
        {"n": None},
        {"n": 1, "best_of": 2},
        {"logprobs": True, "top_logprobs": 20},
        {"logprobs": 5},
        {"prompt_logprobs": 0},
        {"stop": "END"},
        {"stop": ["a"] * 16},
        {"stop": None},
        {"stop_sequences": ["\n\nHuman:"]},
        {"stop_token_ids": [1, 2]},
        {"logit_bias": {"50256": -100}},
        {"bad_words": ["a"]},
        {"allowed_token_ids": list(range(100))},
        {"priority": 0},
        {"chat_template": None},
        {"chat_template_kwargs": {"enable_thinking": False}},
        {"chat_template_kwargs": None},
        {
            "chat_template_kwargs": {
                "thinking": True,
                "reasoning_effort": "high",
                "thinking_budget": 512,
                "custom_instructions": None,
            }
        },
        {"mm_processor_kwargs": {}},
        {"kv_transfer_params": None},
        {"prompt": "Hi"},
        {"prompt": ["Hi"] * MOST_PROMPTS},
        {"prompt": list(range(10_000))},
        {"cache_salt": "s"},
        {"response_format": {"type": "json_object"}},
        {"response_format": "mp3"},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}},
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}, "verbosity": "low"}},
        {"text": "a text " * 20_000},
        {"output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}},
        {"guided_json": SCHEMA},
        {"guided_json": json.dumps(SCHEMA)},
        {"guided_regex": r"\d+"},
        {"guided_choice": ["yes", "no"]},
        {"structured_outputs": {"json": SCHEMA}},
        {"structured_outputs": {"choice": ["a"]}},
        {"structured_outputs": {"regex": "[a-z]+", "disable_any_whitespace": True}},
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}]},
        {"tools": None},
        {"tools": []},
        {
            "tools": [
                {"name": "f", "input_schema": SCHEMA, "input_examples": [{"pattern": "**/*.py", "schema": 5, "_x": 1}]}
            ]
        },
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 5}]},
        {"functions": [{"name": "f", "parameters": SCHEMA}]},
        {
            "tools": [
                {
                    "type": "function",
                    "name": "f",
                    "parameters": {"properties": {"url": {"type": "string", "default": INSIDE}}},
                }
            ]
        },
        {"metadata": {"image_url": INSIDE}},
        {"unknown": {"of": "others"}},
    ],
)
async def test_an_honest_parameter_passes(fields: dict[str, Any]) -> None:
    await inspected(a_body(**fields))


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"n": 9}, "n"),
        ({"n": 1_000_000}, "n"),
        ({"n": "9"}, "n"),
        ({"n": "1"}, "n"),
        ({"n": 9.0}, "n"),
        ({"n": True}, "n"),
        ({"n": [1]}, "n"),
        ({"n": -1}, "n"),
        ({"n": 10**30}, "n"),
        ({"best_of": 9}, "best_of"),
        ({"logprobs": 21}, "logprobs"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"prompt_logprobs": -1}, "prompt_logprobs"),
        ({"prompt_logprobs": 10**6}, "prompt_logprobs"),
        ({"top_logprobs": True}, "top_logprobs"),
        ({"stop": ["a"] * 17}, "stop"),
        ({"stop": "a" * 20_000}, "stop"),
        ({"stop_sequences": ["a"] * 17}, "stop_sequences"),
        ({"logit_bias": {str(i): 1 for i in range(1025)}}, "logit_bias"),
        ({"bad_words": ["a"] * 257}, "bad_words"),
        ({"logprob_token_ids": [1] * 129}, "logprob_token_ids"),
        ({"allowed_token_ids": [1] * 4097}, "allowed_token_ids"),
        ({"stop_token_ids": [1] * 257}, "stop_token_ids"),
        ({"prompt": ["a"] * (MOST_PROMPTS + 1)}, "prompt"),
        ({"prompt": [[1]] * (MOST_PROMPTS + 1)}, "prompt"),
        ({"prompt": ["a", {"b": 1}]}, "prompt[1]"),
        ({"prompt": [[[1]]]}, "prompt[0]"),
        ({"chat_template": "{% for i in range(10**9) %}{% endfor %}"}, "chat_template"),
        ({"prompt_embeds": "AAAA"}, "prompt_embeds"),
        ({"prompt_embeds": ["AAAA"]}, "prompt_embeds"),
        ({"logits_processors": ["os.system"]}, "logits_processors"),
        ({"mm_processor_kwargs": {"a": 1}}, "mm_processor_kwargs"),
        ({"media_io_kwargs": {"video": {"num_frames": -1}}}, "media_io_kwargs"),
        ({"kv_transfer_params": {"remote_host": "10.0.0.1"}}, "kv_transfer_params"),
        ({"ec_transfer_params": {"a": 1}}, "ec_transfer_params"),
        ({"vllm_xargs": {"a": 1}}, "vllm_xargs"),
        ({"priority": -5}, "priority"),
        ({"guided_decoding_backend": "outlines"}, "guided_decoding_backend"),
        ({"guided_grammar": 'root ::= "a"'}, "guided_grammar"),
        ({"structured_outputs": {"grammar": 'root ::= "a"'}}, "structured_outputs.grammar"),
        ({"structured_outputs": {"_backend": "outlines"}}, "structured_outputs._backend"),
        ({"structured_outputs": {"regex": ""}}, "structured_outputs.regex"),
        ({"structured_outputs": {"regex": "(a+)+b"}}, "structured_outputs.regex"),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice"),
        ({"structured_outputs": {"json": HOSTILE}}, "structured_outputs.json"),
        ({"structured_outputs": {"json": json.dumps(HOSTILE)}}, "structured_outputs.json"),
        ({"structured_outputs": {"json": "{"}}, "structured_outputs.json"),
        ({"structured_outputs": {"whitespace_pattern": "("}}, "structured_outputs.whitespace_pattern"),
        (
            {
                "structured_outputs": {
                    "structural_tag": json.dumps({"structures": [{"begin": "<a>", "schema": HOSTILE}]})
                }
            },
            "structured_outputs.structural_tag.structures[0].schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": HOSTILE}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "structural_tag", "format": {"elements": [{"json_schema": HOSTILE}]}}},
            "response_format.format.elements[0].json_schema",
        ),
        (
            {
                "response_format": {
                    "type": "structural_tag",
                    "format": {"tags": [{"content": {"type": "regex", "pattern": "("}}]},
                }
            },
            "response_format.format.tags[0].content.pattern",
        ),
        ({"text": {"format": {"type": "json_schema", "schema": HOSTILE}}}, "text.format.schema"),
        ({"guided_json": HOSTILE}, "structured_outputs.json"),
        ({"output_config": {"format": {"schema": HOSTILE}}}, "output_config.format.schema"),
        ({"output_format": {"schema": HOSTILE}}, "output_format.schema"),
        ({"guided_regex": "foo**"}, "structured_outputs.regex"),
        ({"guided_choice": "a"}, "structured_outputs.choice"),
        (
            {"tools": [{}, {"type": "function", "function": {"name": "f", "parameters": HOSTILE}}]},
            "tools[1].function.parameters",
        ),
        ({"tools": [{"name": "f", "input_schema": HOSTILE}]}, "tools[0].input_schema"),
        ({"tools": [{"type": "function", "parameters": HOSTILE}]}, "tools[0].parameters"),
        ({"tools": [{}] * (MOST_TOOLS + 1)}, "tools"),
        ({"tools": {"a": 1}}, "tools"),
        ({"functions": [{"parameters": HOSTILE}]}, "functions[0].parameters"),
        ({"tools": [{"name": "f", "input_schema": {"description": "a" * MOST_BYTES}}]}, "tools[0]"),
        ({"guided_json": {"title": "a" * MOST_BYTES}}, "guided_json"),
    ],
)
async def test_a_dangerous_parameter_is_refused_by_name(fields: dict[str, Any], place: str) -> None:
    assert (await refusal(a_body(**fields))).startswith(f"{place}: ")


async def test_an_escaped_name_is_the_same_name() -> None:
    body = rb'{"model": "auto", "messages": [], "\u006e": 99, "n": 1, "\u006e": 99}'
    assert (await refusal(body)).startswith("n: ")


@pytest.mark.parametrize("name", sorted(MACHINERY))
async def test_an_argument_of_the_machinery_is_none_of_a_template(name: str) -> None:
    assert name in await refusal(a_body(chat_template_kwargs={"enable_thinking": True, name: True}))


@pytest.mark.parametrize(
    "arguments",
    [
        {"a": [1]},
        {"": 1, "tokenize": True},
        {"a": {}},
        {"a": "x" * 257},
        {"a b": 1},
        {"_a": 1},
        {"": 1},
        {f"a{i}": 1 for i in range(17)},
        [1],
        "a",
        {"a" * 65: 1},
    ],
)
async def test_the_arguments_of_a_template_are_few_flat_and_small(arguments: Any) -> None:
    assert (await refusal(a_body(chat_template_kwargs=arguments))).startswith("chat_template_kwargs: ")


@pytest.mark.parametrize("name", sorted({*REFUSED, "chat_template_kwargs", "top_logprobs", "tools", "response_format"}))
@pytest.mark.parametrize("all_of_them", [False, True])
async def test_what_the_operator_allows_passes(name: str, all_of_them: bool) -> None:
    value: Any = 10_000 if name == "top_logprobs" else {"tokenize": True, "schema": HOSTILE}
    body = a_body(**{name: value})
    await refusal(body)
    await inspected(body, allow_parameters=("*",) if all_of_them else (name,))


async def test_the_number_of_choices_has_its_own_setting() -> None:
    await inspected(a_body(n=100), max_choices=100)
    assert "at most 100" in await refusal(a_body(n=101), max_choices=100, allow_parameters=("*",))


def test_every_name_that_may_be_allowed_is_read() -> None:
    assert set(Parameters.__struct_fields__) - {"n", "best_of", "ref_audio"} == MAY_BE_ALLOWED - {*REFUSED_WITHIN}


async def test_an_allowed_grammar_is_still_bounded() -> None:
    await inspected(a_body(structured_outputs={"grammar": 'root ::= "a"'}), allow_parameters=("grammar",))
    deep = a_body(structured_outputs={"grammar": "(" * 1000})
    assert "deep" in await refusal(deep, allow_parameters=("grammar",))


async def test_what_was_found_right_is_not_read_again_and_what_was_wrong_is(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[object] = []

    def reading(schema: object) -> str | None:
        read.append(schema)
        return fault_of_schema(schema)

    monkeypatch.setattr(structures, "fault_of_schema", reading)
    armour = Armour(settings())
    good, bad = (a_body(tools=[{"name": "f", "input_schema": schema}]) for schema in (SCHEMA, HOSTILE))
    for _ in range(3):
        await armour.inspect(good, read_head(good))
        with pytest.raises(BadRequest):
            await armour.inspect(bad, read_head(bad))
    assert read == [SCHEMA, HOSTILE, HOSTILE, HOSTILE]


def part(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "?"}, fields]}]}


FIRST = "messages[0].content[1]"
LINKS: list[tuple[dict[str, Any], str]] = [
    (part(type="image_url", image_url={"url": INSIDE}), f"{FIRST}.image_url.url"),
    (part(type="image_url", image_url=INSIDE), f"{FIRST}.image_url"),
    (part(image_url=INSIDE), f"{FIRST}.image_url"),
    (part(type="text", text="", uuid="u", image_url={"url": INSIDE}), f"{FIRST}.image_url.url"),
    (part(type="audio_url", audio_url={"url": INSIDE}), f"{FIRST}.audio_url.url"),
    (part(type="video_url", video_url={"url": INSIDE}), f"{FIRST}.video_url.url"),
    (part(type="input_audio", input_audio={"url": INSIDE}), f"{FIRST}.input_audio.url"),
    (part(type="file", file={"file_url": INSIDE}), f"{FIRST}.file.file_url"),
    (part(type="image", source={"type": "url", "url": INSIDE}), f"{FIRST}.source.url"),
    (part(type="document", source={"type": "url", "url": INSIDE}), f"{FIRST}.source.url"),
    (part(type="image", url=INSIDE), f"{FIRST}.url"),
    (
        part(
            type="tool_result", tool_use_id="t", content=[{"type": "image", "source": {"type": "url", "url": INSIDE}}]
        ),
        f"{FIRST}.content[0].source.url",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": INSIDE}]}]},
        "input[0].content[0].image_url",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": INSIDE}]}]},
        "input[0].content[0].file_url",
    ),
    (
        {"input": [{"type": "function_call_output", "output": [{"type": "input_image", "image_url": INSIDE}]}]},
        "input[0].output[0].image_url",
    ),
    ({"input": [{"type": "computer_call_output", "output": {"image_url": INSIDE}}]}, "input[0].output.image_url"),
    (
        {"documents": {"content": [{"type": "image_url", "image_url": {"url": INSIDE}}]}},
        "documents.content[0].image_url.url",
    ),
    ({"system": [{"type": "image", "source": {"type": "url", "url": INSIDE}}]}, "system[0].source.url"),
    ({"ref_audio": INSIDE}, "ref_audio"),
    (part(type="image", image=INSIDE), f"{FIRST}.image"),
    (part(image=INSIDE), f"{FIRST}.image"),
    (part(type="audio", audio=INSIDE), f"{FIRST}.audio"),
    (part(type="video", video=INSIDE.upper()), f"{FIRST}.video"),
    (part(type="input_audio", input_audio=INSIDE), f"{FIRST}.input_audio"),
    (part(type="input_image", url=INSIDE), f"{FIRST}.url"),
    (
        {
            "messages": [
                part(image_url=INSIDE)["messages"][0],
                {"role": "assistant", "content": "No."},
                {"role": "user", "content": "?"},
            ]
        },
        f"{FIRST}.image_url",
    ),
]


@pytest.mark.parametrize(("fields", "place"), LINKS)
async def test_a_link_is_refused_wherever_a_server_would_follow_it(fields: dict[str, Any], place: str) -> None:
    assert (await refusal(a_body(**fields))).startswith(f"{place}: must lead to a public host")


@pytest.mark.parametrize("value", [f" {INSIDE}", "file:///etc/passwd", "ftp://a.b/c.png"])
async def test_what_looks_like_a_link_and_is_none_to_the_internet_is_no_picture(value: str) -> None:
    assert (await refusal(a_body(**part(type="image", image=value)))).startswith(f"{FIRST}.image: must be an http")


SHOWN = {"type": "input_image", "image_url": INSIDE}


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        *(
            ({"type": kind, "input": [{"role": "user", "content": [SHOWN]}]}, "input[0].content[0].image_url")
            for kind in ("tool_use", "server_tool_use", "mcp_tool_use", "custom_tool_call", "mcp_call")
        ),
        ({"type": "tool_use", "input": SHOWN}, "input.image_url"),
        ({"input": [{"type": "tool_use", "input": SHOWN}]}, "input[0].input.image_url"),
        ({"input": [{"type": "custom_tool_call", "input": [SHOWN]}]}, "input[0].input[0].image_url"),
        (part(type="tool_use", id="t", name="f", input=[SHOWN]), f"{FIRST}.input[0].image_url"),
        ({"messages": [{"type": "tool_use", "input": SHOWN}]}, "messages[0].input.image_url"),
        ({"messages": {"type": "tool_use", "input": SHOWN}}, "messages.input.image_url"),
        ({"content": [{"type": "tool_use", "input": SHOWN}]}, "content[0].input.image_url"),
        *(({name: SHOWN}, f"{name}.image_url") for name in ("arguments", "annotations", "citations", "action", "text")),
    ],
)
async def test_a_type_that_the_client_writes_hides_no_link(fields: dict[str, Any], place: str) -> None:
    assert (await refusal(a_body(**fields))).startswith(f"{place}: must lead to a public host")


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


@pytest.mark.parametrize(("fields", "place"), LINKS)
@pytest.mark.parametrize(
    "key", ["image_url", "audio_url", "video_url", "file_url", "url", "source", "type", "content", "rl", "_"]
)
async def test_no_escape_hides_a_link(fields: dict[str, Any], place: str, key: str) -> None:
    body = a_body(**fields).decode()
    for hidden in (
        body.replace(key, escaped(key)),
        body.replace("http://", "http:\\/\\/"),
        body.replace("http", escaped("http")),
    ):
        assert (await refusal(hidden.encode())).startswith(f"{place}: must lead to a public host")


@pytest.mark.parametrize("letter", "url")
async def test_one_escaped_letter_in_either_case_hides_nothing(letter: str) -> None:
    for code in (f"\\u00{ord(letter):02x}", f"\\u00{ord(letter):02X}"):
        body = json.dumps(a := part(image_url=INSIDE)).replace("image_url", "image_" + "url".replace(letter, code))
        assert (await refusal(body.encode())).startswith(FIRST), a


@pytest.mark.parametrize(
    "fields",
    [
        part(type="image_url", image_url={"url": "data:image/png;base64,AAAA"}),
        part(type="image_url", image_url={"url": "https://1.1.1.1/a.png"}),
        part(type="tool_use", id="t", name="browse", input={"url": INSIDE, "image_url": INSIDE}),
        part(type="text", text=f'{{"image_url": "{INSIDE}"}}'),
        part(type="search_result", source=INSIDE, title="t", content=[{"type": "text", "text": INSIDE}]),
        part(type="input_audio", input_audio={"data": "AAAA"}),
        part(type="text", text="t", citations=[{"type": "web", "url": INSIDE}]),
        part(type="web_search_result", url=INSIDE),
        {
            "messages": [
                {
                    "role": "assistant",
                    "tool_calls": [{"function": {"name": "f", "arguments": json.dumps({"url": INSIDE})}}],
                }
            ]
        },
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"image_url": INSIDE}}}]}
            ]
        },
        {"messages": [{"role": "user", "content": f'Fetch {INSIDE}: its "image_url" is odd'}]},
        {"input": [INSIDE, "image_url"]},
        {
            "input": [
                {
                    "type": "message",
                    "content": [
                        {"type": "output_text", "text": "t", "annotations": [{"type": "url_citation", "url": INSIDE}]}
                    ],
                }
            ]
        },
        {"input": [{"type": "web_search_call", "action": {"type": "open_page", "url": INSIDE}}]},
        {"ref_audio": "data:audio/wav;base64,AAAA"},
        part(type="image", image="iVBORw0KGgo//+9="),
        part(type="image", image="data:image/png;base64,AAAA"),
        part(type="input_audio", input_audio="//uQZAAA"),
        {"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "mp3"}},
    ],
)
async def test_what_no_server_follows_passes(fields: dict[str, Any]) -> None:
    await inspected(a_body(**fields))


@pytest.mark.parametrize("name", ["image_embeds", "audio_embeds", "video_embeds", "prompt_embeds"])
async def test_a_part_that_is_encoded_already_is_refused_unless_the_operator_allows_it(name: str) -> None:
    for fields in (part(type=name, data="AAAA"), part(**{"type": name, name: "AAAA"}), part(**{name: {"a": "AAAA"}})):
        assert (await refusal(a_body(**fields))).startswith(f"{FIRST}: ")
        await inspected(a_body(**fields), allow_parameters=(name,))


@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" + "0" * 5000, "NaN", "-Infinity", "01"])
async def test_a_number_out_of_range_beside_media_is_refused(number: str) -> None:
    body = a_body(image_url=1)[:-1].decode() + f', "x": {number}}}'
    with pytest.raises(BadRequest):
        await inspected(body.encode())


_JSON = st.recursive(
    st.none() | st.integers() | st.text('a",[{\\\n'),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a",[{\\'), inner, max_size=4),
    max_leaves=20,
)


def values_in(value: object) -> int:
    """Behind a bracket or a comma."""
    if not isinstance(value, dict | list):
        return 0
    inner = value.values() if isinstance(value, dict) else value
    return max(len(value), 1) + sum(map(values_in, inner))


@given(value=_JSON, indent=st.none() | st.just(1))
def test_what_a_body_holds_is_counted_before_it_is_decoded(value: object, indent: int | None) -> None:
    body = {"image_url": "", "x": value}
    text, holds = json.dumps(body, indent=indent).encode(), values_in(body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(media, "MOST_VALUES", holds)
        media_of(text)
        patch.setattr(media, "MOST_VALUES", holds - 1)
        with pytest.raises(BadRequest, match="values are taken"):
            media_of(text)


async def test_a_body_of_countless_values_is_refused_and_a_long_text_is_not() -> None:
    countless = a_body(image_url="data:,", x=[{}] * MOST_VALUES)
    assert f"at most {MOST_VALUES} values" in await refusal(countless)
    await inspected(a_body(image_url="data:,", x='[{"\\,' * MOST_VALUES))


@pytest.mark.parametrize("name", ["image_url", "image_embeds"])
async def test_media_are_counted(name: str) -> None:
    one = {name: "data:,"}
    most = [part(**one)["messages"][0]] * MOST_MEDIA
    await inspected(a_body(messages=most), allow_parameters=("*",))
    assert f"at most {MOST_MEDIA} pictures" in await refusal(a_body(messages=[*most, one]), allow_parameters=("*",))


async def test_what_is_large_is_read_beside_other_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    here: list[bool] = []

    def looking(body: bytes) -> media.Media:
        here.append(threading.current_thread() is threading.main_thread())
        return media_of(body)

    def reading(schema: object) -> str | None:
        here.append(threading.current_thread() is threading.main_thread())
        return fault_of_schema(schema)

    monkeypatch.setattr(api_armour, "media_of", looking)
    monkeypatch.setattr(structures, "fault_of_schema", reading)
    described = SCHEMA | {"description": "a" * (structures.AT_ONCE // 2)}
    for fields, in_the_loop in (
        ({"image_url": "data:,"}, True),
        ({"image_url": "data:,", "x": "a" * api_armour.AT_ONCE}, False),
        ({"image_url": "data:,", "x": "a" * api_armour.SCANNED_AT_ONCE}, False),
        ({"tools": [{"name": "f", "input_schema": described}]}, True),
        ({"tools": [{"name": f"f{i}", "input_schema": described} for i in range(3)]}, False),
    ):
        here.clear()
        await inspected(a_body(**fields))
        assert set(here) == {in_the_loop}, fields.keys()


def patterns(characters: int, mark: str) -> dict[str, Any]:
    """A schema whose patterns have so many in all."""
    each = [("x" * (MOST_OF_A_PATTERN // 2) + f"{mark}{i:03}").ljust(MOST_OF_A_PATTERN, "y") for i in range(60)]
    properties: dict[str, Any] = {}
    for i, pattern in enumerate(each):
        if characters <= 0:
            break
        properties[f"p{i}"] = {"pattern": pattern[:characters]}
        characters -= MOST_OF_A_PATTERN
    assert characters <= 0
    return {"type": "object", "properties": properties}


async def test_the_patterns_of_a_request_are_bounded_together() -> None:
    half = MOST_OF_ALL_PATTERNS // 2
    tools = [{"name": "f", "input_schema": patterns(half, "a")}, {"name": "g", "input_schema": patterns(half, "b")}]
    named: dict[str, Any] = {"patternProperties": {"c": {}}}
    await inspected(a_body(tools=tools))
    assert "tools[2].input_schema: all patterns" in await refusal(a_body(tools=[*tools, {"input_schema": named}]))
    for fields, place in (
        ({"guided_regex": "a"}, "structured_outputs.regex"),
        ({"guided_json": {"pattern": "a"}}, "structured_outputs.json"),
        ({"response_format": {"json_schema": {"schema": {"items": [named]}}}}, "response_format.json_schema"),
    ):
        assert f"{place}: all patterns" in await refusal(a_body(tools=tools, **fields))


@pytest.mark.parametrize("field", ["structured_outputs", "response_format", "text", "structural_tag"])
async def test_a_structure_is_nested_so_deep_and_no_deeper(field: str) -> None:
    def nested(deep: int) -> dict[str, Any]:
        tag: dict[str, Any] = {"type": "any_text"}
        for _ in range(deep):
            tag = {"type": "sequence", "elements": [tag]}
        return {"type": "structural_tag", "format": tag}

    await inspected(a_body(**{field: nested(MOST_DEPTH // 2 - 2)}))
    assert f"{MOST_DEPTH} deep" in await refusal(a_body(**{field: nested(MOST_DEPTH // 2)}))


async def test_with_none_no_link_is_taken_and_data_is() -> None:
    for attachment in (
        Attachment("image", url="https://1.1.1.1/a.png"),
        Attachment("image", url="https://example.org/a"),
    ):
        with pytest.raises(
            BadRequest, match=r"attachments\[1\].url: links are not taken here; send the file as a data"
        ):
            await Armour(settings(media_hosts=("none",))).admit([Attachment("image", data="AAAA"), attachment])
    await Armour(settings(media_hosts=("none",))).admit([Attachment("image", data="AAAA")])


def test_a_body_without_media_is_not_decoded_and_one_with_is() -> None:
    assert not may_hold_media(a_body(stop=["http://", "image", "url of", "\u00e9\n"], tools=[{"name": "url_fetcher"}]))
    assert all(may_hold_media(a_body(**fields)) for fields, place in LINKS if place != "ref_audio")


def test_links_come_in_the_order_of_the_body() -> None:
    pictures = [{"type": "image_url", "image_url": {"url": f"https://example.org/{i}"}} for i in range(5)]
    links, encoded = media_of(a_body(messages=[{"role": "user", "content": [one]} for one in pictures]))
    assert [url[-1] for _, url in links] == list("01234")
    assert encoded == []

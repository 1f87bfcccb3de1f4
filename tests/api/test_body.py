"""The body of an OpenAI-style request: whatever it holds, only the outer `model` changes, and nobody waits for it."""

import json
import tracemalloc
from time import process_time
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smart_router.api.body import Head, read_head, with_fields, with_model
from smart_router.errors import BadRequest

HEAVY_BYTES = 256 * 1024
SERVED = 'org/model "7B" \\ தமிழ்'
MOST_S = 2.0  # of our own processor time; it takes some hundredths
HEAVIEST_BYTES = 16 * 1024 * 1024
MOST_FOR_THE_HEAVIEST_S = 6.0  # likewise; it takes a tenth

# JSON values as pieces of bytes, so that a test knows where each field's value begins and ends.

SPACES = st.sampled_from(["", "", "", " ", "\n", "\t \r\n", " " * 70])
LETTERS = st.sampled_from([
    "model", "stream", "\\", '"', '"model": "x"', '"model":', "\\u006d", "null", "{", "}", "[", "]", ":", ",", "\n",
    "é", "\N{GRINNING FACE}", "\0", "\x7f", "a", '"stream": null', "தமிழ்", "/",
])  # fmt: skip
TEXTS = st.lists(LETTERS, max_size=5).map("".join)
NUMBERS = st.one_of(
    st.integers(-(10**40), 10**40).map(str), st.sampled_from(["-0", "0.0", "1e3", "-1.5E-7", "1" * 200, "1e400"])
)


@st.composite
def written(draw: st.DrawFn, text: str) -> str:
    """One of the ways to write *text* as a JSON string."""
    how = draw(st.sampled_from(["ascii", "plain", "escaped", "upper"]))
    if how == "ascii":
        return json.dumps(text)
    if how == "plain":
        return json.dumps(text, ensure_ascii=False)
    units = text.encode("utf-16-be")
    code = "".join(f"\\u{units[i] * 256 + units[i + 1]:04x}" for i in range(0, len(units), 2))
    return f'"{code if how == "escaped" else code.upper().replace(chr(92) + "U", chr(92) + "u")}"'


STRINGS = TEXTS.flatmap(written)
SCALARS = st.one_of(STRINGS, NUMBERS, st.sampled_from(["null", "true", "false"]))


def _arrays(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(SPACES, st.lists(inner, max_size=3)).map(
        lambda found: f"[{found[0]}{','.join(found[1])}{found[0]}]"
    )


@st.composite
def _objects(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    names = draw(st.lists(st.one_of(st.sampled_from(["model", "stream", "a"]), TEXTS), max_size=3))
    return f"{{{draw(SPACES)}{','.join(draw(_field(name, inner)) for name in names)}{draw(SPACES)}}}"


@st.composite
def _field(draw: st.DrawFn, name: str, inner: st.SearchStrategy[str]) -> str:
    space = draw(SPACES)
    return f"{space}{draw(written(name))}{space}:{draw(SPACES)}{draw(inner)}{draw(SPACES)}"


VALUES = st.recursive(SCALARS, lambda inner: _arrays(inner) | _objects(inner), max_leaves=4)
TYPED = ("model", "stream", "session_id", "conversation_id", "conversation", "previous_response_id")


@st.composite
def others(draw: st.DrawFn, *not_called: str) -> str:
    """Fields that routing does not read, as a list that begins and ends without a comma."""
    names = draw(st.lists(TEXTS.filter(lambda name: name not in (*TYPED, *not_called)), max_size=3))
    return ",".join(draw(_field(name, VALUES)) for name in names)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes, bytes]:
    """A JSON object that has one `model`: what stands before its value, the value, and what stands after it."""
    first, last = draw(others()), draw(others())
    key, space = draw(written("model")), draw(SPACES)
    before = f"{draw(SPACES)}{{{first}{',' if first else ''}{space}{key}{space}:{draw(SPACES)}"
    after = f"{space}{',' if last else ''}{last}}}{draw(SPACES)}"
    return before.encode(), draw(STRINGS).encode(), after.encode()


def pairs(body: bytes) -> Any:
    """All there is to know of *body*: names in order and repeated, numbers as they are written."""
    return json.loads(body, object_pairs_hook=list, parse_int=str, parse_float=str)


def replaced(body: bytes, model: str = SERVED) -> bytes:
    return with_model(body, read_head(body), model)


@given(parts=bodies(), model=st.one_of(st.just(SERVED), TEXTS))
def test_only_the_value_of_the_outer_model_changes(parts: tuple[bytes, bytes, bytes], model: str) -> None:
    before, value, after = parts
    body = b"".join(parts)
    found = replaced(body, model)
    if json.loads(value) == model:
        assert found == body
        return
    assert found.startswith(before)
    assert found.endswith(after)
    assert json.loads(found[len(before) : len(found) - len(after)]) == model
    assert pairs(found) == [(name, model if name == "model" else value) for name, value in pairs(body)]


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b'{"model":"a"}', b'{"model":"b"}'),
        (b'{"messages":[{"model":"x"}],"model":"a"}', b'{"messages":[{"model":"x"}],"model":"b"}'),
        (b'{"model":"a","tools":[{"model":"x"}]}', b'{"model":"b","tools":[{"model":"x"}]}'),
        (b'{"x":"model","model":"a"}', b'{"x":"model","model":"b"}'),
        (b'{"x":["model"],"model":"a"}', b'{"x":["model"],"model":"b"}'),
        (b'{"x":"say \\"model\\": \\"y\\"","model":"a"}', b'{"x":"say \\"model\\": \\"y\\"","model":"b"}'),
        (b'{"\\"model":"x","model":"a"}', b'{"\\"model":"x","model":"b"}'),
        (b'{"\\\\\\"model":"x","model":"a"}', b'{"\\\\\\"model":"x","model":"b"}'),
        (b'{"{\\"model":"[","model":"a"}', b'{"{\\"model":"[","model":"b"}'),
        (b'{"\\\\":"model","model":"a"}', b'{"\\\\":"model","model":"b"}'),
        (b'{"mod\\u0065l":"a"}', b'{"mod\\u0065l":"b"}'),
        (b'{"\\u006D\\u006f\\u0064\\u0065\\u006C":"a"}', b'{"\\u006D\\u006f\\u0064\\u0065\\u006C":"b"}'),
        (b'{"x":"\\u006","model":"a"}'.replace(b"\\u006", b"\\u0061"), b'{"x":"\\u0061","model":"b"}'),
        (b'{"model"%b:%b"a","x":"model"}' % (b" " * 99, b"\n" * 99),
         b'{"model"%b:%b"b","x":"model"}' % (b" " * 99, b"\n" * 99)),
        (b'{"x":{"model":null},"model":"a","y":{"model":"a"}}', b'{"x":{"model":null},"model":"b","y":{"model":"a"}}'),
        (b'{"model":"a\\"}","x":"model"}', b'{"model":"b","x":"model"}'),
        (b'{"Model":"x","MODEL":"y","model":"a"}', b'{"Model":"x","MODEL":"y","model":"b"}'),
    ],
)  # fmt: skip
def test_the_outer_model_is_told_from_what_looks_like_it(body: bytes, found: bytes) -> None:
    assert replaced(body, "b") == found


def test_a_body_that_has_the_servers_own_name_is_left_alone() -> None:
    body = b'{ "model" : "\\u0061" }'
    assert replaced(body, "a") is body


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b'{"model":"a","x":1,"mod\\u0065l":"b"}',
        b'{"model":null,"model":"b"}',
        b'{"model":null,"x":"y","model":"b"}',
        b'{"model":"a","x":{"model":"c"},"model":"a"}',
    ],
)
def test_a_second_model_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest, match="model: is given twice"):
        replaced(body)


# fields that a minimal chat leaves out


@given(fields=others("model", "stream"), spaces=st.lists(SPACES, min_size=2, max_size=2))
def test_fields_that_are_missing_are_added_and_nothing_else_changes(fields: str, spaces: list[str]) -> None:
    body = f"{spaces[0]}{{{spaces[1]}{fields}}}".encode()
    found = with_fields(body, {"model": "auto", "stream": True})
    assert pairs(found) == [("model", "auto"), ("stream", True), *pairs(body)]
    assert found.startswith(spaces[0].encode() + b"{")
    assert found.endswith(f"{spaces[1]}{fields}}}".encode())


@given(first=others("model", "stream"), last=others("model", "stream"), key=written("stream"), space=SPACES)
def test_a_null_is_filled_in_where_it_stands(first: str, last: str, key: str, space: str) -> None:
    before = f"{{{first}{',' if first else ''}{space}{key}{space}:{space}"
    after = f"{space}{',' if last else ''}{last}}}"
    assert with_fields(f"{before}null{after}".encode(), {"stream": True}) == f"{before}true{after}".encode()


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (b"{}", b'{"stream":true}'),
        (b"{ \n }", b'{"stream":true \n }'),
        (b"{" + b" " * 99 + b"}", b'{"stream":true' + b" " * 99 + b"}"),
        (b'{"a":1}', b'{"stream":true,"a":1}'),
        (b'{"stream":null}', b'{"stream":true}'),
        (b'{"a":1,"stream":null}', b'{"a":1,"stream":true}'),
        (b'{"stream" : null , "a":1}', b'{"stream" : true , "a":1}'),
        (b'{"m":{"stream":null},"stream":null}', b'{"m":{"stream":null},"stream":true}'),
        (b'{"m":[{"stream":null}]}', b'{"stream":true,"m":[{"stream":null}]}'),
        (b'{"m":[{"x":"\\"stream\\": null"}],"stream":null}', b'{"m":[{"x":"\\"stream\\": null"}],"stream":true}'),
        (b'{"\\"stream":null}', b'{"stream":true,"\\"stream":null}'),
        (b'{"stre\\u0061m":null}', b'{"stre\\u0061m":true}'),
        (b'{"stream":null,"stream":null}', b'{"stream":null,"stream":true}'),
        (b'{"stream":false,"stream":null}', b'{"stream":false,"stream":true}'),
    ],
)
def test_the_value_that_counts_is_the_one_filled_in(body: bytes, found: bytes) -> None:
    assert with_fields(body, {"stream": True}) == found
    assert read_head(found).stream is True


def test_several_fields_are_filled_in_together() -> None:
    found = with_fields(b'{"model":null,"messages":[]}', {"model": "auto", "stream": True})
    assert found == b'{"stream":true,"model":"auto","messages":[]}'


@pytest.mark.parametrize("body", [b'{"messages":[]}', b'{"model":null,"messages":[]}', b'{"messages":[],"model":null}'])
def test_a_model_that_is_missing_or_null_is_put_in(body: bytes) -> None:
    assert json.loads(replaced(body)) == {"model": SERVED, "messages": []}


# what cannot be read


def only_bad_request(body: bytes) -> Head | None:
    try:
        return read_head(body)
    except BadRequest as refused:
        assert refused.message
        return None


@given(body=st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe")
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":"\xed\xa0\x80"}')
@example(b'{"model":"\\ud83d"}')
@example(b'{"model":"a"}\0')
@example(b"null")
@example(b"[]")
def test_garbage_is_a_bad_request(body: bytes) -> None:
    only_bad_request(body)


@given(parts=bodies(), cut=st.integers(0, 400), byte=st.integers(0, 255), grows=st.booleans())
def test_a_body_with_one_wrong_byte_is_refused_or_still_means_what_it_says(
    parts: tuple[bytes, bytes, bytes], cut: int, byte: int, grows: bool
) -> None:
    """Whatever is taken is JSON for other readers too, and comes out with the model that was put in."""
    whole = b"".join(parts)
    cut %= len(whole)
    body = whole[:cut] + bytes([byte]) + whole[cut + (not grows) :]
    head = only_bad_request(body)
    if head is None or not isinstance(head.model, str):
        return
    try:
        found = with_model(body, head, SERVED)
    except BadRequest:
        return
    assert json.loads(found)["model"] == SERVED


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b'{"model":7}', "model: "),
        (b'{"model":["a"]}', "model: "),
        (b'{"stream":"yes"}', "stream: "),
        (b'{"session_id":1}', "session_id: "),
        (b'{"conversation":{"id":1}}', "conversation"),
    ],
)
def test_a_field_of_another_type_is_named(body: bytes, place: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_head(body)
    assert refused.value.message.startswith(place)


def test_what_a_client_calls_its_conversation_is_found_in_either_form() -> None:
    assert read_head(b'{"conversation":"c1"}').conversation_ref == "c1"
    assert read_head(b'{"conversation":{"id":"c1","x":2}}').conversation_ref == "c1"
    assert read_head(b'{"conversation_id":"c1"}').conversation_ref == "c1"
    assert read_head(b"{}").conversation_ref is None


def many(piece: bytes, glue: bytes = b",") -> bytes:
    return glue.join([piece] * (HEAVY_BYTES // (len(piece) + len(glue))))


HEAVY = {
    "names as values": b'{"a":[' + many(b'"model"') + b'],"model":"x"}',
    "names as fields": b'{"a":[' + many(b'{"model":1}') + b'],"model":"x"}',
    "names in names": b'{"a":{' + many(b'"\\"model":1') + b'},"model":"x","b":"model"}',
    "escaped quotes": b'{"' + many(b'\\"', b"") + b'\\"model":1,"model":"x"}',
    "quoted names": b'{"a":"' + many(b'\\"model\\":', b" ") + b'","model":"x","b":"model"}',
    "backslashes": b'{"a":"' + many(b"\\\\", b"") + b'","model":"x","b":"model"}',
    "brackets": b'{"a":[' + many(b"[]") + b'],"model":"x","b":"model"}',
    "spaces": b'{"a":[' + many(b'"model"' + b" " * 200) + b'],"model"' + b" " * 1000 + b':"x"}',
    "one long text": b'{"a":"' + b"x" * HEAVY_BYTES + b'","model":"x","b":"model"}',
    "a long name alone": b'{"model":"' + b"x" * HEAVY_BYTES + b'"}',
    "a long name": b'{"model":"' + b"x" * HEAVY_BYTES + b'","b":"model"}',
    "nulls": b'{"model":"x",' + many(b'"stream":null') + b"}",
    "escaped letters": b'{"a":[' + many(b'"\\u006d"') + b'],"model":"x"}',
}


@pytest.mark.parametrize("body", HEAVY.values(), ids=HEAVY)
def test_a_heavy_body_takes_little_time(body: bytes) -> None:
    """It is read in the event loop: meanwhile no one else is served."""
    begun = process_time()
    found = replaced(body)
    with_fields(body, {"stream": True})
    assert process_time() - begun < MOST_S
    assert json.loads(found)["model"] == SERVED


@pytest.mark.parametrize("piece", [b'{"model":1}', b'"model"', b'"\\"model\\":"', b"[[]]"])
def test_the_heaviest_body_takes_a_moment(piece: bytes) -> None:
    body = b'{"a":[' + b",".join([piece] * (HEAVIEST_BYTES // (len(piece) + 1))) + b'],"model":"x","b":{"model":null}}'
    head = read_head(body)
    begun = process_time()
    with_model(body, head, SERVED)
    with_fields(body, {"stream": True})
    assert process_time() - begun < MOST_FOR_THE_HEAVIEST_S


@pytest.mark.parametrize("body", [body for name, body in HEAVY.items() if "long" in name or "quotes" in name])
def test_a_long_text_takes_little_memory(body: bytes) -> None:
    tracemalloc.start()
    replaced(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * len(body)


@pytest.mark.parametrize("bracket", [b"[", b'{"a":', b'[{"model":'])
def test_a_deeply_nested_body_is_refused(bracket: bytes) -> None:
    with pytest.raises(BadRequest, match=r"nested|not JSON"):
        read_head(b'{"model":"x","a":' + bracket * 200_000)


def test_the_least_nested_body_of_all_the_deep_ones_is_read_alike_by_both() -> None:
    """What the decoder takes, the search for `model` takes: it does not recurse."""
    depth = 300
    body = b'{"a":' + b'[{"model":' * depth + b"1" + b"}]" * depth + b',"model":"x"}'
    assert json.loads(replaced(body))["model"] == SERVED

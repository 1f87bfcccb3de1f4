"""Whatever comes as the body of `/route` is an ask that can be carried out, or is refused with the field's name."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smart_router.api.wire import (
    MOST_OF_A_MESSAGE,
    SESSION_ID,
    Delta,
    RouteRequest,
    checked_session_id,
    decode_request,
    event,
    explanation,
)
from smart_router.decide.sse import Event, Parser
from smart_router.errors import BadRequest
from smart_router.types import Because, Decision
from tests.fakes import a_decision
from tests.fuzz.request_body import check
from tests.fuzz.wire import is_text

FIELDS = st.sampled_from([*RouteRequest.__struct_fields__, "type", "url", "data", "media_type", "prompt", "", "\0"])
TEXTS = st.text(max_size=20) | st.sampled_from(
    ["image", "audio/wav", "AAAA", "http://a/b", "data:image/png;base64,AAAA"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(FIELDS, JSON, max_size=6).map(lambda fields: {"query": "Hi"} | fields)


@given(BODIES)
def test_any_json_is_an_ask_that_models_can_be_sent_or_is_refused(body: dict[str, Any]) -> None:
    check(json.dumps(body).encode())


@given(BODIES)
def test_a_refusal_is_short_and_speaks_of_a_field_that_was_sent_or_of_the_whole(body: dict[str, Any]) -> None:
    try:
        decode_request(json.dumps(body).encode())
    except BadRequest as refused:
        assert 0 < len(refused.message) <= MOST_OF_A_MESSAGE
        place = refused.message.partition(":")[0].partition(".")[0].partition("[")[0]
        assert place in body or refused.message.startswith(("unknown fields", "the body"))


@given(st.binary(max_size=200).filter(lambda body: is_text(body)))
@example(b"\xef\xbb\xbf{}")
@example(b'{"query":"\\ud83d"}')
def test_garbage_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_request(body)


@pytest.mark.parametrize("body", [b'{"a":1,"\xff":1}', b'{"query":"Hi","model":"a","a\xc7b":1}'])
def test_an_unknown_field_whose_name_is_not_utf8_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        decode_request(body)


@given(st.text(max_size=140))
def test_a_session_id_is_taken_as_it_is_or_refused(id: str) -> None:
    try:
        assert checked_session_id(id) == id
    except BadRequest:
        assert not SESSION_ID.fullmatch(id)
    else:
        assert 1 <= len(id) <= 128
        assert id.isascii()
        assert id.isprintable()
        assert " " not in id


@given(st.text(), st.sampled_from([b"", b"done"]))
def test_any_text_stays_one_event_of_a_stream(text: str, name: bytes) -> None:
    sent = event(Delta(text.encode(errors="replace").decode()), name)
    (found,) = Parser().feed(sent)
    assert found == Event(found.data, name.decode() or "message")
    assert json.loads(found.data)["delta"] == text.encode(errors="replace").decode()


@given(st.dictionaries(st.text(max_size=8), st.floats(0, 1), max_size=4), st.text(max_size=20))
def test_an_explanation_can_be_a_header(scores: dict[str, float], note: str) -> None:
    texts = {name.encode(errors="replace").decode(): score for name, score in scores.items()}
    decided: Decision = a_decision(scores=texts, because=Because(note=note.encode(errors="replace").decode()))
    found = explanation(decided)
    assert not {*b"\r\n\0"} & {*found}
    assert json.loads(found)["scores"].keys() == texts.keys()

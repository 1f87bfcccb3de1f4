"""
Whatever a client sends as JSON: it is read or refused with a reason, and what is passed on differs from what came in
the value of `model` alone.
"""

import json
from typing import Any, Literal

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from smart_router.api.body import Head, read_head, with_fields, with_model
from smart_router.api.conversation import derived_session, last_turn
from smart_router.api.wire import MOST_OF_A_MESSAGE, SESSION_ID, ask_from, checked_session_id, decode_request
from smart_router.errors import BadRequest
from smart_router.registry import Defaults, Model
from smart_router.settings import Settings
from smart_router.types import Ask, Grant
from smart_router.upstream.base import Call
from smart_router.upstream.payload import request_for
from tests.fuzz.json_mutation import changed as changed

WORDS = (
    b'"model":',
    b'"mod\\u0065l":',
    b'"stream":null',
    b"{}",
    b"[]",
    b"null,",
    b'\\"',
    b"\\\\",
    b"\\ud83d",
    b" \n\t",
)
SERVED = 'org/model "7B" \\ தமிழ்'
LATER = ({"role": "assistant", "content": "That is a long answer"}, {"role": "user", "content": "And a follow-up"})
ANN = Grant("ann", frozenset(("route",)))
SETTINGS = Settings(_env_file=None)
APIS: tuple[Literal["chat", "transcriptions", "speech"], ...] = ("chat", "transcriptions", "speech")


def check(data: bytes) -> None:
    _passed_on(data)
    _in_our_words(data)


# the OpenAI-style paths


def _passed_on(body: bytes) -> None:
    try:
        head = read_head(body)
    except BadRequest as refused:
        assert refused.message
        return
    _model_is_replaced(body, head)
    _fields_are_added(body)
    try:
        session = derived_session("ann", last_turn(head).opening)
    except BadRequest as refused:
        assert refused.message
        return
    if session is not None:
        assert SESSION_ID.fullmatch(session)
        _session_stays(head, session)


def _model_is_replaced(body: bytes, head: Head) -> None:
    """The same fields in the same order, numbers as they were written, and no other byte."""
    before = _pairs(body)
    try:
        found = with_model(body, head, SERVED)
    except BadRequest:
        assert before is None or [name for name, _ in before].count("model") > 1
        return
    assert read_head(found).model == SERVED
    if before is None:
        return
    after = _pairs(found)
    assert _others(after) == _others(before)
    assert [value for name, value in after if name == "model"][-1] == SERVED
    if "model" in dict(before):
        assert [name for name, _ in after] == [name for name, _ in before]


def _fields_are_added(body: bytes) -> None:
    found = read_head(with_fields(body, {"model": "auto", "stream": True}))
    given = read_head(body)
    assert found.model == (given.model or "auto" if given.model != "" else "")
    assert found.stream == (given.stream if isinstance(given.stream, bool) else True)
    assert replace(found, model=None, stream=None) == replace(given, model=None, stream=None)


def _session_stays(head: Head, session: str) -> None:
    """However long the conversation grows."""
    fields = (("messages", head.messages), ("input", head.input), ("prompt", head.prompt))
    name, raw = next((name, raw) for name, raw in fields if raw)
    try:
        said = msgspec.json.decode(raw, type=list[Raw])
    except msgspec.ValidationError:
        return
    grown = replace(head, **{name: Raw(msgspec.json.encode([*said, *LATER]))})
    assert derived_session("ann", last_turn(grown).opening) == session


def _pairs(body: bytes) -> Any:
    """Names in order and repeated, numbers as they are written; None of what nests too deeply for this reader."""
    try:
        return json.loads(body.decode(), object_pairs_hook=list, parse_int=str, parse_float=str)
    except RecursionError:
        return None


def _others(pairs: Any) -> Any:
    return [(name, value) for name, value in pairs if name != "model"]


# our own words


def _in_our_words(body: bytes) -> None:
    try:
        ask = _asked(body)
    except BadRequest as refused:
        assert refused.message
        assert len(refused.message) <= MOST_OF_A_MESSAGE
        return
    assert isinstance(json.loads(body.decode()), dict)
    for api in APIS:
        model = Model(id="m", served_as=SERVED, endpoints=("http://a",), api=api)
        try:
            sent = request_for(Call(ask, model)).body
        except BadRequest:
            continue
        assert api == "transcriptions" or json.loads(sent)["model"] == SERVED


def _asked(body: bytes) -> Ask:
    request = decode_request(body)
    session_id = checked_session_id(request.session_id or "s1")
    return ask_from(
        request,
        request_id="r1",
        grant=ANN,
        session_id=session_id,
        debug=False,
        settings=SETTINGS,
        defaults=Defaults(),
    )

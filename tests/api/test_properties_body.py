"""`model` is replaced and nothing else, in any JSON object; and whose conversation it is stays as it grows."""

import json
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smart_router.api.body import read_head, with_model
from smart_router.api.conversation import derived_session, last_turn
from smart_router.errors import BadRequest
from tests.fuzz.json_mutation import changed
from tests.fuzz.request_body import check
from tests.fuzz.seeds import BODIES

NAMES = st.sampled_from(["model", "model ", "mode", '"model"', "stream", "messages", "tools", "a"]) | st.text(
    max_size=5
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES.filter(lambda name: name != "model"), VALUES, max_size=5)
MODELS = st.text(max_size=12).map(lambda text: text.encode(errors="replace").decode())
TEXTS = st.text(max_size=30)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
MESSAGES = st.lists(st.tuples(ROLES, TEXTS), max_size=6)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A JSON object whose `model` is a text, null, or absent, laid out in one of many ways."""
    fields = draw(OBJECTS) | draw(st.sampled_from([{}, {"model": None}, {"model": "auto"}, {"model": 'a"b\\'}]))
    order = draw(st.permutations(list(fields)))
    separators = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: \r\n"), (",", ":\n\n")]))
    found = json.dumps(
        {name: fields[name] for name in order}, separators=separators, ensure_ascii=draw(st.booleans()),
        indent=draw(st.sampled_from([None, 2])),
    )  # fmt: skip
    return (draw(st.sampled_from(["", " ", "\n"])) + found).encode(errors="replace")


@given(bodies(), MODELS)
def test_the_body_means_the_same_with_the_other_model(body: bytes, model: str) -> None:
    try:
        head = read_head(body)
    except BadRequest:  # another field is of another type than routing reads
        return
    found = with_model(body, head, model)
    assert json.loads(found) == json.loads(body) | {"model": model}
    assert with_model(found, read_head(found), model) == found


@given(bodies(), MODELS, MODELS)
def test_the_last_model_counts(body: bytes, first: str, last: str) -> None:
    try:
        once = with_model(body, read_head(body), first)
    except BadRequest:
        return
    assert json.loads(with_model(once, read_head(once), last)) == json.loads(body) | {"model": last}


@given(st.sampled_from(BODIES), st.integers(0, 2**32), st.integers(1, 4))
def test_whatever_becomes_of_a_request_it_keeps_every_promise_of_the_fuzz_target(
    body: bytes, seed: int, times: int
) -> None:
    chance = Random(seed)
    for _ in range(times):
        body = changed(body, chance)
    check(body)


@given(MESSAGES, MESSAGES, st.sampled_from(["ann", "bob"]))
def test_a_session_once_derived_stays_while_the_conversation_grows(
    begun: list[tuple[str, str]], more: list[tuple[str, str]], caller: str
) -> None:
    session = _session(caller, begun)
    if session is not None:
        assert _session(caller, begun + more) == session
        assert _session("another", begun) != session


@given(MESSAGES)
def test_the_last_turn_is_what_the_user_said_last(messages: list[tuple[str, str]]) -> None:
    turn = last_turn(read_head(_body(messages)))
    said = [text for role, text in messages if role == "user"]
    assert (turn.previous, turn.text) == tuple(["", "", *said][-2:])


def _session(caller: str, messages: list[tuple[str, str]]) -> str | None:
    return derived_session(caller, last_turn(read_head(_body(messages))).opening)


def _body(messages: list[tuple[str, str]]) -> bytes:
    found: list[dict[str, Any]] = [{"role": role, "content": text} for role, text in messages]
    return json.dumps({"model": "auto", "messages": found}).encode()

"""What goes over the wire: every bound names its field and what would be right."""

import json
from typing import Any

import pytest

from smart_router.api.wants import QueryWants
from smart_router.api.wire import RouteRequest, ask_from, checked_session_id, decode_request, explanation
from smart_router.errors import BadRequest
from smart_router.registry import Defaults
from smart_router.types import Ask, Attachment, Because, Grant
from tests.fakes import PIXEL, a_decision, settings

pytestmark = pytest.mark.usefixtures("bare_environment")

ANN = Grant("ann", frozenset(("route",)))


def decoded(**fields: Any) -> RouteRequest:
    return decode_request(json.dumps({"query": "Hi"} | fields).encode())


def asked(*, limits: dict[str, Any] | None = None, grant: Grant = ANN, **fields: Any) -> Ask:
    return ask_from(
        decoded(**fields),
        request_id="r1",
        grant=grant,
        session_id="s1",
        debug=False,
        settings=settings(**limits or {}),
        defaults=Defaults(max_tokens=11, temperature=0.5),
    )


def refusal(body: bytes | None = None, *, limits: dict[str, Any] | None = None, **fields: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        decode_request(body) if body is not None else asked(limits=limits, **fields)
    return caught.value.message


def test_what_the_caller_may_do_goes_along_only_where_it_is_less_than_everything() -> None:
    limited = Grant("ann", frozenset(("route",)), use_cases=frozenset(("agent",)))
    assert asked().grant is None
    assert asked(grant=limited).grant == limited
    assert asked(grant=limited).caller == "ann"


def test_a_query_is_enough_and_the_registrys_defaults_fill_in() -> None:
    assert asked() == Ask("r1", "ann", "Hi", "s1", max_tokens=11, temperature=0.5, wants=QueryWants("Hi", None))


def test_what_is_given_is_taken() -> None:
    found = asked(max_tokens=3, temperature=0, modality="audio", use_case="stt", stream=True, remember=False)
    assert (found.max_tokens, found.temperature, found.modality) == (3, 0, "audio")
    assert (found.use_case, found.stream, found.remember) == ("stt", True, False)


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"query": 5}, "query"),
        ({"query": None}, "query"),
        ({"query": ""}, "query"),
        ({"query": " \n"}, "query"),
        ({"query": "a\0b"}, "query"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": 10**9}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"modality": "smell"}, "modality"),
        ({"context": []}, "context"),
        ({"stream": "yes"}, "stream"),
        ({"user_id": "x" * 257}, "user_id"),
        ({"attachments": {}}, "attachments"),
        ({"attachments": [{"type": "pdf"}]}, "attachments[0].type"),
        ({"attachments": [{"type": "image", "size": 1}]}, "attachments[0]"),
        ({"attachments": [{"type": "image"}]}, "attachments[0]"),
        ({"attachments": [{"type": "image", "url": "http://a/b", "data": PIXEL}]}, "attachments[0]"),
        ({"attachments": [{"type": "image", "data": PIXEL}]}, "attachments[0].media_type"),
        ({"attachments": [{"type": "image", "data": PIXEL, "media_type": "audio/wav"}]}, "attachments[0].media_type"),
        ({"attachments": [{"type": "image", "data": "%%%", "media_type": "image/png"}]}, "attachments[0].data"),
        ({"attachments": [{"type": "image", "data": "", "media_type": "image/png"}]}, "attachments[0].data"),
        ({"attachments": [{"type": "image", "data": "ü", "media_type": "image/png"}]}, "attachments[0].data"),
        ({"attachments": [{"type": "image", "url": "file:///etc/passwd"}]}, "attachments[0].url"),
        ({"attachments": [{"type": "image", "url": "http:///x"}]}, "attachments[0].url"),
        ({"attachments": [{"type": "image", "url": "http://a/ b"}]}, "attachments[0].url"),
        ({"attachments": [{"type": "image", "url": "http://a/" + "x" * 4096}]}, "attachments[0].url"),
        ({"attachments": [{"type": "image", "url": "data:audio/wav;base64,AAAA"}]}, "attachments[0].media_type"),
        ({"attachments": [{"type": "image", "url": "data:image/png;base64,%"}]}, "attachments[0].data"),
    ],
)
def test_a_mistake_names_its_field(fields: dict[str, Any], place: str) -> None:
    assert refusal(**fields).startswith(f"{place}: ")


def test_an_unknown_field_is_named_with_the_known_ones() -> None:
    message = refusal(prompt="Hi")
    assert "`prompt`" in message
    assert "query, session_id" in message


def test_an_unknown_field_of_an_attachment_is_named_with_the_known_ones() -> None:
    message = refusal(attachments=[{"type": "image", "size": 1}])
    assert "`size`" in message
    assert "type, url, data, media_type" in message


@pytest.mark.parametrize("body", [b"", b"{", b"query=Hi", b"\xff\xfe", b'{"query": "\xff"}', b"null", b"[]", b'"Hi"'])
def test_a_body_that_is_no_json_object_is_told(body: bytes) -> None:
    assert refusal(body)


def test_a_deeply_nested_body_is_refused() -> None:
    assert "nested" in refusal(b'{"query": "Hi", "context": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001)


def test_half_a_surrogate_pair_is_refused() -> None:
    """It cannot be written as UTF-8: the model server and the session store would choke on it."""
    with pytest.raises(BadRequest):
        decode_request(b'{"query": "\\ud83d"}')


def test_bounds_come_from_the_settings() -> None:
    assert refusal(query="x" * 11, limits={"max_query_chars": 10}).startswith("query: has 11 characters, at most 10")
    files = [{"type": "image", "url": "http://a/b"}] * 2
    assert refusal(attachments=files, limits={"max_attachments": 1}).startswith("attachments: at most 1")


def test_data_and_data_urls_are_the_same_attachment() -> None:
    plain = asked(attachments=[{"type": "image", "data": PIXEL, "media_type": "image/png"}])
    url = asked(attachments=[{"type": "image", "url": f"data:IMAGE/png;base64,{PIXEL}"}])
    assert plain.attachments == url.attachments == (Attachment("image", data=PIXEL, media_type="image/png"),)
    assert plain.attached == {"image"}


@pytest.mark.parametrize("session_id", ["s1", "a" * 128, "A.z_0:9@b~c+d=e-f"])
def test_a_plain_session_id_is_taken(session_id: str) -> None:
    assert checked_session_id(session_id) == session_id


@pytest.mark.parametrize("session_id", ["", "a" * 129, "a b", "a/b", "s1\n", "{s1}", "ü", "../x", "s1*", "a\0"])
def test_an_odd_session_id_is_refused(session_id: str) -> None:
    with pytest.raises(BadRequest, match="session_id: must be 1 to 128"):
        checked_session_id(session_id)


# why


def test_an_explanation_is_what_the_decision_rested_on() -> None:
    because = Because(("image", "audio"), {"agent": 0.123456, "stt": 0.0}, "multimodal", "stt", "a note")
    found = explanation(a_decision(scores={"agent": 1 / 3, "stt": 2 / 3}, because=because))
    assert json.loads(found) == {
        "scores": {"agent": 0.3333, "stt": 0.6667},
        "because": {
            "hint": ["image", "audio"],
            "guard_cues": {"agent": 0.1235, "stt": 0.0},
            "session_prior": "multimodal",
            "conflict": "stt",
            "note": "a note",
        },
    }


def test_of_a_decision_that_rests_on_nothing_an_explanation_says_so() -> None:
    assert json.loads(explanation(a_decision())) == {
        "scores": {},
        "because": {"hint": [], "guard_cues": {}, "session_prior": None, "conflict": None, "note": ""},
    }


def test_an_explanation_can_be_a_header() -> None:
    found = explanation(a_decision(because=Because(note="a word that answers, thanks or asks on")))
    assert found.isascii()
    assert not set(found) & set(b"\r\n\0")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"query": 5}, "query: must be a text, and is a whole number"),
        ({"query": "x", "max_tokens": 0}, "max_tokens: must be a whole number >= 1"),
        ({"query": "x", "session_id": []}, "session_id: must be a text or null, and is a list"),
        ({"query": "x", "context": "x"}, "context: must be an object, and is a text"),
    ],
)
def test_a_wrong_type_is_told_in_words_of_json(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRequest) as caught:
        decode_request(json.dumps(fields).encode())
    assert str(caught.value) == said

"""What is sent through the two doors, and what is read out of their answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from loadtests.asking import Chat, Decided, Route, Said, Unexpected
from loadtests.conversations import Turn

from loadtests import streams

PICTURE = Turn("What is in this photo?", "multimodal", attach="image")
ASKED = Turn("And what colour is it?", "multimodal")
MOVED_ON = Turn("Write a poem", "agent")
OURS = (
    b'event: route\ndata: {"use_case": "agent", "bypass_used": false, "routing_time": 0.01}\n\n',
    b'data: {"delta": "Once "}\n\n',
    b'data: {"delta": "more"}\n\n',
    b'event: done\ndata: {"use_case": "agent", "bypass_used": true, "routing_time": 0.01}\n\n',
)
OPENAI = (
    b'data: {"choices": [{"delta": {"role": "assistant", "content": ""}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": "Once more"}}]}\n\n',
    b'data: {"choices": [], "usage": {}}\n\n',
    b"data: [DONE]\n\n",
)


def contents(turn: Turn, past: list[Said]) -> list[Any]:
    body = Chat().body(turn, past, "s", stream=False, tokens=4)
    return [message["content"] for message in body["messages"]]


def lines(*events: bytes) -> Iterator[bytes]:
    yield from b"".join(events).splitlines(keepends=True)


def test_route_is_sent_the_turn_alone() -> None:
    body = Route().body(ASKED, [Said(PICTURE, "a cat")], "s", stream=True, tokens=4)
    assert body == {"query": ASKED.say, "max_tokens": 4, "stream": True, "session_id": "s"}


def test_a_batch_has_no_session() -> None:
    assert "session_id" not in Route().body(ASKED, [], None, stream=False, tokens=4)


def test_chat_is_sent_the_conversation_with_its_picture() -> None:
    [picture, answer, asked] = contents(ASKED, [Said(PICTURE, "a cat")])
    assert picture[1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert (answer, asked) == ("a cat", ASKED.say)


def test_chat_leaves_files_out_once_the_conversation_has_moved_on() -> None:
    assert contents(MOVED_ON, [Said(PICTURE, "a cat")]) == [PICTURE.say, "a cat", MOVED_ON.say]


def test_the_decision_is_read_from_the_record_of_route() -> None:
    record = {"use_case": "agent", "bypass_used": True, "routing_time": 0.002}
    assert Route().decided({}, record) == Decided("agent", True, 2.0)


def test_the_decision_is_read_from_the_headers_of_chat() -> None:
    headers = {
        "server-timing": "routing;dur=1.5, inference;dur=300",
        "x-route-use-case": "tts",
        "x-route-bypass": "false",
    }
    assert Chat().decided(headers, {}) == Decided("tts", False, 1.5)


def test_an_answer_without_its_decision_is_an_error() -> None:
    with pytest.raises(Unexpected, match="bypass_used"):
        Route().decided({}, {"use_case": "agent"})
    with pytest.raises(Unexpected, match="Server-Timing"):
        Chat().decided({}, {})


@pytest.mark.parametrize("events", [OURS, OPENAI], ids=["ours", "openai"])
def test_a_stream_is_read_to_its_end_and_its_first_word_told_once(events: tuple[bytes, ...]) -> None:
    firsts: list[str] = []
    heard = streams.read(lines(*events), lambda: firsts.append("first"))
    assert (heard.text, firsts) == ("Once more", ["first"])


@pytest.mark.parametrize("events", [OURS, OPENAI], ids=["ours", "openai"])
def test_a_stream_that_breaks_off_is_an_error(events: tuple[bytes, ...]) -> None:
    with pytest.raises(Unexpected, match="broke off"):
        streams.read(lines(*events[:-1]), lambda: None)


def test_a_stream_that_says_it_failed_is_an_error() -> None:
    failed = b'event: error\ndata: {"success": false, "error_code": "upstream_broke"}\n\n'
    with pytest.raises(Unexpected, match="upstream_broke"):
        streams.read(lines(*OURS[:2], failed), lambda: None)

"""A stream, however its bytes are cut: without a network."""

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.client.address import Address
from smart_router.client.errors import ClientError, NotARouter, StreamBroken
from smart_router.client.reading import MOST_ANSWER_BYTES, Body
from smart_router.client.streaming import Reading
from smart_router.decide.sse import MAX_EVENT_BYTES

WORDS = ["Grüße", " aus", "\n\ndata: ", "日本", " 🎉"]
ADDRESS = Address("http://r")


def event(data: Any, name: str = "message") -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


DECISION = {"use_case": "agent", "selected_model": "m", "session_id": "s"}
SAID = [event({"delta": word}) for word in WORDS]
WHOLE = b"".join([b": m is being woken\n\n", event(DECISION, "route"), *SAID, event(DECISION, "done")])


def words(reading: Reading) -> Iterator[str]:
    while (word := reading.take()) is not None:
        yield word


@given(st.lists(st.integers(0, len(WHOLE))))
def test_any_cut_of_the_bytes_gives_the_same_words(cuts: list[int]) -> None:
    reading = Reading(ADDRESS, "/route")
    seen: list[str] = []
    for begin, end in pairwise([0, *sorted(cuts), len(WHOLE)]):
        reading.feed(WHOLE[begin:end])
        if reading.begun():
            seen += words(reading)
    reading.end()
    assert seen == WORDS
    assert reading.answer
    assert reading.answer.result == reading.text == "".join(WORDS)


@given(st.integers(0, len(WHOLE) - 1))
def test_an_end_before_the_end_is_told_after_the_words_that_came(end: int) -> None:
    reading = Reading(ADDRESS, "/route")
    reading.feed(WHOLE[:end])
    reading.end()
    seen: list[str] = []
    with pytest.raises(StreamBroken) as told:
        while (word := reading.take()) is not None:
            seen.append(word)
    assert seen == WORDS[: len(seen)]
    assert told.value.text_so_far == "".join(seen)


@given(st.lists(st.binary(max_size=50)))
def test_no_bytes_do_worse_than_a_client_error(pieces: list[bytes]) -> None:
    reading = Reading(ADDRESS, "/route")
    for piece in pieces:
        reading.feed(piece)
    reading.end()
    with pytest.raises(ClientError):
        reading.take()


def test_what_follows_the_end_is_nobodys() -> None:
    reading = Reading(ADDRESS, "/route")
    failed = event({"error_message": "m", "error_code": "c"}, "error")
    reading.feed(WHOLE + SAID[0] + failed)
    assert list(words(reading)) == WORDS
    broken = Reading(ADDRESS, "/route")
    broken.feed(event(DECISION, "route") + failed + SAID[0])
    with pytest.raises(StreamBroken, match="the router says: m"):
        broken.take()
    assert broken.text == ""


def test_the_answer_follows_the_last_word() -> None:
    reading = Reading(ADDRESS, "/route")
    reading.feed(WHOLE)
    for word in words(reading):
        assert (reading.answer is None) == (word != WORDS[-1])
    assert reading.answer


def test_an_endless_event_is_given_up() -> None:
    reading = Reading(ADDRESS, "/route")
    reading.feed(b"data: " + b"x" * MAX_EVENT_BYTES)
    with pytest.raises(StreamBroken, match=f"an event of more than {MAX_EVENT_BYTES} bytes"):
        reading.begun()


def test_words_without_an_end_are_given_up() -> None:
    reading = Reading(ADDRESS, "/route")
    reading.feed(event(DECISION, "route"))
    word = json.dumps({"delta": "x" * (MAX_EVENT_BYTES - 100)}).encode()
    for _ in range(MOST_ANSWER_BYTES // MAX_EVENT_BYTES + 2):
        reading.feed(b"data: " + word + b"\n\n")
    assert len(reading.text) <= MOST_ANSWER_BYTES
    assert reading.over
    with pytest.raises(StreamBroken, match=f"more than {MOST_ANSWER_BYTES} characters"):
        list(words(reading))


def test_an_endless_answer_is_given_up() -> None:
    body = Body(ADDRESS)
    body.add(bytes(MOST_ANSWER_BYTES))
    with pytest.raises(NotARouter, match=f"more than {MOST_ANSWER_BYTES} bytes"):
        body.add(b"x")

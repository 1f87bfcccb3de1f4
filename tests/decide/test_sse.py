"""Server-sent events: what the standard says, and any split of the bytes."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide import sse
from smart_router.decide.sse import Event, Parser, TooLong


def events(*chunks: bytes) -> list[Event]:
    parser = Parser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "found"),
    [
        (b"data: hello\n\n", [Event("hello")]),
        (b"data:hello\n\n", [Event("hello")]),
        (b"data:  two spaces\n\n", [Event(" two spaces")]),
        (b"data: a\ndata: b\n\n", [Event("a\nb")]),
        (b"data\n\n", [Event("")]),
        (b"data: a: b\n\n", [Event("a: b")]),
        (b"event: done\ndata: x\n\n", [Event("x", "done")]),
        (b"event: done\n\ndata: x\n\n", [Event("x")]),
        (b": a comment\n\ndata: x\n\n", [Event("x")]),
        (b"id: 7\nretry: 10\nwhatever: y\ndata: x\n\n", [Event("x")]),
        (b"data: a\n\ndata: b\n\n", [Event("a"), Event("b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [Event("a"), Event("b")]),
        (b"data: a\r\rdata: b\r\r\n", [Event("a"), Event("b")]),
        (b"\n\n\n", []),
        (b"data: unfinished\n", []),
        (b"", []),
        ("data: தமிழ்\n\n".encode(), [Event("தமிழ்")]),
        ("data: a\u2028b\x0bc\x85\n\n".encode(), [Event("a\u2028b\x0bc\x85")]),
    ],
)
def test_a_stream_is_read_as_the_standard_says(stream: bytes, found: list[Event]) -> None:
    assert events(stream) == found


def test_a_byte_order_mark_at_the_start_is_dropped() -> None:
    assert events(b"\xef\xbb\xbfdata: x\n\n") == [Event("x")]


def test_an_event_is_given_as_soon_as_it_is_complete() -> None:
    parser = Parser()
    assert parser.feed(b"data: a\n") == []
    assert parser.feed(b"\n") == [Event("a")]


def test_a_line_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(UnicodeDecodeError):
        Parser().feed(b"data: \xff\n\n")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    """A bound that a test can reach quickly."""
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1000)
    return 1000


def test_an_endless_line_is_refused(small: int) -> None:
    parser = Parser()
    with pytest.raises(TooLong):
        for _ in range(20):
            parser.feed(b"x" * 100)


def test_endless_data_lines_are_refused(small: int) -> None:
    parser = Parser()
    with pytest.raises(TooLong):
        for _ in range(20):
            parser.feed(b"data: " + b"x" * 100 + b"\n")


def test_endless_empty_data_lines_are_refused(small: int) -> None:
    parser = Parser()
    with pytest.raises(TooLong):
        for _ in range(100):
            parser.feed(b"data:\n" * 100)


def test_many_events_together_may_be_longer_than_one(small: int) -> None:
    assert len(events(*[b"data: " + b"x" * 500 + b"\n\n"] * 10)) == 10


LINES = st.sampled_from(
    [b"data: a", b"data: b: c", b"data:", b"data", b"event: done", b": note", b"id: 1", "data: நி €".encode(), b""]
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=20).map(lambda parts: b"".join(a + b for a, b in parts))


@given(stream=STREAMS, cuts=st.lists(st.integers(0, 200), max_size=12))
def test_any_split_of_the_bytes_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert events(*chunks) == events(stream)


@given(stream=STREAMS)
def test_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    assert events(*(bytes([byte]) for byte in stream)) == events(stream)


@given(stream=st.binary(max_size=200))
def test_garbage_is_refused_or_read_but_never_breaks_the_parser(stream: bytes) -> None:
    try:
        events(stream)
    except UnicodeDecodeError:
        return

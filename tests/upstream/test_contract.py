"""What every kind of upstream promises, against servers that do anything."""

import asyncio
import base64
import itertools
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from smart_router.cli.processes import free_port
from smart_router.errors import (
    BackendAway,
    BackendBroke,
    BackendBusy,
    BackendLocked,
    BackendModelMissing,
    BackendRejected,
    BackendTimeout,
    BackendUnreachable,
    BadRequest,
    UpstreamError,
)
from smart_router.registry import Model
from smart_router.types import Attachment, Message, Usage
from smart_router.upstream.base import REFUSED, Answer, Call, Forward, Forwarded, Piece, Upstream
from tests.fakes import a_model, an_ask, an_image

from .conftest import DEADLINE_S
from .scripted import (
    DONE,
    HANG_UP,
    STALL,
    STREAM_END,
    STREAM_HEAD,
    USAGE,
    Received,
    ScriptedServer,
    answer,
    chunk,
    completion,
    delta,
    event,
)

WAV = Attachment("audio", data=base64.b64encode(b"RIFF....").decode(), media_type="audio/x-wav")


def a_call(
    query: str = "Hi", *, model: Model | None = None, history: Any = (), stream: bool = False, **ask: Any
) -> Call:
    return Call(an_ask(query, **ask), model or a_model(), tuple(history), stream)


async def pieces_of(found: Answer) -> list[Piece]:
    try:
        return [piece async for piece in found.pieces()]
    finally:
        found.close()


async def asked(upstream: Upstream, server: ScriptedServer, call: Call | None = None) -> list[Piece]:
    return await pieces_of(await upstream.open(call or a_call(), server.url))


async def streamed(upstream: Upstream, server: ScriptedServer) -> list[Piece]:
    return await asked(upstream, server, a_call(stream=True))


def said(pieces: list[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


async def sent(upstream: Upstream, server: ScriptedServer, call: Call) -> Received:
    """What the server got for *call*."""
    server.enqueue(answer(200, completion()))
    await asked(upstream, server, call)
    return server.requests[-1]


@contextmanager
def no_endless_traceback() -> Iterator[None]:
    """Pytest itself chokes on the report of a RecursionError."""
    try:
        yield
    except RecursionError:
        pytest.fail("RecursionError", pytrace=False)


# plain


async def test_a_plain_answer_is_one_piece_with_usage_and_end(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, completion("Hello")))
    assert await asked(upstream, server) == [Piece("Hello", Usage(5, 2), "stop")]


async def test_an_answer_without_text_or_usage_is_empty(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, completion(None, usage=None)))
    assert await asked(upstream, server) == [Piece("", Usage(), "stop")]


async def test_a_connection_is_used_again(upstream: Upstream, server: ScriptedServer) -> None:
    for _ in range(3):
        server.enqueue(answer(200, completion()))
        await asked(upstream, server)
    assert server.connections == 1


async def test_answers_may_be_closed_twice(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, completion()))
    found = await upstream.open(a_call(), server.url)
    found.close()
    found.close()


# streams


TALK = [delta(""), delta("நி"), b": keep-alive\n\n", delta("லை"), delta(None, "stop"), USAGE, DONE]


async def test_a_stream_comes_in_pieces_with_usage_and_end(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STREAM_HEAD, *map(chunk, TALK), STREAM_END)
    found = await streamed(upstream, server)
    assert said(found) == "நிலை"
    assert [piece.finish_reason for piece in found if piece.finish_reason] == ["stop"]
    assert [piece.usage for piece in found if piece.usage] == [Usage(5, 2)]
    assert server.requests[0].json["stream"] is True
    assert server.requests[0].json["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
async def test_any_split_of_a_stream_gives_the_same_text(upstream: Upstream, server: ScriptedServer, size: int) -> None:
    whole = b"".join(TALK)
    parts = [whole[i : i + size] for i in range(0, len(whole), size)]
    server.enqueue(STREAM_HEAD, b"".join(map(chunk, parts)), STREAM_END)
    assert said(await streamed(upstream, server)) == "நிலை"


async def test_any_split_of_the_packets_gives_the_same_text(upstream: Upstream, server: ScriptedServer) -> None:
    wire = STREAM_HEAD + b"".join(map(chunk, TALK)) + STREAM_END
    sizes = itertools.cycle((1, 13, 2, 40))
    parts, at = [], 0
    while at < len(wire):
        parts.append(wire[at : at + (size := next(sizes))])
        at += size
    server.enqueue(*parts)
    assert said(await streamed(upstream, server)) == "நிலை"


async def test_a_stream_without_length_or_chunks_ends_with_its_connection(
    upstream: Upstream, server: ScriptedServer
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
    server.enqueue(head, *TALK, HANG_UP)
    assert said(await streamed(upstream, server)) == "நிலை"


async def test_an_answer_is_accepted_only_with_its_first_content(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("")), STALL, chunk(delta("Hello")), chunk(DONE), STREAM_END)
    opening = asyncio.create_task(upstream.open(a_call(stream=True), server.url))
    await asyncio.wait((opening,), timeout=DEADLINE_S / 4)
    assert not opening.done()
    server.resume.set()
    assert said(await pieces_of(await opening)) == "Hello"


async def test_what_comes_after_the_end_is_left_out(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("Hello") + DONE + delta(" and more") + event(b"garbage")), STREAM_END)
    assert said(await streamed(upstream, server)) == "Hello"


async def test_a_stream_without_content_is_an_empty_answer(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta(None, "stop") + DONE), STREAM_END)
    assert said(await streamed(upstream, server)) == ""


# refusals


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, BackendRejected),
        (413, BackendRejected),
        (422, BackendRejected),
        (429, BackendBusy),
        (503, BackendBusy),
        (401, BackendLocked),
        (402, BackendBroke),
        (404, BackendBroke),
        (500, BackendBroke),
        (502, BackendAway),
        (204, BackendBroke),
        (307, BackendBroke),
    ],
)
async def test_a_status_says_whose_fault_it_is(
    upstream: Upstream, server: ScriptedServer, status: int, error: type[UpstreamError], stream: bool
) -> None:
    body = b"" if status == 204 else b'{"error": {"message": "no such parameter"}}'
    server.enqueue(answer(status, body, Location="/elsewhere"))
    with pytest.raises(UpstreamError) as caught:
        await upstream.open(a_call(stream=stream), server.url)
    assert type(caught.value) is error
    if error is BackendRejected:
        assert (caught.value.status, caught.value.message) == (status, "no such parameter")
    else:
        assert "no such parameter" not in caught.value.message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no"}}', "no"),
        (b'{"message": "no"}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"error": {"message": "' + b"x" * 2000 + b'"}}', "x" * 500),
        (b"<html>", REFUSED),
        (b"", REFUSED),
        (b"\xff", REFUSED),
        (b"[]", REFUSED),
    ],
)
async def test_a_refusal_says_what_the_server_said(
    upstream: Upstream, server: ScriptedServer, body: bytes, message: str
) -> None:
    server.enqueue(answer(400, body))
    with pytest.raises(BackendRejected) as caught:
        await upstream.open(a_call(), server.url)
    assert caught.value.message == message


@pytest.mark.parametrize(("status", "error"), [(400, BackendRejected), (429, BackendBusy)])
async def test_a_refusal_with_a_large_body_is_the_same_refusal(
    upstream: Upstream, server: ScriptedServer, status: int, error: type[UpstreamError]
) -> None:
    """vLLM repeats the input in its complaint, attachments included."""
    server.enqueue(answer(status, json.dumps({"error": {"message": "no", "input": "x" * 200_000}}).encode()))
    with pytest.raises(error):
        await upstream.open(a_call(), server.url)


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("0", 0.0), ("2.5", 2.5), ("-3", 0.0), ("86400", 60.0), ("soon", 1.0)]
)
async def test_a_busy_server_says_when_to_come_back(
    upstream: Upstream, server: ScriptedServer, header: str, seconds: float
) -> None:
    server.enqueue(answer(503, b"", Retry_After=header))
    with pytest.raises(BackendBusy) as caught:
        await upstream.open(a_call(), server.url)
    assert caught.value.retry_after_s == seconds


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("in_s", "least", "most"), [(30, 25, 30), (-3600, 0, 0), (86_400, 60, 60)])
async def test_a_busy_server_may_say_it_with_a_date(
    upstream: Upstream, server: ScriptedServer, status: int, in_s: float, least: float, most: float
) -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=in_s), usegmt=True)
    server.enqueue(answer(status, b"", Retry_After=date))
    with pytest.raises(BackendBusy) as caught:
        await upstream.open(a_call(), server.url)
    assert caught.value.retry_after_s is not None
    assert least <= caught.value.retry_after_s <= most


@pytest.mark.parametrize(
    "date",
    [
        "Mon, 01 Jan 10000 00:00:00 GMT",
        "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
        "Mon, 01 Jan 2027 00:00:00 -99999999999999999999",
        "Mon, 99 Foo 2027 00:00:00 GMT",
    ],
)
async def test_a_date_that_never_comes_is_a_moment_like_no_word(
    upstream: Upstream, server: ScriptedServer, date: str
) -> None:
    server.enqueue(answer(503, b"", Retry_After=date))
    with pytest.raises(BackendBusy) as caught:
        await upstream.open(a_call(), server.url)
    assert caught.value.retry_after_s == 1.0


# what cannot be read


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"choices": []}',
        b'{"choices": null}',
        b'{"choices": [{}]}',
        b'{"choices": [{"message": null}]}',
        b'{"error": {"message": "broken"}}',
        completion(5),
        completion(["a", "list"]),
        completion("Hello", usage={"prompt_tokens": "many"}),
        completion("Hello", usage={"prompt_tokens": 1e999}),
        b"[" * 100_000,
        b"NOT HTTP",
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
async def test_a_plain_answer_that_cannot_be_read_broke(
    upstream: Upstream, server: ScriptedServer, body: bytes
) -> None:
    server.enqueue(*((body, HANG_UP) if body == b"NOT HTTP" else (answer(200, body),)))
    with pytest.raises(BackendBroke), no_endless_traceback():
        await asked(upstream, server)


@pytest.mark.parametrize(
    "data",
    [
        b"garbage",
        b"[]",
        b"5",
        b"\xff",
        b'{"choices": [{"delta": {"content": 5}}]}',
        b'{"choices": [], "usage": {"prompt_tokens": "many"}}',
        b'{"error": {"message": "out of memory"}}',
        b"[" * 100_000,
    ],
    ids=lambda data: data[:50].decode(errors="replace"),
)
@pytest.mark.parametrize("before", [b"", delta("Hello")], ids=["first", "later"])
async def test_a_stream_that_cannot_be_read_broke(
    upstream: Upstream, server: ScriptedServer, data: bytes, before: bytes
) -> None:
    server.enqueue(STREAM_HEAD, chunk(before + event(data) + DONE), STREAM_END)
    with pytest.raises(BackendBroke), no_endless_traceback():
        await streamed(upstream, server)


async def test_a_plain_answer_cut_short_broke(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, completion())[:-10], HANG_UP)
    with pytest.raises(BackendBroke):
        await asked(upstream, server)


async def test_a_connection_that_closes_without_an_answer_broke(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(HANG_UP)
    with pytest.raises(BackendBroke):
        await asked(upstream, server)


@pytest.mark.parametrize("last", [HANG_UP, STREAM_END], ids=["torn", "without its end"])
async def test_a_stream_that_ends_early_broke_after_what_it_gave(
    upstream: Upstream, server: ScriptedServer, last: Any
) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("Hel")), STALL, last)
    found = await upstream.open(a_call(stream=True), server.url)
    got: list[str] = []
    server.resume.set()
    with pytest.raises(BackendBroke):
        async for piece in found.pieces():
            got.append(piece.text)  # noqa: PERF401 - what came before the error counts
    found.close()
    assert got == ["Hel"]


async def test_a_stream_that_ends_before_its_first_content_broke_while_opening(
    upstream: Upstream, server: ScriptedServer
) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("")), STREAM_END)
    with pytest.raises(BackendBroke):
        await upstream.open(a_call(stream=True), server.url)


async def test_an_answer_that_is_no_stream_broke(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, completion()))
    with pytest.raises(BackendBroke):
        await streamed(upstream, server)


# deadlines


async def test_a_stream_that_does_not_begin_is_too_slow_and_let_go(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STALL)
    with pytest.raises(BackendTimeout):
        await upstream.open(a_call(stream=True), server.url)
    await asyncio.wait_for(server.left.wait(), 20)


async def test_a_whole_answer_is_let_go_when_its_caller_gives_up(upstream: Upstream, server: ScriptedServer) -> None:
    """How long it may take, the caller bounds."""
    server.enqueue(STALL)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(upstream.open(a_call(), server.url), 2 * DEADLINE_S)
    await asyncio.wait_for(server.left.wait(), 20)


@pytest.mark.parametrize("data", [b"{}", b'{"choices": [{}]}', b'{"choices": [{"delta": null}]}'])
async def test_an_event_that_says_nothing_is_left_out(upstream: Upstream, server: ScriptedServer, data: bytes) -> None:
    server.enqueue(STREAM_HEAD, chunk(event(data) + delta("Hello") + event(data) + DONE), STREAM_END)
    assert said(await streamed(upstream, server)) == "Hello"


async def test_a_stream_without_content_is_too_slow_and_let_go(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("")), STALL)
    with pytest.raises(BackendTimeout):
        await upstream.open(a_call(stream=True), server.url)
    await asyncio.wait_for(server.left.wait(), 20)


async def test_a_plain_answer_that_stops_in_the_middle_is_too_slow_and_let_go(
    upstream: Upstream, server: ScriptedServer
) -> None:
    server.enqueue(answer(200, completion())[:-10], STALL)
    with pytest.raises(BackendTimeout):
        await asked(upstream, server)
    await asyncio.wait_for(server.left.wait(), 20)


async def test_a_stream_that_stops_in_the_middle_is_too_slow_and_let_go(
    upstream: Upstream, server: ScriptedServer
) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("Hel")), STALL)
    with pytest.raises(BackendTimeout):
        await streamed(upstream, server)
    await asyncio.wait_for(server.left.wait(), 20)


async def test_a_slow_but_steady_plain_answer_is_waited_for(upstream: Upstream, server: ScriptedServer) -> None:
    """The deadline is between chunks, not for all of them together."""
    whole = answer(200, completion("x" * 100))
    server.enqueue(*(step for i in range(0, len(whole), 30) for step in (whole[i : i + 30], STALL)))
    asking = asyncio.create_task(asked(upstream, server))
    while not asking.done():
        await asyncio.wait((asking,), timeout=DEADLINE_S / 4)
        server.resume.set()
        await asyncio.sleep(0)
        server.resume.clear()
    assert said(await asking) == "x" * 100


# connections


async def test_a_refused_connection_is_unreachable(upstream: Upstream) -> None:
    with pytest.raises(BackendUnreachable):
        await upstream.open(a_call(), f"http://127.0.0.1:{free_port()}")


async def test_a_connection_that_is_never_accepted_is_unreachable(upstream: Upstream) -> None:
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for waiting in (first, second):
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        with pytest.raises(BackendUnreachable):
            await upstream.open(a_call(), f"http://127.0.0.1:{listener.getsockname()[1]}")


@pytest.mark.parametrize("endpoint", ["http://no-such-host.invalid", "http://a..b:8000", "https://127.0.0.1:{port}"])
async def test_a_server_that_cannot_be_talked_to_is_an_upstream_error(
    upstream: Upstream, server: ScriptedServer, endpoint: str
) -> None:
    with pytest.raises(UpstreamError):
        await upstream.open(a_call(), endpoint.format(port=server.url.rpartition(":")[2]))


async def test_leaving_early_aborts_the_request_at_the_server(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("Hel")), STALL)
    found = await upstream.open(a_call(stream=True), server.url)
    found.close()
    await asyncio.wait_for(server.left.wait(), 20)
    found.close()


async def test_leaving_while_opening_aborts_the_request_at_the_server(
    upstream: Upstream, server: ScriptedServer
) -> None:
    server.enqueue(STREAM_HEAD, chunk(delta("")), STALL)
    opening = asyncio.create_task(upstream.open(a_call(stream=True), server.url))
    await asyncio.wait_for(server.asked.wait(), 20)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await asyncio.wait_for(server.left.wait(), 20)


async def test_an_error_message_names_no_address(upstream: Upstream) -> None:
    port = free_port()
    with pytest.raises(UpstreamError) as caught:
        await upstream.open(a_call(), f"http://127.0.0.1:{port}")
    assert str(port) not in caught.value.message
    assert "127.0.0.1" not in caught.value.message


# what is sent


async def test_a_chat_carries_the_query_and_its_limits(upstream: Upstream, server: ScriptedServer) -> None:
    model = a_model("org/model", served_as="local")
    got = await sent(upstream, server, a_call("Hi", model=model, max_tokens=7, temperature=0.0))
    assert (got.method, got.path) == ("POST", "/v1/chat/completions")
    assert got.headers["content-type"] == "application/json"
    assert got.json == {
        "model": "local",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 7,
        "temperature": 0.0,
    }


async def test_a_chat_carries_the_conversation_before_the_query(upstream: Upstream, server: ScriptedServer) -> None:
    history = [Message("user", "தமிழ்"), Message("assistant", "ok")]
    got = await sent(upstream, server, a_call("and now?", history=history))
    assert got.json["messages"] == [
        {"role": "user", "content": "தமிழ்"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "and now?"},
    ]


async def test_attachments_are_content_parts_before_the_text(upstream: Upstream, server: ScriptedServer) -> None:
    got = await sent(upstream, server, a_call("look", attachments=(an_image("aaaa"), WAV)))
    assert got.json["messages"][-1]["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aaaa"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/x-wav;base64,{WAV.data}"}},
        {"type": "text", "text": "look"},
    ]


async def test_a_link_is_a_content_part_where_it_can_be_one(upstream: Upstream, server: ScriptedServer) -> None:
    """The others say so; tests/upstream/test_ollama.py."""
    link = Attachment("video", url="https://example.org/v.mp4")
    if upstream.kind == "ollama":
        with pytest.raises(BadRequest, match="not by `url`"):
            await upstream.open(a_call("look", attachments=(link,)), server.url)
        return
    got = await sent(upstream, server, a_call("look", attachments=(link,)))
    parts = got.json["messages"][-1]["content"]
    assert parts[0] == {"type": "video_url", "video_url": {"url": "https://example.org/v.mp4"}}


async def test_remembered_attachments_are_content_parts_too(upstream: Upstream, server: ScriptedServer) -> None:
    got = await sent(upstream, server, a_call("and now?", history=[Message("user", "look", (an_image(),))]))
    assert [part["type"] for part in got.json["messages"][0]["content"]] == ["image_url", "text"]


TRANSCRIBER = a_model("whisper", api="transcriptions", accepts=["audio"])


@pytest.mark.parametrize("stream", [False, True])
async def test_a_transcription_is_a_form_with_the_recording(
    upstream: Upstream, server: ScriptedServer, stream: bool
) -> None:
    if stream:
        server.enqueue(STREAM_HEAD, chunk(delta("Hello") + DONE), STREAM_END)
    else:
        server.enqueue(answer(200, b'{"text": "Hello", "usage": {"type": "duration", "seconds": 1}}'))
    call = a_call(model=TRANSCRIBER, attachments=(WAV,), context={"language": "hi-IN"}, stream=stream)
    assert said(await asked(upstream, server, call)) == "Hello"
    got = server.requests[0]
    assert got.path == "/v1/audio/transcriptions"
    assert got.headers["content-type"].startswith("multipart/form-data")
    for name, value in {"model": b"whisper", "language": b"hi", "response_format": b"json"}.items():
        assert f'name="{name}"'.encode() in got.body
        assert b"\r\n\r\n" + value + b"\r\n" in got.body
    assert b'filename="recording.wav"' in got.body
    assert b"RIFF...." in got.body
    assert (b'name="stream"' in got.body) == stream


@pytest.mark.parametrize(
    "attachments",
    [(), (an_image(),), (Attachment("audio", url="https://example.org/a.wav"),)],
    ids=["none", "image", "link"],
)
async def test_a_transcription_without_a_recording_is_the_callers_mistake(
    upstream: Upstream, server: ScriptedServer, attachments: tuple[Attachment, ...]
) -> None:
    with pytest.raises(BadRequest, match="attach one"):
        await upstream.open(a_call(model=TRANSCRIBER, attachments=attachments), server.url)
    assert server.requests == []


@pytest.mark.parametrize("stream", [False, True])
async def test_speech_comes_back_whole_as_a_data_url(upstream: Upstream, server: ScriptedServer, stream: bool) -> None:
    server.enqueue(answer(200, b"RIFF", "audio/wav"))
    call = a_call("Say this", model=a_model("voice", api="speech"), context={"voice": "asha"}, stream=stream)
    assert said(await asked(upstream, server, call)) == "data:audio/wav;base64,UklGRg=="
    assert server.requests[0].path == "/v1/audio/speech"
    assert server.requests[0].json == {"model": "voice", "input": "Say this", "voice": "asha", "response_format": "wav"}


# passing on


CHAT = b"/v1/chat/completions"


async def passed(upstream: Upstream, server: ScriptedServer, **forward: Any) -> Forwarded:
    given: dict[str, Any] = {"path": CHAT, "body": b"{}", "model": a_model("m", server.url)} | forward
    return await upstream.forward(Forward(**given), server.url, DEADLINE_S)


async def test_what_is_passed_on_comes_back_byte_for_byte(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, b' {"odd":  1, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'))
    found = await passed(upstream, server, body=b'{"x":  1}', headers=((b"x-trace", b"t1"),))
    assert await found.chunk() == b' {"odd":  1, "usage": {"prompt_tokens": 3, "completion_tokens": 4}}'
    assert (found.status, found.complete, found.usage) == (200, True, Usage(3, 4))
    found.close()
    got = server.requests[0]
    assert (got.method, got.path, got.body, got.headers["x-trace"]) == (
        "POST",
        "/v1/chat/completions",
        b'{"x":  1}',
        "t1",
    )


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
async def test_a_refusal_is_the_clients_to_read(upstream: Upstream, server: ScriptedServer, status: int) -> None:
    said = b'{"error": {"message": "Response with id \'resp_1\' not found."}}'
    server.enqueue(answer(status, said))
    found = await passed(upstream, server)
    assert (found.status, await found.chunk()) == (status, said)
    found.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, BackendLocked), (402, BackendBroke), (429, BackendBusy), (500, BackendBroke), (503, BackendBusy)],
)
async def test_what_is_not_the_clients_fault_is_not_passed_on(
    upstream: Upstream, server: ScriptedServer, status: int, error: type[UpstreamError]
) -> None:
    server.enqueue(answer(status, b'{"error": {"message": "Incorrect API key provided: sk-12"}}'))
    with pytest.raises(error) as caught:
        await passed(upstream, server)
    assert "sk-12" not in caught.value.message


# a model that is not there


MISSING = {
    "vLLM": b'{"error": {"message": "The model `the-name` does not exist.", "type": "NotFoundError", "code": 404}}',
    "Ollama": b'{"error": {"message": "model \'the-name\' not found", "type": "not_found_error", "param": null}}',
    "Ollama, older": b'{"error": {"message": "model \\"the-name\\" not found, try pulling it first"}}',
    "OpenAI": b'{"error": {"message": "You have no access to it.", "code": "model_not_found"}}',
}


@pytest.mark.parametrize("body", MISSING.values(), ids=MISSING.keys())
@pytest.mark.parametrize("how", ["whole", "streamed", "passed on"])
async def test_a_model_that_the_server_lacks_is_told_from_a_path_that_it_lacks(
    upstream: Upstream, server: ScriptedServer, body: bytes, how: str
) -> None:
    server.enqueue(answer(404, body))
    model = a_model("org/x", served_as="the-name")
    with pytest.raises(BackendModelMissing, match="the-name") as caught:
        if how == "passed on":
            await passed(upstream, server, model=model)
        else:
            await upstream.open(a_call(model=model, stream=how == "streamed"), server.url)
    assert caught.value.status == 502
    assert caught.value.replica_at_fault


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("Prompt with id 'a model' not found.", None),
        ("Conversation with id 'the-name model' not found.", "not_found"),
        ("File model.jsonl not found", None),
        ("The model `the-name-of-a-tool` does not exist or you do not have access to it.", "model_not_found"),
    ],
)
async def test_what_else_a_client_names_and_is_not_found_is_its_own_fault(
    upstream: Upstream, server: ScriptedServer, message: str, code: str | None
) -> None:
    """Or any client could have a model counted as missing, for all others, too."""
    body = json.dumps({"error": {"message": message, "code": code}}).encode()
    server.enqueue(answer(404, body))
    found = await passed(upstream, server, model=a_model("org/x", served_as="the-name"))
    assert (found.status, await found.chunk()) == (404, body)
    found.close()


# keys


KEY = "sk-secret-1"  # of nobody
LOCKED = a_model("m", api_key=KEY)


@pytest.mark.parametrize("how", ["whole", "streamed", "passed on", "models"])
@pytest.mark.parametrize(("model", "sent"), [(LOCKED, f"Bearer {KEY}"), (a_model("m"), None)])
async def test_a_models_key_goes_to_its_server(
    upstream: Upstream, server: ScriptedServer, how: str, model: Model, sent: str | None
) -> None:
    if how == "streamed":
        server.enqueue(STREAM_HEAD, chunk(delta("Hello") + DONE), STREAM_END)
        await asked(upstream, server, a_call(model=model, stream=True))
    elif how == "whole":
        server.enqueue(answer(200, completion()))
        await asked(upstream, server, a_call(model=model))
    elif how == "passed on":
        server.enqueue(answer(200, completion()))
        (await passed(upstream, server, model=model)).close()
    else:
        server.enqueue(answer(200, LISTED[upstream.kind]))
        await upstream.models(model, server.url)
    assert server.requests[0].headers.get("authorization") == sent


@pytest.mark.parametrize(
    ("model", "advice"), [(LOCKED, "correct api_key"), (a_model("m"), "give this model an api_key")]
)
async def test_a_server_that_is_locked_says_what_to_do(
    upstream: Upstream, server: ScriptedServer, model: Model, advice: str
) -> None:
    server.enqueue(answer(401))
    with pytest.raises(BackendLocked, match=advice) as caught:
        await upstream.open(a_call(model=model), server.url)
    assert KEY not in caught.value.message


# health


LISTED = {
    "vllm": b'{"data": [{"id": "m"}, {"id": "n"}]}',
    "ollama": b'{"models": [{"name": "m:latest"}, {"name": "n:7b"}]}',
    "openai": b'{"object": "list", "data": [{"id": "m", "owned_by": "x"}, {"id": "n"}]}',
}
KNOWN = {"vllm": {"m", "n"}, "ollama": {"m:latest", "n:7b"}, "openai": {"m", "n"}}
PROBES = {
    "vllm": {"/health": b"", "/is_sleeping": b'{"is_sleeping": false}', "/v1/models": LISTED["vllm"]},
    "ollama": {
        "/api/version": b'{"version": "0.32.9"}',
        "/api/tags": LISTED["ollama"],
        "/api/show": b'{"parameters": "num_ctx 8192", "model_info": {}}',
        "/api/ps": b'{"models": []}',
    },
    "openai": {"/v1/models": LISTED["openai"]},
}
MODEL = a_model("m")


async def test_a_healthy_server_is_asked_for_its_health_and_its_models(
    upstream: Upstream, server: ScriptedServer
) -> None:
    probes = PROBES[upstream.kind]
    for body in probes.values():
        server.enqueue(answer(200, body))
    assert await upstream.check(MODEL, server.url) == ""
    assert [request.path for request in server.requests] == list(probes)


async def test_the_models_are_those_that_the_server_lists(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(answer(200, LISTED[upstream.kind]))
    assert await upstream.models(MODEL, server.url) == KNOWN[upstream.kind]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": 5, "models": 5}', b"\xff", b"[" * 100_000])
async def test_a_list_of_models_that_cannot_be_read_broke(
    upstream: Upstream, server: ScriptedServer, body: bytes
) -> None:
    server.enqueue(answer(200, body))
    with pytest.raises(BackendBroke), no_endless_traceback():
        await upstream.models(MODEL, server.url)


async def test_a_server_that_lists_others_only_is_named_with_what_it_has(
    upstream: Upstream, server: ScriptedServer
) -> None:
    for body in PROBES[upstream.kind].values():
        server.enqueue(answer(200, body))
    try:
        told = await upstream.check(a_model("other"), server.url)
    except BackendModelMissing as exc:
        told = exc.message
    assert "other" in told
    assert ("ollama pull other" if upstream.kind == "ollama" else "m, n") in told


@pytest.mark.parametrize("status", [404, 500, 503, 307])
async def test_any_other_status_is_unhealthy(upstream: Upstream, server: ScriptedServer, status: int) -> None:
    server.enqueue(answer(status, Location="/"))
    with pytest.raises(UpstreamError, match=str(status)):
        await upstream.check(MODEL, server.url)


async def test_a_server_that_does_not_say_how_it_is_is_unhealthy(upstream: Upstream, server: ScriptedServer) -> None:
    server.enqueue(STALL)
    with pytest.raises(UpstreamError):
        await upstream.check(MODEL, server.url)


async def test_a_server_that_is_not_there_is_unhealthy(upstream: Upstream) -> None:
    with pytest.raises(BackendUnreachable):
        await upstream.check(MODEL, f"http://127.0.0.1:{free_port()}")

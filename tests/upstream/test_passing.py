"""Answers passed back: not a byte changed, none before it is known to be an answer, none later than it must be."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.errors import BackendBroke, BackendLost, BackendTimeout, UpstreamError
from smart_router.types import Usage
from smart_router.upstream import passing
from smart_router.upstream.passing import MOST_HELD_BYTES, TAIL_BYTES, PassedBack
from smart_router.upstream.response import Header, Response
from tests.fakes import Clock

from .scripted import DONE, USAGE, completion, delta, event

BETWEEN_S = 10.0
CLOCK = Clock()
JSON, EVENTS = b"application/json", b"text/event-stream; charset=utf-8"


@dataclass(frozen=True)
class After:
    """Something that is said so many seconds later."""

    seconds: float
    said: bytes


Step = bytes | After | UpstreamError


@dataclass
class Server:
    """
    A connection whose server takes the next of *steps* whenever somebody waits, and then ends. The clock stands still
    but for `After`.
    """

    steps: list[Step]
    closed: int = 0
    response: Response = field(init=False)

    def __post_init__(self) -> None:
        self.response = Response(self)

    async def wait(self, within_s: float) -> None:
        step = self.steps.pop(0) if self.steps else None
        late = step.seconds if isinstance(step, After) else 0.0
        CLOCK.pass_(min(late, within_s))
        if late > within_s:
            self.response.error = BackendTimeout("too slow")
        elif isinstance(step, UpstreamError):
            self.response.error = step
        elif step is None:
            self.response.ended = True
        else:
            self.response.take(step.said if isinstance(step, After) else step)

    def resume_reading(self) -> None: ...

    def finish(self, response: Response) -> None:
        self.closed += 1


@pytest.fixture(scope="module", autouse=True)
def deadlines_by_that_clock() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(passing, "monotonic", CLOCK)
        yield


def answering(
    *steps: Step, media_type: bytes = EVENTS, status: int = 200, headers: Sequence[Header] = ()
) -> tuple[PassedBack, Server]:
    server = Server(list(steps))
    server.response.status = status
    server.response.headers = [(b"content-type", media_type), *headers]
    return PassedBack(server.response, BETWEEN_S), server


async def begun(*steps: Step, within_s: float = inf, **more: Any) -> tuple[PassedBack, Server]:
    passed, server = answering(*steps, **more)
    await passed.begin(CLOCK() + within_s)
    return passed, server


async def rest(passed: PassedBack) -> bytes:
    found = b""
    while not passed.complete:
        found += await passed.chunk()
    return found


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


def whole(**fields: Any) -> bytes:
    return json.dumps(fields).encode()


ROLE = event({"choices": [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]})
HI = delta("Hi")
PING = b": ping\n\n"
ERROR_500 = event({"error": {"message": "no", "type": "InternalServerError", "param": None, "code": 500}})
ERROR_400 = event({"error": {"message": "no", "type": "BadRequestError", "param": None, "code": 400}})
LOST = BackendLost("the connection broke")


# heads


async def test_what_is_between_the_model_server_and_us_stays_there() -> None:
    headers = [
        (b"server", b"uvicorn"), (b"date", b"today"), (b"connection", b"keep-alive"), (b"keep-alive", b"timeout=5"),
        (b"transfer-encoding", b"chunked"), (b"set-cookie", b"a=b"), (b"x-request-id", b"r9"), (b"upgrade", b"h2c"),
        (b"x-route-model", b"forged"), (b"x-session-id", b"s9"),
    ]  # fmt: skip
    kept = [(b"x-a", b"1"), (b"content-length", b"2"), (b"x-a", b"2"), (b"x-router", b"3")]
    passed, _ = answering(b"{}", media_type=JSON, headers=[*headers[:5], *kept, *headers[5:]])
    assert passed.headers == [(b"content-type", JSON), *kept]


# whole answers

RESPONSE = {"id": "resp_1", "object": "response", "usage": {"input_tokens": 5, "output_tokens": 2}}
USAGES = {
    "a chat": (completion(), Usage(5, 2)),
    "a response": (whole(**RESPONSE), Usage(5, 2)),
    "a message": (whole(id="m1", type="message", usage={"input_tokens": 5, "output_tokens": 2}), Usage(5, 2)),
    "an embedding": (whole(object="list", data=[], usage={"prompt_tokens": 5, "total_tokens": 5}), Usage(5, 0)),
    "none": (whole(data=[]), Usage()),
    "null": (whole(usage=None), Usage()),
    "in part null": (whole(usage={"prompt_tokens": 5, "completion_tokens": None}), Usage(5, 0)),
    "below zero": (whole(usage={"prompt_tokens": -5, "completion_tokens": -2}), Usage()),
    "in words": (whole(usage={"prompt_tokens": "five"}), Usage()),
    "not an object": (whole(usage=7), Usage()),
    "a list": (b"[1, 2]", Usage()),
    "a text": (b'"Hi"', Usage()),
    "spaces": (b" \n{}\n ", Usage()),
}


@pytest.mark.parametrize(("body", "usage"), USAGES.values(), ids=USAGES)
async def test_a_whole_answer_is_passed_on_and_its_tokens_counted(body: bytes, usage: Usage) -> None:
    passed, server = await begun(body, media_type=JSON)
    assert not server.steps
    assert await passed.chunk() == body
    assert passed.complete
    assert passed.usage == usage


@given(name=st.sampled_from(sorted(USAGES)), cuts=st.lists(st.integers(0, 300), max_size=8))
def test_a_whole_answer_is_the_same_however_it_comes(name: str, cuts: list[int]) -> None:
    body, usage = USAGES[name]

    async def found() -> tuple[bytes, Usage]:
        passed, _ = await begun(*split(body, cuts), media_type=JSON + b"; charset=utf-8")
        return await rest(passed), passed.usage

    assert asyncio.run(found()) == (body, usage)


@pytest.mark.parametrize(
    ("body", "id"),
    [
        (whole(**RESPONSE), "resp_1"),
        (whole(id="chatcmpl-1", object="chat.completion"), None),
        (whole(id=5, object="response"), None),
        (whole(object="response"), None),
    ],
)
async def test_only_a_responses_id_is_kept(body: bytes, id: str | None) -> None:
    passed, _ = await begun(body, media_type=JSON)
    assert passed.response_id == id


BROKEN = [b"", b"{", completion()[:-1], b"<html>", b"[1, 2", b'{"usage": 7, "a": }', b'{"id": 5} x', b"[" * 100_000]


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: str(body[:12]))
async def test_a_whole_answer_that_cannot_be_read_is_none(body: bytes) -> None:
    with pytest.raises(BackendBroke):
        await begun(*filter(None, [body]), media_type=JSON)


async def test_a_whole_answer_that_breaks_off_is_none() -> None:
    with pytest.raises(BackendLost):
        await begun(completion()[:-5], LOST, media_type=JSON)


async def test_a_whole_answer_must_be_there_in_time() -> None:
    body = completion()
    parts: list[Step] = [After(0.4, body[i : i + 10]) for i in range(0, len(body), 10)]
    with pytest.raises(BackendTimeout):
        await begun(*parts, media_type=JSON, within_s=1.0)
    passed, _ = await begun(*parts, media_type=JSON, within_s=1000.0)
    assert await rest(passed) == body


async def test_a_very_large_answer_streams_through() -> None:
    """It is not held until it can be read, nor is it read."""
    parts: list[Step] = [b'{"a": "', *[b"x" * 300_000] * 10]
    passed, server = await begun(*parts, media_type=JSON)
    held = sum(map(len, passed._held))
    assert MOST_HELD_BYTES < held <= MOST_HELD_BYTES + 300_000
    waiting = len(server.steps)
    assert len(await passed.chunk()) == held
    assert len(server.steps) == waiting
    assert not passed.complete
    assert held + len(await rest(passed)) == 3_000_007
    assert passed.usage == Usage()


@pytest.mark.parametrize("media_type", [b"audio/wav", b"text/plain", b""])
async def test_what_is_neither_is_passed_on_as_it_comes(media_type: bytes) -> None:
    passed, server = await begun(
        b"RIFF", After(BETWEEN_S - 1, b".."), After(BETWEEN_S - 1, b"."), media_type=media_type
    )
    assert len(server.steps) == 3
    assert [await passed.chunk(), await passed.chunk(), await passed.chunk()] == [b"RIFF", b"..", b"."]
    assert not passed.complete
    assert await passed.chunk() == b""
    assert passed.complete


async def test_a_404_is_read_before_it_is_passed_on() -> None:
    """It may be the model that is not found."""
    passed, server = await begun(b'{"err', b'or": 1}', media_type=JSON, status=404)
    assert (server.steps, passed.refusal) == ([], b'{"error": 1}')
    assert await rest(passed) == b'{"error": 1}'


@pytest.mark.parametrize(("status", "media_type"), [(400, JSON), (422, JSON), (400, EVENTS), (404, EVENTS)])
async def test_a_refusal_is_passed_on_unread_and_may_take_its_time(status: int, media_type: bytes) -> None:
    passed, server = await begun(After(BETWEEN_S - 1, b'{"error"'), ERROR_500, media_type=media_type, status=status)
    assert len(server.steps) == 2
    assert await rest(passed) == b'{"error"' + ERROR_500


async def test_a_refusal_that_never_comes_is_too_slow() -> None:
    passed, _ = await begun(After(BETWEEN_S + 1, b"{}"), media_type=JSON, status=400)
    with pytest.raises(BackendTimeout):
        await passed.chunk()


# streams


@pytest.mark.parametrize(
    ("first", "later"),
    [
        ([HI], [DONE]),
        ([ROLE, HI], [delta(" you"), DONE]),
        ([PING, ROLE, PING, HI], [DONE]),
        ([ROLE + HI], [DONE]),
        ([ROLE, HI[:20], HI[20:]], [DONE]),
        ([ROLE, delta(None, "stop")], [DONE]),
        ([DONE], []),
        ([event(b"not JSON")], [DONE]),
        ([ROLE, b"data: \xff\n\n"], [DONE]),
        ([b"event: message_start\ndata: {}\n\n", b"event: content_block_delta\ndata: {}\n\n"], [b"event: x\n"]),
    ],
)
async def test_a_stream_is_held_until_its_first_content(first: list[bytes], later: list[bytes]) -> None:
    passed, server = await begun(*first, *later)
    assert len(server.steps) == len(later), "no more was waited for"
    assert await passed.chunk() == b"".join(first)
    for part in later:
        assert await passed.chunk() == part
    assert await passed.chunk() == b""
    assert passed.complete


STREAM = PING + ROLE + delta("தமிழ்").replace(b"\n", b"\r\n") + PING + delta("b", "stop") + USAGE + DONE


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_a_stream_is_the_same_however_it_comes(cuts: list[int]) -> None:
    async def found() -> tuple[bytes, Usage]:
        passed, server = await begun(*split(STREAM, cuts))
        taken = len(STREAM) - sum(len(step) for step in server.steps if isinstance(step, bytes))
        assert "தமிழ்".encode() in b"".join(passed._held)
        assert taken == sum(map(len, passed._held))
        return await rest(passed), passed.usage

    assert asyncio.run(found()) == (STREAM, Usage(5, 2))


@pytest.mark.parametrize("before", [[], [PING], [ROLE]])
@pytest.mark.parametrize(
    "error",
    [ERROR_500, event({"error": "no"}), b"event: error\n" + event({"message": "no"}),
     event({"type": "response.failed", "response": {"error": {"code": "server_error"}}})],
)  # fmt: skip
async def test_an_error_before_any_content_is_no_answer(before: list[bytes], error: bytes) -> None:
    for cut in (len(error), 9):
        with pytest.raises(BackendBroke, match="reported an error"):
            await begun(*before, error[:cut], error[cut:] + DONE)


@pytest.mark.parametrize("before", [[], [ROLE]])
async def test_an_error_that_the_request_caused_is_the_clients_to_read(before: list[bytes]) -> None:
    passed, _ = await begun(*before, ERROR_400, DONE)
    assert await rest(passed) == b"".join([*before, ERROR_400, DONE])


async def test_an_error_after_content_is_the_clients_to_read() -> None:
    passed, _ = await begun(HI, ERROR_500)
    assert await rest(passed) == HI + ERROR_500
    passed, _ = await begun(HI + ERROR_500)
    assert await rest(passed) == HI + ERROR_500


@pytest.mark.parametrize("steps", [[], [PING], [ROLE], [ROLE, PING, b": pi"], [b"\n\n"], [ROLE[:-2]]])
async def test_a_stream_that_ends_without_content_is_no_answer(steps: list[Step]) -> None:
    with pytest.raises(BackendBroke, match="without content"):
        await begun(*steps)


async def test_content_that_only_the_end_completes_is_content() -> None:
    passed, _ = await begun(ROLE, HI[:-2])
    assert await rest(passed) == ROLE + HI[:-2]


async def test_an_error_that_only_the_end_completes_is_an_error() -> None:
    with pytest.raises(BackendBroke, match="reported an error"):
        await begun(ROLE, ERROR_500[:-1])


async def test_a_stream_that_breaks_off_before_content_is_no_answer() -> None:
    with pytest.raises(BackendLost):
        await begun(ROLE, LOST)


async def test_a_stream_that_breaks_off_gives_what_it_gave() -> None:
    passed, _ = await begun(ROLE, HI, delta(" you"), LOST)
    assert await passed.chunk() == ROLE + HI
    assert await passed.chunk() == delta(" you")
    with pytest.raises(BackendLost):
        await passed.chunk()
    assert not passed.complete


async def test_an_endless_preamble_is_passed_on_in_the_end() -> None:
    line = b": " + b"x" * 100_000 + b"\n\n"
    passed, server = await begun(*[line] * 20, HI)
    assert MOST_HELD_BYTES <= sum(map(len, passed._held)) < MOST_HELD_BYTES + len(line)
    assert server.steps
    assert await rest(passed) == line * 20 + HI


# deadlines of streams


@pytest.mark.parametrize("said", [PING, ROLE])
async def test_first_content_has_one_deadline_whatever_comes_before(said: bytes) -> None:
    steps: list[Step] = [After(0.4, said)] * 10
    began = CLOCK()
    with pytest.raises(BackendTimeout):
        await begun(*steps, HI, within_s=1.0)
    assert CLOCK() == pytest.approx(began + 1.0)


async def test_content_extends_the_deadline() -> None:
    steps: list[Step] = [After(BETWEEN_S - 1, HI)] * 5
    passed, _ = await begun(HI, *steps)
    assert await rest(passed) == HI * 6


@pytest.mark.parametrize("ping", [PING, b":\n\n", b"\n", b": a\n: b\n\n", b": ping\r\n\r\n", b": a\r\r"])
async def test_comments_do_not_extend_the_deadline(ping: bytes) -> None:
    steps: list[Step] = [After(BETWEEN_S * 0.4, ping)] * 5
    passed, _ = await begun(HI, *steps)
    began = CLOCK()
    with pytest.raises(BackendTimeout):
        await rest(passed)
    assert CLOCK() == pytest.approx(began + BETWEEN_S)


async def test_a_comment_beside_content_does_not_hide_it() -> None:
    steps: list[Step] = [After(BETWEEN_S - 1, PING + HI)] * 3
    passed, _ = await begun(HI, *steps)
    assert await rest(passed) == HI + (PING + HI) * 3


async def test_the_deadline_after_the_first_content_begins_with_it() -> None:
    """However long the first took."""
    passed, _ = await begun(After(100, ROLE), After(100, HI), After(BETWEEN_S - 1, HI), within_s=300)
    assert await rest(passed) == ROLE + HI + HI


# tokens and ids of streams


def ending(*events: bytes) -> list[bytes]:
    return [ROLE, HI, *events]


SO_FAR = event({"choices": [{"delta": {"content": "x"}}], "usage": {"prompt_tokens": 4, "completion_tokens": 1}})
LIAR = json.dumps({"completion_tokens": 99, "prompt_tokens": 99})


@pytest.mark.parametrize(
    ("events", "usage"),
    [
        (ending(USAGE, DONE), Usage(5, 2)),
        (ending(USAGE + DONE), Usage(5, 2)),
        (ending(USAGE[:30], USAGE[30:50], USAGE[50:], DONE), Usage(5, 2)),
        (ending(SO_FAR, USAGE, DONE), Usage(5, 2)),
        (ending(SO_FAR, DONE), Usage(4, 1)),
        (ending(USAGE, PING, DONE), Usage(5, 2)),
        (ending(DONE), Usage()),
        (ending(delta(LIAR), DONE), Usage()),
        (ending(USAGE, delta(LIAR), DONE), Usage(5, 2)),
        (ending(delta("x" * 10 * TAIL_BYTES), USAGE, DONE), Usage(5, 2)),
        (ending(USAGE, delta("x" * 2 * TAIL_BYTES)), Usage()),
        (ending(event({"type": "message_delta", "usage": {"input_tokens": 5, "output_tokens": 2}})), Usage(5, 2)),
        (ending(event({"usage": {"prompt_tokens": None, "completion_tokens": 2}})), Usage(0, 2)),
        (ending(event(b'{"usage": {"prompt_tokens" : 5, "completion_tokens":2}}')), Usage(5, 2)),
        (ending(event(b'{"usage": {"prompt_tokens": -5}}')), Usage()),
    ],
)
async def test_the_last_counts_of_a_stream_are_its_tokens(events: list[bytes], usage: Usage) -> None:
    passed, _ = await begun(*events)
    assert await rest(passed) == b"".join(events)
    assert passed.usage == usage
    assert len(passed._tail) <= TAIL_BYTES


async def test_a_responses_tokens_are_found_at_the_end_of_a_long_event() -> None:
    """It repeats all that was said."""
    output = [{"type": "message", "content": [{"type": "output_text", "text": LIAR + "x" * 2 * TAIL_BYTES}]}]
    done = {"id": "resp_1", "output": output, "usage": RESPONSE["usage"], "user": None}
    completed = event({"type": "response.completed", "response": done})
    passed, _ = await begun(event({"type": "response.created", "response": RESPONSE}), completed)
    await rest(passed)
    assert passed.usage == Usage(5, 2)


@pytest.mark.parametrize("first", [[], [PING], [event({"type": "response.queued"})]])
async def test_a_streamed_responses_id_is_known_before_its_content(first: list[bytes]) -> None:
    created = event({"type": "response.created", "response": {"id": "resp_1"}})
    later = event({"type": "response.in_progress", "response": {"id": "resp_2"}})
    passed, _ = await begun(*first, created, later, event({"type": "response.output_text.delta", "delta": "Hi"}))
    assert passed.response_id == "resp_1"


async def test_a_chat_has_no_responses_id() -> None:
    passed, _ = await begun(ROLE, HI)
    assert passed.response_id is None


async def test_an_answer_is_closed_once() -> None:
    passed, server = await begun(ROLE, HI)
    passed.close()
    passed.close()
    assert server.closed == 1

"""What a client is told that reads a stream already, as it waited for its model, where the answer is none."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from smart_router.api.envelopes import Dialect
from smart_router.api.passing import MOST_OF_AN_EVENT, Pass
from smart_router.api.presence import Presence
from smart_router.api.visit import Visit
from smart_router.decide import sse
from smart_router.errors import BackendLost, UpstreamError
from smart_router.exchange import Passage

SCOPE: dict[str, Any] = {"type": "http", "path": "/v1/messages", "headers": []}
REFUSED = b'{"error": {\n  "message": "max_tokens: too many"}}'


class Answered:
    """A passage: *parts* one after the other, then its end or *trouble*."""

    def __init__(self, status: int, *parts: bytes, trouble: UpstreamError | None = None) -> None:
        self.parts = list(parts)
        self.trouble = trouble
        self.answer = self
        self.status = status
        self.events = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.ask = SimpleNamespace(request_id="r1")
        self.failure: UpstreamError | None = None
        self.closed = 0

    @property
    def complete(self) -> bool:
        return not self.parts and self.trouble is None

    async def chunk(self) -> bytes:
        if self.parts:
            return self.parts.pop(0)
        if self.trouble is not None:
            raise self.trouble
        return b""

    def close(self) -> None:
        self.closed += 1


async def passed(answered: Answered, dialect: Dialect) -> list[sse.Event]:
    """The events that the client reads."""
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        told.append(message)

    visit = Visit(SCOPE, receive, Presence(), dialect)
    visit.started = visit.waited = True
    try:
        await Pass(cast(Passage, answered), visit, 10.0)(send)
    finally:
        visit.leave()
    assert [message["type"] for message in told] == ["http.response.body"]
    assert not told[-1].get("more_body")
    assert answered.closed
    return list(sse.Parser().feed(told[0]["body"]))


@pytest.mark.parametrize(("dialect", "name"), [("openai", "message"), ("responses", "error"), ("anthropic", "error")])
async def test_a_refusal_is_an_event_that_its_clients_heed(dialect: Dialect, name: str) -> None:
    (event,) = await passed(Answered(400, REFUSED[:9], REFUSED[9:]), dialect)
    assert event.event == name
    assert json.loads(event.data) == json.loads(REFUSED)


@pytest.mark.parametrize("body", [b"", b"<html>403 Forbidden</html>", b"[]", b'"no"', b"\xff\xfe", b"[" * 100_000])
async def test_a_refusal_that_no_client_could_read_is_told_in_our_words(body: bytes) -> None:
    (event,) = await passed(Answered(403, body), "anthropic")
    assert event.event == "error"
    told = json.loads(event.data)
    assert (told["type"], told["error"]["type"]) == ("error", "permission_error")
    assert told["error"]["message"]


async def test_an_answer_that_is_neither_a_stream_nor_an_object_is_an_error() -> None:
    answered = Answered(200, b"RIFF\0\0WAVE")
    (event,) = await passed(answered, "openai")
    assert json.loads(event.data)["error"]["code"] == "upstream_broke"
    assert answered.failure is not None


async def test_one_that_breaks_off_is_told_by_an_event() -> None:
    answered = Answered(400, b'{"error"', trouble=BackendLost("the connection broke"))
    (event,) = await passed(answered, "openai")
    assert json.loads(event.data)["error"]["message"] == f"the connection broke; {BackendLost.then}"
    assert answered.failure is answered.trouble


async def test_one_that_is_too_long_is_not_kept() -> None:
    answered = Answered(400, *([b" " * 65536] * (MOST_OF_AN_EVENT // 65536 * 4)))
    (event,) = await passed(answered, "openai")
    assert json.loads(event.data)["error"]["code"] == "upstream_broke"
    assert answered.parts

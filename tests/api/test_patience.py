"""What a client that takes a stream is told while its model wakes."""

import asyncio
from typing import Any

import pytest

from smart_router.access.keyring import KeyRing
from smart_router.api.auth import Door
from smart_router.api.patience import StreamPatience, with_patience
from smart_router.api.presence import Presence
from smart_router.api.visit import Desk, Visit
from smart_router.errors import ModelNotReady
from smart_router.types import Admission, Rate
from tests.fakes import a_decision, an_ask, settings

SCOPE: dict[str, Any] = {"type": "http", "path": "/route", "headers": [(b"x-request-id", b"r1")]}


class Client:
    """Never leaves; `told` is what it was sent."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(self, message: Any) -> None:
        self.told.append(message)

    @property
    def comments(self) -> list[bytes]:
        return [message["body"] for message in self.told if "body" in message]


class Waiting:
    """One request's patience; `model` is awake once that is said."""

    def __init__(self, interval_s: float = 0.01) -> None:
        self.client = Client()
        self.visit = Visit(SCOPE, self.client.receive, Presence())
        self.visit.ask = an_ask(stream=True, session_id="s1")
        self.patience = StreamPatience(self.visit, self.client.send, settings(wait_comment_interval=interval_s))
        admission = Admission(Rate(per_minute=60, burst=5), admitted=True, remaining=4, reset_s=1.0, retry_after_s=0.0)
        self.patience.decided(a_decision("agent"), "text-model", admission)
        self.awake: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def wait(self) -> str:
        return await self.patience.waiting("text-model", self.awake)


async def until_told(waiting: Waiting, messages: int) -> None:
    async with asyncio.timeout(10):
        while len(waiting.client.told) < messages:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_model_that_is_awake_soon_is_not_worth_a_word() -> None:
    waiting = Waiting(interval_s=60)
    waiting.awake.set_result("yes")
    assert await waiting.wait() == "yes"
    assert (waiting.client.told, waiting.visit.started, waiting.visit.waited) == ([], False, False)


async def test_then_the_stream_begins_with_comments() -> None:
    waiting = Waiting()
    task = asyncio.create_task(waiting.wait())
    await until_told(waiting, 3)
    waiting.awake.set_result("yes")
    assert await task == "yes"
    start = waiting.client.told[0]
    headers = dict(start["headers"])
    assert (start["type"], start["status"]) == ("http.response.start", 200)
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert (headers[b"x-request-id"], headers[b"x-session-id"]) == (b"r1", b"s1")
    assert (headers[b"x-route-use-case"], headers[b"x-route-model"]) == (b"agent", b"text-model")
    assert (headers[b"x-ratelimit-limit"], headers[b"x-ratelimit-remaining"]) == (b"60", b"4")
    assert all(comment.startswith(b": text-model is being woken") for comment in waiting.client.comments)
    assert all(comment.endswith(b"\n\n") and comment.count(b"\n") == 2 for comment in waiting.client.comments)
    assert waiting.visit.started and waiting.visit.waited


async def test_the_head_is_sent_once_however_often_it_waits() -> None:
    waiting = Waiting()
    for model in ("a", "b"):
        before = len(waiting.client.told)
        waiting.awake = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(waiting.patience.waiting(model, waiting.awake))
        await until_told(waiting, before + 2)
        waiting.awake.set_result("yes")
        await task
    assert [message["type"] for message in waiting.client.told].count("http.response.start") == 1


async def test_a_failure_is_the_waiters() -> None:
    waiting = Waiting()
    waiting.awake.set_exception(ModelNotReady("not awake"))
    with pytest.raises(ModelNotReady):
        await waiting.wait()


async def test_who_leaves_does_not_leave_a_waiter_behind() -> None:
    waiting = Waiting()
    task = asyncio.create_task(waiting.wait())
    await until_told(waiting, 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert waiting.awake.cancelled()


@pytest.mark.parametrize("leaves", [False, True])
async def test_who_does_not_take_the_end_of_a_stream_is_no_error(leaves: bool) -> None:
    desk = Desk(Door(KeyRing(settings(), {}, {})), settings(send_timeout=60.0 if leaves else 0.1), ())

    async def receive() -> dict[str, Any]:
        if not leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(_: Any) -> None:
        await asyncio.Event().wait()

    async def handled() -> None:
        visit = Visit(SCOPE, receive, desk.presence)
        visit.presence.all_read()
        visit.started = visit.waited = True
        try:
            await desk.failed(visit, send, ModelNotReady("not awake"), observe=True)
        finally:
            visit.leave()

    task = asyncio.create_task(handled())
    async with asyncio.timeout(20):
        await asyncio.wait({task})
    assert not task.cancelled()
    await task


async def test_who_takes_no_stream_cannot_be_told_anything() -> None:
    waiting = Waiting()
    assert with_patience(an_ask(stream=False), waiting.visit, waiting.client.send, settings()).patience is None
    assert with_patience(an_ask(stream=True), waiting.visit, waiting.client.send, settings()).patience is not None

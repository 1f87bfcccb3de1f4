"""Clients that leave and clients that are too slow: each ends its own request, for its own reason, and no other."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from math import inf
from types import SimpleNamespace
from typing import Any, cast

import pytest

from smart_router.api import presence as module
from smart_router.api.asgi import ClientGone
from smart_router.api.passing import Pass
from smart_router.api.presence import Presence, Visitor
from smart_router.api.visit import Visit
from smart_router.errors import BadRequest
from smart_router.exchange import Passage
from smart_router.types import Ask, Decision
from tests.fakes import a_decision, a_model, an_ask

SOON_S = 0.02
TOO_SLOW = BadRequest("too slow")
GONE: dict[str, Any] = {"type": "http.disconnect"}


def too_slow() -> Exception:
    return TOO_SLOW


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks that a test can wait for."""
    monkeypatch.setattr(module, "TICK_S", 0.005)


@pytest.fixture
def presence() -> Presence:
    return Presence()


class Client:
    """What it does is put into `does`; `asked` counts how often somebody waited for that."""

    def __init__(self) -> None:
        self.does: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        return await self.does.get()

    async def never_takes(self, message: object) -> None:
        await asyncio.Event().wait()


Handler = Callable[[Visitor], Awaitable[object]]


def visit(presence: Presence, client: Client, handler: Handler) -> "asyncio.Task[object]":
    """Serves one request as the data plane does; gives what the handler gave, or why it was ended."""

    async def serve() -> object:
        visitor = presence.enter(client.receive)
        try:
            return await handler(visitor)
        except asyncio.CancelledError:
            reason = visitor.explained()
            if reason is None:
                raise
            task = asyncio.current_task()
            assert task is not None
            assert not task.cancelling(), "it is not cancelled any more"
            return reason
        finally:
            visitor.leave()

    return asyncio.create_task(serve())


async def some_ticks(number: int = 4) -> None:
    await asyncio.sleep(number * module.TICK_S)


async def idle(presence: Presence) -> None:
    """Soon nothing of it is left: no visitor, no timer, no task."""
    await some_ticks()
    assert presence._timer is None
    assert not presence._visitors
    assert asyncio.all_tasks() == {asyncio.current_task()}
    gc.collect()  # what was never awaited or retrieved would be told now


async def forever(visitor: Visitor) -> None:
    await asyncio.Event().wait()


async def has_read(visitor: Visitor) -> None:
    visitor.expect(60, too_slow)
    visitor.all_read()
    await forever(visitor)


# slow bodies


async def test_a_body_that_is_too_slow_ends_the_request_with_its_reason(presence: Presence) -> None:
    async def reads(visitor: Visitor) -> None:
        visitor.expect(SOON_S, too_slow)
        await client.receive()

    client = Client()
    assert await visit(presence, client, reads) is TOO_SLOW
    await idle(presence)


async def test_a_body_that_arrives_in_time_ends_the_deadline(presence: Presence) -> None:
    async def answers(visitor: Visitor) -> str:
        visitor.expect(SOON_S, too_slow)
        visitor.all_read()
        await asyncio.sleep(2 * SOON_S)
        return "answered"

    assert await visit(presence, Client(), answers) == "answered"


async def test_the_last_deadline_counts(presence: Presence) -> None:
    later = BadRequest("the last")

    async def reads(visitor: Visitor) -> None:
        visitor.expect(60, too_slow)
        visitor.expect(SOON_S, lambda: later)
        await forever(visitor)

    assert await visit(presence, Client(), reads) is later


async def test_nothing_of_a_body_is_taken_from_who_reads_it(presence: Presence) -> None:
    async def reads(visitor: Visitor) -> object:
        visitor.expect(60, too_slow)
        return (await client.receive())["body"]

    client = Client()
    reading = visit(presence, client, reads)
    await some_ticks()
    assert client.asked == 1
    client.does.put_nowait({"type": "http.request", "body": b"all"})
    assert await reading == b"all"


async def test_one_request_too_slow_is_not_the_other(presence: Presence) -> None:
    async def is_slow(visitor: Visitor) -> None:
        visitor.expect(SOON_S, too_slow)
        await forever(visitor)

    other = visit(presence, Client(), forever)
    assert await visit(presence, Client(), is_slow) is TOO_SLOW
    assert not other.done()
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    await idle(presence)


# clients that leave


async def test_a_client_that_leaves_ends_its_request(presence: Presence) -> None:
    client, stays = Client(), Client()
    other = visit(presence, stays, has_read)
    serving = visit(presence, client, has_read)
    await some_ticks()
    client.does.put_nowait(GONE)
    assert isinstance(await serving, ClientGone)
    await some_ticks()
    assert not other.done()
    stays.does.put_nowait(GONE)
    assert isinstance(await other, ClientGone)
    await idle(presence)


async def test_a_client_that_left_at_once_is_noticed_too(presence: Presence) -> None:
    client = Client()
    client.does.put_nowait(GONE)
    assert isinstance(await visit(presence, client, has_read), ClientGone)


async def test_what_a_client_still_says_is_not_its_leaving(presence: Presence) -> None:
    client = Client()
    serving = visit(presence, client, has_read)
    client.does.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    await some_ticks()
    assert not serving.done()
    client.does.put_nowait(GONE)
    assert isinstance(await serving, ClientGone)


async def test_who_left_is_told_once(presence: Presence) -> None:
    """The first reason stays; being gone does not break off what is said of a slow body."""

    async def reads(visitor: Visitor) -> None:
        visitor.expect(SOON_S, too_slow)
        try:
            await forever(visitor)
        finally:
            visitor.all_read()
            await some_ticks()

    client = Client()
    client.does.put_nowait(GONE)
    assert await visit(presence, client, reads) is TOO_SLOW


async def test_whoever_leaves_after_the_answer_ends_nothing(presence: Presence) -> None:
    client = Client()

    async def serves_on() -> str:
        visitor = presence.enter(client.receive)
        visitor.all_read()
        await some_ticks()
        visitor.leave()
        client.does.put_nowait(GONE)
        await some_ticks()
        return "went on"

    assert await asyncio.create_task(serves_on()) == "went on"
    await idle(presence)


async def test_a_deadline_that_passes_after_the_answer_ends_nothing(presence: Presence) -> None:
    async def serves_on() -> str:
        visitor = presence.enter(Client().receive)
        visitor.expect(0, too_slow)
        visitor.leave()
        visitor.look(inf)
        await some_ticks()
        return "went on"

    assert await asyncio.create_task(serves_on()) == "went on"


# cancelled by others


@pytest.mark.parametrize("handler", [forever, has_read])
async def test_a_cancellation_from_outside_is_not_swallowed(presence: Presence, handler: Handler) -> None:
    serving = visit(presence, Client(), handler)
    await some_ticks()
    serving.cancel("shutting down")
    with pytest.raises(asyncio.CancelledError):
        await serving
    await idle(presence)


@pytest.mark.parametrize("ours_first", [True, False])
async def test_a_cancellation_from_outside_counts_beside_our_own(presence: Presence, ours_first: bool) -> None:
    visitors: list[Visitor] = []

    async def reads(visitor: Visitor) -> None:
        visitors.append(visitor)
        visitor.expect(60, too_slow)
        await forever(visitor)

    serving = visit(presence, Client(), reads)
    await some_ticks()
    if ours_first:
        visitors[0].look(inf)
    serving.cancel()
    visitors[0].look(inf)
    with pytest.raises(asyncio.CancelledError):
        await serving
    await idle(presence)


async def test_a_task_group_around_a_request_goes_on(presence: Presence) -> None:
    """The cancellation was undone: structured code outside does not see one."""

    async def serve() -> str:
        async with asyncio.timeout(60):
            visitor = presence.enter(Client().receive)
            visitor.expect(0, too_slow)
            try:
                await forever(visitor)
            except asyncio.CancelledError:
                assert visitor.explained() is TOO_SLOW
            visitor.leave()
        await asyncio.sleep(0)
        return "went on"

    assert await asyncio.create_task(serve()) == "went on"


# sending


async def test_a_client_that_takes_nothing_counts_as_gone(presence: Presence) -> None:
    async def answers(visitor: Visitor) -> None:
        visitor.expect(60, too_slow)
        visitor.all_read()
        await visitor.send(client.never_takes, {}, SOON_S)

    client = Client()
    assert isinstance(await visit(presence, client, answers), ClientGone)
    await idle(presence)


async def test_each_part_has_its_own_deadline(presence: Presence) -> None:
    async def takes_slowly(message: object) -> None:
        await asyncio.sleep(SOON_S / 2)

    async def answers(visitor: Visitor) -> str:
        for _ in range(4):
            await visitor.send(takes_slowly, {}, 10)
            assert visitor.due == inf
        await asyncio.sleep(SOON_S)
        return "answered"

    assert await visit(presence, Client(), answers) == "answered"


async def test_a_send_that_fails_fails_for_its_own_reason(presence: Presence) -> None:
    async def breaks(message: object) -> None:
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await visit(presence, Client(), lambda visitor: visitor.send(breaks, {}, SOON_S))
    await idle(presence)


@dataclass
class Parts:
    """An answer of three parts, to be passed on; `closed` once the model server's side of it is over."""

    parts: list[bytes] = field(default_factory=lambda: [b"a", b"b", b"c"])
    closed: bool = False
    status: int = 200
    headers: tuple[Any, ...] = ()
    events: bool = False
    ask: Ask = field(default_factory=an_ask)
    decision: Decision = field(default_factory=a_decision)
    timing: Any = field(default_factory=lambda: SimpleNamespace(ended=None, asked=0.0, routing_s=0.0))
    lease: Any = field(default_factory=lambda: SimpleNamespace(model=a_model()))
    admission: None = None
    fallback_from: None = None

    @property
    def answer(self) -> "Parts":
        return self

    @property
    def complete(self) -> bool:
        return not self.parts

    async def chunk(self) -> bytes:
        return self.parts.pop(0)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("stuck", [0, 1, 2, 3])
async def test_every_part_of_an_answer_must_be_taken_in_time(presence: Presence, stuck: int) -> None:
    """The head, and the last part, which is sent when nothing waits upstream any more."""
    taken: list[Any] = []

    async def send(message: Any) -> None:
        if len(taken) == stuck:
            await asyncio.Event().wait()
        taken.append(message)

    async def answers(visitor: Visitor) -> None:
        await Pass(cast(Passage, answer), cast(Visit, SimpleNamespace(presence=visitor, started=False)), SOON_S)(send)

    answer = Parts()
    assert isinstance(await asyncio.wait_for(visit(presence, Client(), answers), 20), ClientGone)
    assert len(taken) == stuck
    assert answer.closed


# what it costs


async def test_a_quick_request_needs_no_task_and_reads_nothing(presence: Presence) -> None:
    async def answers(visitor: Visitor) -> int:
        visitor.all_read()
        return len(asyncio.all_tasks())

    client, before = Client(), len(asyncio.all_tasks())
    assert await visit(presence, client, answers) == before + 1
    assert client.asked == 0
    await idle(presence)


async def test_one_timer_serves_all(presence: Presence) -> None:
    serving = [visit(presence, Client(), forever) for _ in range(50)]
    await asyncio.sleep(0)
    timer = presence._timer
    serving += [visit(presence, Client(), forever) for _ in range(50)]
    await asyncio.sleep(0)
    assert presence._timer is timer
    for task in serving:
        task.cancel()
    await asyncio.gather(*serving, return_exceptions=True)
    await idle(presence)


async def test_a_timer_starts_again_after_a_pause(presence: Presence) -> None:
    for _ in range(2):
        client = Client()
        client.does.put_nowait(GONE)
        assert isinstance(await visit(presence, client, has_read), ClientGone)
        await idle(presence)

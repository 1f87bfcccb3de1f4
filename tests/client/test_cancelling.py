"""asyncio's clients: whoever is cancelled leaves nothing behind."""

import asyncio

import pytest

from smart_router.client import AsyncClient
from tests.e2e.asking import PYTHON
from tests.e2e.models import Models
from tests.e2e.routers import Router, wait_for_idle


async def test_a_cancelled_stream_stops_the_model(embedded_router: Router, models: Models) -> None:
    models.agent.fail("never-ends")
    begun = asyncio.Event()

    async def read() -> None:
        async with AsyncClient(embedded_router.url) as client, client.stream(PYTHON) as stream:
            async for _ in stream:
                begun.set()

    reading = asyncio.create_task(read())
    await asyncio.wait_for(begun.wait(), 20)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await asyncio.to_thread(models.agent.wait_for_running, 0)
    await asyncio.to_thread(wait_for_idle, embedded_router)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_is_cancelled_before_the_first_word_stops_the_model(
    embedded_router: Router, models: Models, stream: bool
) -> None:
    models.agent.fail("stall-before-headers")

    async def ask() -> None:
        async with AsyncClient(embedded_router.url) as client:
            if stream:
                async with client.stream(PYTHON):
                    pass
            await client.route(PYTHON)

    asking = asyncio.create_task(ask())
    await asyncio.to_thread(models.agent.wait_for_running, 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await asyncio.to_thread(models.agent.wait_for_running, 0)
    await asyncio.to_thread(wait_for_idle, embedded_router)


async def test_tasks_may_share_a_client(embedded_router: Router) -> None:
    async with AsyncClient(embedded_router.url) as client:
        answers = await asyncio.gather(*(client.route(f"{PYTHON}, variant {i}") for i in range(20)))
    assert [f"variant {i}." in answer.result for i, answer in enumerate(answers)] == [True] * 20
    assert len({answer.session_id for answer in answers}) == 20


async def test_an_async_conversation(embedded_router: Router) -> None:
    async with AsyncClient(embedded_router.url) as client:
        talk = client.session()
        async with talk.stream(PYTHON) as stream:
            words = [word async for word in stream]
        assert stream.answer
        assert "".join(words) == stream.answer.result
        assert (await talk.route("and a test")).session_id == stream.decision.session_id
        await talk.end()

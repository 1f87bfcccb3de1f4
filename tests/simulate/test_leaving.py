"""Clients that leave: nothing of theirs may go on running."""

import asyncio

import aiohttp
import pytest

from .asking import CHAT, Start, ask, metric, saying, until_running

LONG = saying(ignore_eos=True, max_tokens=4000)


async def test_a_client_that_leaves_before_the_first_chunk_stops_the_answer(
    start: Start, http: aiohttp.ClientSession
) -> None:
    url = start(ttft_ms=60_000)
    async with http.post(url + CHAT, json=LONG | {"stream": True}):
        await until_running(http, url, 1)
    await nothing_runs(http, url)


async def test_a_client_that_leaves_in_mid_stream_stops_the_answer(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(tokens_per_second=50)
    async with http.post(url + CHAT, json=LONG | {"stream": True}) as answer:
        await answer.content.readline()
        await until_running(http, url, 1)
    await nothing_runs(http, url)
    assert await metric(http, url, "request_success_total", 'finished_reason="abort"') == 1


@pytest.mark.parametrize("n", [1, 3])
async def test_a_client_that_leaves_a_plain_answer_stops_it(start: Start, http: aiohttp.ClientSession, n: int) -> None:
    url = start(ttft_ms=60_000)
    asking = asyncio.create_task(ask(http, url + CHAT, LONG | {"n": n}))
    await until_running(http, url, n)
    asking.cancel()
    await nothing_runs(http, url)


async def test_a_client_that_leaves_while_waiting_gives_up_its_turn(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(max_running=1, ttft_ms=60_000)
    first = asyncio.create_task(ask(http, url + CHAT, LONG))
    await until_running(http, url, 1)
    second = asyncio.create_task(ask(http, url + CHAT, LONG))
    while await metric(http, url, "num_requests_waiting") != 1:
        assert not second.done()
    second.cancel()
    first.cancel()
    await nothing_runs(http, url)
    assert await metric(http, url, "num_requests_waiting") == 0


async def test_a_client_that_leaves_a_sleeping_server_is_forgotten(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await ask(http, f"{url}/sleep", method="POST")
    async with http.post(url + CHAT, json=LONG | {"stream": True}) as answer:
        assert answer.status == 200
    await ask(http, f"{url}/wake_up", method="POST")
    await nothing_runs(http, url)


async def nothing_runs(http: aiohttp.ClientSession, url: str) -> None:
    """Soon; a sleep that waits for running requests is answered when there are none left."""
    async with asyncio.timeout(20):
        await ask(http, f"{url}/sleep?mode=wait", method="POST")
    assert await metric(http, url, "num_requests_running") == 0

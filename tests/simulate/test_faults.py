"""What goes wrong when it is told to."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from smart_router.simulate import FAULTS

from .asking import CHAT, Start, ask, events, metric, read_events, refused, said, saying, text_of, until_running

STREAM = saying("one two three", stream=True)


async def switch_on(http: aiohttp.ClientSession, url: str, fault: str | None, **how: Any) -> Any:
    return await ask(http, f"{url}/simulate/faults", {"fault": fault} | how)


async def leaves_no_trace(http: aiohttp.ClientSession, url: str) -> None:
    """A sleep that waits for running requests is answered: there are none left."""
    async with asyncio.timeout(20):
        await ask(http, f"{url}/sleep?mode=wait", method="POST")


@pytest.mark.parametrize(
    ("fault", "status", "type", "retry_after"),
    [
        ("refuse-503", 503, "ServiceUnavailableError", "1"),
        ("rate-limit-429", 429, "RateLimitError", "1"),
        ("error-500", 500, "InternalServerError", None),
    ],
)
async def test_a_refusal_says_when_to_come_back(
    start: Start, http: aiohttp.ClientSession, fault: str, status: int, type: str, retry_after: str | None
) -> None:
    async with http.post(start(fault=fault) + CHAT, json=saying()) as answer:
        assert (answer.status, answer.headers.get("retry-after")) == (status, retry_after)
        error = (await answer.json())["error"]
        assert (error["type"], error["code"]) == (type, status)
        assert "simulated" in error["message"]


@pytest.mark.parametrize("stream", [False, True])
async def test_a_stall_before_headers_sends_nothing(start: Start, http: aiohttp.ClientSession, stream: bool) -> None:
    url = start(fault="stall-before-headers")
    asking = asyncio.create_task(http.request("POST", url + CHAT, json=saying(stream=stream)).__aenter__())
    await until_running(http, url, 1)
    assert not asking.done()
    asking.cancel()
    await leaves_no_trace(http, url)


async def test_a_stall_in_mid_stream_sends_the_first_words_only(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="stall-mid-stream")
    async with http.post(url + CHAT, json=STREAM) as answer:
        stream = read_events(answer)
        assert (await anext(stream))["choices"][0]["delta"]["role"] == "assistant"
        assert (await anext(stream))["choices"][0]["delta"]["content"] == "[simulated"
        assert await metric(http, url, "num_requests_running") == 1
    await leaves_no_trace(http, url)


async def test_a_stall_in_a_plain_answer_sends_half_of_it(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="stall-mid-stream")
    async with http.post(url + CHAT, json=saying()) as answer:
        whole = int(answer.headers["content-length"])
        assert len(await answer.content.readexactly(whole // 2)) == whole // 2
        assert await metric(http, url, "num_requests_running") == 1
    await leaves_no_trace(http, url)


@pytest.mark.parametrize("body", [STREAM, saying()], ids=["stream", "plain"])
async def test_a_reset_closes_the_connection_in_the_middle(
    start: Start, http: aiohttp.ClientSession, body: dict[str, Any]
) -> None:
    url = start(fault="reset-mid-stream")
    async with http.post(url + CHAT, json=body) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()
    await leaves_no_trace(http, url)


async def test_a_stream_can_open_and_then_fail(start: Start, http: aiohttp.ClientSession) -> None:
    role, error, done = await events(http, start(fault="role-then-error") + CHAT, saying())
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert (error["error"]["code"], done) == (500, "[DONE]")


async def test_a_plain_answer_cannot_open_and_fails_at_once(start: Start, http: aiohttp.ClientSession) -> None:
    status, told = await refused(http, start(fault="role-then-error") + CHAT, saying())
    assert (status, told["error"]["type"]) == (500, "InternalServerError")


async def test_broken_json_cannot_be_read(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="broken-json")
    for body in (saying(), STREAM):
        async with http.post(url + CHAT, json=body) as answer:
            assert answer.status == 200
            with pytest.raises(json.JSONDecodeError):
                [json.loads(line.removeprefix(b"data: ")) async for line in answer.content if line.strip()]


async def test_what_never_ends_goes_on_past_max_tokens(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="never-ends")
    async with http.post(url + CHAT, json=STREAM | {"max_tokens": 2}) as answer:
        stream = read_events(answer)
        told = [await anext(stream) for _ in range(100)]
        assert all(event["choices"][0]["finish_reason"] is None for event in told)
        assert text_of(told).count("simulated") > 10
    await leaves_no_trace(http, url)


async def test_a_plain_answer_that_never_ends_never_comes(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="never-ends")
    asking = asyncio.create_task(said(http, url, saying(max_tokens=2)))
    await until_running(http, url, 1)
    assert not asking.done()
    asking.cancel()
    await leaves_no_trace(http, url)


async def outcomes(http: aiohttp.ClientSession, url: str, count: int) -> list[int]:
    statuses = []
    for _ in range(count):
        async with http.post(url + CHAT, json=saying()) as answer:
            statuses.append(answer.status)
    return statuses


async def test_the_same_seed_strikes_the_same_requests(start: Start, http: aiohttp.ClientSession) -> None:
    first, again, other = (start(fault="error-500", fault_rate=0.5, seed=seed) for seed in (1, 1, 2))
    drawn = await outcomes(http, first, 30)
    assert drawn == await outcomes(http, again, 30)
    assert drawn != await outcomes(http, other, 30)
    assert 5 < drawn.count(500) < 25


async def test_a_fault_can_be_switched_on_for_some_requests(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    told = await switch_on(http, url, "error-500", count=2)
    assert told == {"active": [{"fault": "error-500", "rate": 1.0, "count": 2}], "known": list(FAULTS)}
    assert await outcomes(http, url, 3) == [500, 500, 200]
    assert (await ask(http, f"{url}/simulate/faults"))["active"] == []


async def test_a_fault_can_be_switched_off(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="error-500")
    await switch_on(http, url, "error-500", rate=0)
    assert await outcomes(http, url, 1) == [200]
    await switch_on(http, url, "refuse-503")
    await switch_on(http, url, None)
    assert await outcomes(http, url, 1) == [200]


async def test_an_unknown_fault_is_refused(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    status, told = await refused(http, f"{url}/simulate/faults", {"fault": "meteor"})
    assert (status, told["error"]["param"]) == (400, "fault")
    status, told = await refused(http, f"{url}/simulate/faults", {"fault": "error-500", "rate": 2})
    assert (status, told["error"]["param"]) == (400, "rate")


async def test_faults_do_not_touch_the_operations(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="error-500")
    async with http.get(f"{url}/health") as answer:
        assert answer.status == 200

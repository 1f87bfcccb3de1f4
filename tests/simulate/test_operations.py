"""The paths by which a server is watched, put to sleep and woken."""

import asyncio
import json

import aiohttp
import pytest

from smart_router.simulate import Kind

from .asking import CHAT, ID, Start, ask, events, metric, read_events, refused, said, saying, until_running

Urls = dict[Kind, str]
EARLY_S = 0.01  # the loop's clock counts milliseconds: a sleep may end a little early
ENDLESS = saying(ignore_eos=True, max_tokens=4000)


@pytest.mark.parametrize("path", ["/health", "/ping"])
async def test_health_has_no_body(urls: Urls, http: aiohttp.ClientSession, path: str) -> None:
    async with http.get(urls["text"] + path) as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_the_version_says_that_it_is_simulated(urls: Urls, http: aiohttp.ClientSession) -> None:
    assert "simulated" in (await ask(http, f"{urls['text']}/version"))["version"]


async def test_the_model_is_owned_by_the_simulator(urls: Urls, http: aiohttp.ClientSession) -> None:
    (card,) = (await ask(http, f"{urls['text']}/v1/models"))["data"]
    assert (card["id"], card["owned_by"], card["max_model_len"]) == (ID, "smart-router-simulator", 4096)


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/nope", 404, None),
        ("GET", CHAT, 405, "POST"),
        ("POST", "/health", 405, "GET"),
        ("HEAD", "/health", 405, "GET"),
        ("POST", f"{CHAT}/", 307, None),
        ("GET", f"/v1/models/{ID}", 404, None),
    ],
)
async def test_a_wrong_path_or_method_is_answered_as_vllm_does(
    urls: Urls, http: aiohttp.ClientSession, method: str, path: str, status: int, allow: str | None
) -> None:
    async with http.request(method, urls["text"] + path, allow_redirects=False) as answer:
        assert (answer.status, answer.headers.get("allow")) == (status, allow)
        assert answer.headers["x-simulated"] == "true"


async def test_metrics_tell_what_was_done(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    counted = (await ask(http, url + CHAT, saying("one two three", max_tokens=5)))["usage"]
    assert await metric(http, url, "prompt_tokens_total") == counted["prompt_tokens"]
    assert await metric(http, url, "generation_tokens_total") == 5
    assert await metric(http, url, "request_success_total", 'finished_reason="length"') == 1
    assert await metric(http, url, "time_to_first_token_seconds_count") == 1
    assert await metric(http, url, "num_requests_running") == 0


async def test_time_to_first_token_is_as_asked_for(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(ttft_ms=200)
    await said(http, url, saying())
    assert await metric(http, url, "time_to_first_token_seconds_sum") > 0.2 - EARLY_S


async def test_tokens_come_at_the_pace_asked_for(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(ttft_ms=0, tokens_per_second=50)
    await ask(http, url + CHAT, saying("one two three four", max_tokens=11))
    parts = ("time_to_first_token", "inter_token_latency")  # whoever is late with the first hurries with the others
    took_s = sum([await metric(http, url, f"{part}_seconds_sum") for part in parts])
    assert took_s > 0.2 - EARLY_S  # ten pauses of 20 ms


async def test_a_prompt_seen_before_is_found_in_the_cache(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    for _ in range(2):
        await said(http, url, saying(" word" * 40))
    assert await metric(http, url, "prefix_cache_queries_total") == 2 * 43
    assert await metric(http, url, "prefix_cache_hits_total") == 32  # two whole blocks of 16


async def test_what_finds_no_place_waits(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(max_running=1, tokens_per_second=1000)
    async with http.post(url + CHAT, json=ENDLESS | {"stream": True}) as first:
        await first.content.readline()
        second = asyncio.create_task(said(http, url, saying()))
        while await metric(http, url, "num_requests_waiting") != 1:
            assert not second.done()
        assert await metric(http, url, "num_requests_running") == 1
    assert "simulated" in await second


async def test_a_sleeping_server_says_how_deep(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    assert await ask(http, f"{url}/sleep?level=2", method="POST") == {"status": "sleeping", "level": 2}
    assert await ask(http, f"{url}/is_sleeping") == {"is_sleeping": True}
    assert await metric(http, url, "engine_sleep_state", 'sleep_state="discard_all"') == 1
    assert await metric(http, url, "engine_sleep_state", 'sleep_state="awake"') == 0


async def test_a_plain_request_to_a_sleeping_server_hangs_until_it_wakes(
    start: Start, http: aiohttp.ClientSession
) -> None:
    url = start()
    await ask(http, f"{url}/sleep", method="POST")
    hanging = asyncio.create_task(said(http, url, saying()))
    while not (await ask(http, f"{url}/simulate/requests"))["count"]:
        assert not hanging.done()
    assert await metric(http, url, "num_requests_running") == await metric(http, url, "num_requests_waiting") == 0
    assert not hanging.done()
    await ask(http, f"{url}/wake_up", method="POST")
    assert "simulated" in await hanging


async def test_a_stream_from_a_sleeping_server_opens_and_then_hangs(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await ask(http, f"{url}/sleep", method="POST")
    async with http.post(url + CHAT, json=saying(stream=True)) as answer:
        assert answer.status == 200
        reading = asyncio.create_task(answer.content.readline())
        assert await metric(http, url, "num_requests_running") == 0
        assert not reading.done()
        await ask(http, f"{url}/wake_up", method="POST")
        assert b"assistant" in await reading


async def test_sleep_aborts_what_is_running(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(tokens_per_second=100)
    streamed = asyncio.create_task(events(http, url + CHAT, ENDLESS))
    plain = asyncio.create_task(ask(http, url + CHAT, ENDLESS))
    await until_running(http, url, 2)
    await ask(http, f"{url}/sleep", method="POST")
    *_, last, done = await streamed
    assert (last["choices"][0]["finish_reason"], done) == ("abort", "[DONE]")
    assert (await plain)["choices"][0]["finish_reason"] == "abort"
    assert await metric(http, url, "request_success_total", 'finished_reason="abort"') == 2


async def test_sleep_can_wait_for_what_is_running(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(tokens_per_second=100)
    running = asyncio.create_task(ask(http, url + CHAT, saying(ignore_eos=True, max_tokens=30)))
    await until_running(http, url, 1)
    await ask(http, f"{url}/sleep?mode=wait", method="POST")
    assert (await running)["choices"][0]["finish_reason"] == "length"


async def test_sleep_can_freeze_what_is_running(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(tokens_per_second=200)
    async with http.post(url + CHAT, json=saying(ignore_eos=True, max_tokens=40, stream=True)) as answer:
        await answer.content.readline()
        await ask(http, f"{url}/sleep?mode=keep", method="POST")
        assert await metric(http, url, "num_requests_running") == 1
        await ask(http, f"{url}/wake_up", method="POST")
        *_, last, _done = [event async for event in read_events(answer)]
    assert last["choices"][0]["finish_reason"] == "length"


async def test_a_server_woken_in_part_still_sleeps(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await ask(http, f"{url}/sleep", method="POST")
    told = await ask(http, f"{url}/wake_up?tags=weights", method="POST")
    assert told == {"status": "sleeping", "tags": ["weights"]}
    told = await ask(http, f"{url}/wake_up?tags=kv_cache", method="POST")
    assert told == {"status": "awake", "tags": ["kv_cache"]}


@pytest.mark.parametrize(("query", "param"), [("level=9", "query.level"), ("mode=fast", "query.mode")])
async def test_a_sleep_that_is_not_possible_is_refused(
    urls: Urls, http: aiohttp.ClientSession, query: str, param: str
) -> None:
    status, told = await refused(http, f"{urls['text']}/sleep?{query}", None)
    assert (status, told["error"]["param"]) == (400, param)


async def test_received_requests_are_told(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    headers = {"Authorization": "Bearer secret", "X-Session-ID": "s1"}
    async with http.post(url + CHAT, json=saying("Hi", unknown=[1]), headers=headers):
        pass
    told = await ask(http, f"{url}/simulate/requests")
    (request,) = told["requests"]
    assert (request["path"], request["body"]) == (CHAT, saying("Hi", unknown=[1]))
    assert request["headers"]["x-session-id"] == "s1"
    assert "secret" not in json.dumps(told)


async def test_only_the_last_two_hundred_requests_are_kept(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    for number in range(201):
        await ask(http, f"{url}/tokenize", {"prompt": str(number)})
    told = await ask(http, f"{url}/simulate/requests")
    assert (told["count"], told["requests"][0]["body"], told["requests"][-1]["body"]) == (
        200,
        {"prompt": "1"},
        {"prompt": "200"},
    )
    assert (await ask(http, f"{url}/simulate/requests", method="DELETE"))["count"] == 0

"""Falling asleep and waking, as far as it is more than a state: what it takes, what is lost, what goes wrong."""

import asyncio
from typing import Any

import aiohttp
import pytest

from .asking import CHAT, Start, ask, events, eventually, metric, refused, said, saying, text_of

DEVELOPMENT = [("GET", "/is_sleeping"), ("POST", "/sleep"), ("POST", "/wake_up"), ("POST", "/collective_rpc")]
RELOAD = {"method": "reload_weights"}


async def post(http: aiohttp.ClientSession, url: str) -> Any:
    return await ask(http, url, method="POST")


@pytest.mark.parametrize(("method", "path"), DEVELOPMENT)
async def test_out_of_development_mode_there_is_no_sleep(
    start: Start, http: aiohttp.ClientSession, method: str, path: str
) -> None:
    async with http.request(method, start(dev_mode=False) + path) as answer:
        assert (answer.status, await answer.json()) == (404, {"detail": "Not Found"})


async def test_without_its_weights_a_model_answers_garbage(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await post(http, f"{url}/sleep?level=2")
    await post(http, f"{url}/wake_up")
    assert (await said(http, url, saying(max_tokens=12))).startswith(" garbage: these simulated weights were dropped")
    assert "garbage" in text_of(await events(http, url + CHAT, saying()))
    assert await ask(http, f"{url}/collective_rpc", RELOAD) == {"results": [None]}
    assert "garbage" not in await said(http, url, saying())


async def test_garbage_is_as_long_as_the_answer_would_be(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    before = (await ask(http, url + CHAT, saying()))["usage"]
    await post(http, f"{url}/sleep?level=2")
    await post(http, f"{url}/wake_up")
    assert (await ask(http, url + CHAT, saying()))["usage"] == before


async def test_what_waited_for_a_wake_without_weights_is_garbage_too(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await post(http, f"{url}/sleep?level=2")
    async with http.post(url + CHAT, json=saying(stream=True)) as answer:
        await post(http, f"{url}/wake_up")
        assert b"garbage" in await answer.read()


@pytest.mark.parametrize("level", [0, 1])
async def test_lighter_sleep_keeps_the_weights(start: Start, http: aiohttp.ClientSession, level: int) -> None:
    url = start()
    await post(http, f"{url}/sleep?level={level}")
    await post(http, f"{url}/wake_up")
    assert "garbage" not in await said(http, url, saying())


async def test_who_sleeps_lightly_cannot_be_made_to_drop_its_weights(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await post(http, f"{url}/sleep?level=1")
    await post(http, f"{url}/sleep?level=2")
    await post(http, f"{url}/wake_up")
    assert "garbage" not in await said(http, url, saying())


async def test_weights_are_read_only_where_there_is_room_for_them(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await post(http, f"{url}/sleep?level=2")
    status, told = await refused(http, f"{url}/collective_rpc", RELOAD)
    assert (status, told["error"]["type"]) == (500, "InternalServerError")
    await post(http, f"{url}/wake_up?tags=weights")
    await ask(http, f"{url}/collective_rpc", RELOAD)
    assert (await post(http, f"{url}/wake_up?tags=kv_cache"))["status"] == "awake"
    assert "garbage" not in await said(http, url, saying())


async def test_what_is_awake_cannot_be_woken_in_part(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await post(http, f"{url}/sleep")
    await post(http, f"{url}/wake_up?tags=weights")
    assert (await post(http, f"{url}/wake_up?tags=weights&tags=kv_cache"))["status"] == "sleeping"
    assert (await post(http, f"{url}/wake_up?tags=kv_cache"))["status"] == "awake"


@pytest.mark.parametrize(
    ("raw", "detail"),
    [
        (b"", "JSON decode error: Expecting value: line 1 column 1 (char 0)"),
        (b"[]", "Request body must be a JSON object"),
        (b"{}", "Missing 'method' in request body"),
    ],
)
async def test_a_call_to_the_workers_must_name_a_method(
    start: Start, http: aiohttp.ClientSession, raw: bytes, detail: str
) -> None:
    async with http.post(f"{start()}/collective_rpc", data=raw) as answer:
        error = {"message": detail, "type": "Bad Request", "param": None, "code": 400}
        assert (answer.status, await answer.json()) == (400, {"error": error})


async def test_an_unknown_method_is_the_workers_failure(start: Start, http: aiohttp.ClientSession) -> None:
    status, told = await refused(http, f"{start()}/collective_rpc", {"method": "dance"})
    assert (status, told["error"]["type"]) == (500, "InternalServerError")


async def test_sleeping_and_waking_take_their_time(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(sleep_seconds=0.2, wake_seconds=0.3)
    times = []
    for path in ("/sleep", "/wake_up"):
        begun = asyncio.get_running_loop().time()
        await post(http, url + path)
        times.append(asyncio.get_running_loop().time() - begun)
    assert times[0] >= 0.19
    assert times[1] >= 0.29


async def test_only_the_weights_take_time_to_wake(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(wake_seconds=0.2)
    await post(http, f"{url}/sleep?level=2")
    begun = asyncio.get_running_loop().time()
    await post(http, f"{url}/wake_up?tags=weights")
    assert asyncio.get_running_loop().time() - begun >= 0.19
    async with asyncio.timeout(4):
        await post(http, f"{url}/wake_up?tags=kv_cache")


async def test_it_sleeps_from_the_moment_on_that_it_waits_for_what_runs(
    start: Start, http: aiohttp.ClientSession
) -> None:
    url = start(tokens_per_second=100)
    async with http.post(url + CHAT, json=saying(ignore_eos=True, max_tokens=2000, stream=True)) as answer:
        await answer.content.readline()
        sleeping = asyncio.create_task(post(http, f"{url}/sleep?mode=wait"))

        async def says_so() -> bool:
            told: bool = (await ask(http, f"{url}/is_sleeping"))["is_sleeping"]
            return told

        await eventually(says_so)
        assert await metric(http, url, "engine_sleep_state", 'sleep_state="awake"') == 1
        assert not sleeping.done()
    await sleeping  # the client has left
    assert await metric(http, url, "engine_sleep_state", 'sleep_state="weights_offloaded"') == 1


# faults, and what was received


async def switch_on(http: aiohttp.ClientSession, url: str, fault: str, **changed: Any) -> None:
    await ask(http, f"{url}/simulate/faults", {"fault": fault} | changed)


async def test_a_sleep_that_lies_is_answered_and_none(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(fault="sleep-lies")
    assert await post(http, f"{url}/sleep") == {"status": "sleeping", "level": 1}
    assert await ask(http, f"{url}/is_sleeping") == {"is_sleeping": False}
    assert "simulated" in await said(http, url, saying())


async def test_a_wake_that_fails_leaves_it_asleep(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await post(http, f"{url}/sleep")
    await switch_on(http, url, "wake-fails", count=1)
    status, told = await refused(http, f"{url}/wake_up", None)
    assert (status, told["error"]["type"]) == (500, "InternalServerError")
    assert await ask(http, f"{url}/is_sleeping") == {"is_sleeping": True}
    assert (await post(http, f"{url}/wake_up"))["status"] == "awake"


async def test_a_wake_that_hangs_leaves_it_asleep(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    await post(http, f"{url}/sleep")
    await switch_on(http, url, "wake-hangs")
    waking = asyncio.create_task(post(http, f"{url}/wake_up"))

    async def arrived() -> bool:
        return bool((await ask(http, f"{url}/simulate/lifecycle"))["wakes"])

    await eventually(arrived)
    assert not waking.done()
    waking.cancel()
    await asyncio.gather(waking, return_exceptions=True)
    assert await ask(http, f"{url}/is_sleeping") == {"is_sleeping": True}


async def test_faults_of_sleep_do_not_touch_requests_nor_theirs_sleep(
    start: Start, http: aiohttp.ClientSession
) -> None:
    url = start(fault="wake-fails")
    assert "simulated" in await said(http, url, saying())
    other = start(fault="error-500")
    await post(http, f"{other}/sleep")
    assert (await post(http, f"{other}/wake_up"))["status"] == "awake"


async def test_what_it_was_asked_to_do_is_counted(start: Start, http: aiohttp.ClientSession) -> None:
    url = start()
    assert set((await ask(http, f"{url}/simulate/lifecycle")).values()) == {0}
    await post(http, f"{url}/sleep?level=2")
    await post(http, f"{url}/wake_up?tags=weights")
    await ask(http, f"{url}/collective_rpc", RELOAD)
    await post(http, f"{url}/wake_up?tags=kv_cache")
    told = await ask(http, f"{url}/simulate/lifecycle")
    assert told == {"wakes": 1, "sleeps": 1, "reloads": 1, "loads": 0, "unloads": 0}

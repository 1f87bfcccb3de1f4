"""LoRA adapters: loaded, listed, asked by their name, forgotten."""

import asyncio
from typing import Any

import aiohttp
import pytest

from .asking import CHAT, ID, Start, ask, events, eventually, refused, said, saying, text_of

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
LEGAL = {"lora_name": "legal", "lora_path": "/adapters/legal"}


async def text(http: aiohttp.ClientSession, url: str, body: Any) -> str:
    async with http.post(url, json=body) as answer:
        assert answer.status == 200, await answer.text()
        assert "content-type" not in answer.headers
        return await answer.text()


async def names(http: aiohttp.ClientSession, url: str) -> list[str]:
    return [card["id"] for card in (await ask(http, f"{url}/v1/models"))["data"]]


async def test_an_adapter_is_loaded_and_unloaded_while_the_server_runs(
    start: Start, http: aiohttp.ClientSession
) -> None:
    url = start(enable_lora=True)
    assert await text(http, url + LOAD, LEGAL) == "Success: LoRA adapter 'legal' added successfully."
    card = (await ask(http, f"{url}/v1/models"))["data"][1]
    assert (card["id"], card["root"], card["parent"], card["max_model_len"]) == ("legal", "/adapters/legal", ID, None)
    assert await text(http, url + UNLOAD, {"lora_name": "legal"}) == (
        "Success: LoRA adapter 'legal' removed successfully."
    )
    assert await names(http, url) == [ID]
    told = await ask(http, f"{url}/simulate/lifecycle")
    assert (told["loads"], told["unloads"]) == (1, 1)


async def test_an_adapter_answers_by_its_name(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(enable_lora=True)
    status, told = await refused(http, url + CHAT, saying(model="legal"))
    assert (status, told["error"]["param"]) == (404, "model")
    await text(http, url + LOAD, LEGAL)
    answer = await ask(http, url + CHAT, saying(model="legal"))
    assert answer["model"] == "legal"
    assert "[simulated legal]" in answer["choices"][0]["message"]["content"]
    streamed = await events(http, url + CHAT, saying(model="legal"))
    assert "[simulated legal]" in text_of(streamed)
    for path, body in (
        ("/v1/completions", {"prompt": "x", "model": "legal"}),
        ("/v1/responses", {"input": "x", "model": "legal"}),
        ("/v1/messages", saying(model="legal", max_tokens=5)),
    ):
        assert (await ask(http, url + path, body))["model"] == "legal"
    assert f"[simulated {ID}]" in await said(http, url, saying())


async def test_what_runs_with_an_adapter_goes_on_without_it(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(enable_lora=True, tokens_per_second=100)
    await text(http, url + LOAD, LEGAL)
    async with http.post(url + CHAT, json=saying(model="legal", stream=True, ignore_eos=True, max_tokens=20)) as answer:
        await answer.content.readline()
        await text(http, url + UNLOAD, {"lora_name": "legal"})
        assert (await answer.read()).endswith(b"[DONE]\n\n")


@pytest.mark.parametrize(
    ("path", "body", "status", "type"),
    [
        (LOAD, {}, 400, "Bad Request"),
        (LOAD, {"lora_name": "a"}, 400, "Bad Request"),
        (LOAD, {"lora_name": "", "lora_path": "/a"}, 400, "InvalidUserInput"),
        (LOAD, {"lora_name": ID, "lora_path": "/a"}, 400, "InvalidUserInput"),
        (LOAD, LEGAL, 400, "InvalidUserInput"),  # it is there
        (LOAD, {"lora_name": "a", "lora_path": "/adapters/missing"}, 404, "NotFoundError"),
        (LOAD, {"lora_name": "a", "lora_path": "/adapters/rank-64"}, 500, "InternalServerError"),
        (UNLOAD, {}, 400, "Bad Request"),
        (UNLOAD, {"lora_name": ""}, 400, "InvalidUserInput"),
        (UNLOAD, {"lora_name": "a"}, 404, "NotFoundError"),
    ],
)
async def test_what_cannot_be_loaded_or_unloaded_is_refused(
    start: Start, http: aiohttp.ClientSession, path: str, body: Any, status: int, type: str
) -> None:
    url = start(enable_lora=True)
    await text(http, url + LOAD, LEGAL)
    told = await refused(http, url + path, body)
    assert (told[0], told[1]["error"]["type"]) == (status, type)
    assert await names(http, url) == [ID, "legal"]


async def test_an_adapter_may_be_loaded_in_place_of_itself(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(enable_lora=True)
    await text(http, url + LOAD, LEGAL)
    await text(http, url + LOAD, LEGAL | {"load_inplace": True})
    assert await names(http, url) == [ID, "legal"]


async def test_a_server_without_lora_fails_at_it(start: Start, http: aiohttp.ClientSession) -> None:
    status, told = await refused(http, start() + LOAD, LEGAL)
    assert (status, told["error"]["type"]) == (500, "InternalServerError")
    assert "LoRA is not enabled. Use --enable-lora to enable LoRA." in told["error"]["message"]


@pytest.mark.parametrize("path", [LOAD, UNLOAD])
async def test_a_server_that_may_not_change_has_no_such_path(
    start: Start, http: aiohttp.ClientSession, path: str
) -> None:
    assert await refused(http, start(enable_lora=True, runtime_lora=False) + path, LEGAL) == (
        404,
        {"detail": "Not Found"},
    )


async def test_faults_of_waking_and_sleep_are_those_of_adapters_too(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(enable_lora=True, fault="wake-fails")
    assert (await refused(http, url + LOAD, LEGAL))[0] == 500
    url = start(enable_lora=True, fault="sleep-lies")
    await text(http, url + LOAD, LEGAL)
    await text(http, url + UNLOAD, {"lora_name": "legal"})
    assert await names(http, url) == [ID, "legal"]


async def test_a_load_that_hangs_loads_nothing(start: Start, http: aiohttp.ClientSession) -> None:
    url = start(enable_lora=True, fault="wake-hangs")
    loading = asyncio.create_task(text(http, url + LOAD, LEGAL))

    async def arrived() -> bool:
        return bool((await ask(http, f"{url}/simulate/lifecycle"))["loads"])

    await eventually(arrived)
    assert not loading.done()
    loading.cancel()
    await asyncio.gather(loading, return_exceptions=True)
    assert await names(http, url) == [ID]

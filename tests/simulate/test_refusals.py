"""Requests that a vLLM server refuses, in the envelopes it uses."""

from typing import Any

import aiohttp
import pytest

from smart_router.simulate import Kind

from .asking import CHAT, ID, refused, saying

Urls = dict[Kind, str]
COMPLETIONS, MESSAGES, RESPONSES = "/v1/completions", "/v1/messages", "/v1/responses"
OWN, FORM, MISSING, STATELESS = "BadRequestError", "Bad Request", "NotFoundError", "invalid_request_error"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def part(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, *parts]}]}


@pytest.mark.parametrize(
    ("path", "body", "status", "type", "param"),
    [
        (CHAT, saying(model="no/such"), 404, MISSING, "model"),
        (CHAT, saying(model=7), 400, FORM, "body.model"),
        (CHAT, {}, 400, FORM, "body.messages"),
        (CHAT, {"messages": "hello"}, 400, FORM, "body.messages"),
        (CHAT, {"messages": []}, 400, OWN, None),
        (CHAT, saying(max_tokens="many"), 400, FORM, "body.max_tokens"),
        (CHAT, saying(max_tokens=0), 400, OWN, "max_tokens"),
        (CHAT, saying(max_tokens=100_000), 400, OWN, "max_tokens"),
        (CHAT, saying(temperature=3), 400, OWN, "temperature"),
        (CHAT, saying(top_p=2), 400, OWN, "top_p"),
        (CHAT, saying(n=0), 400, OWN, None),
        (CHAT, saying(n=2, temperature=0), 400, OWN, None),
        (CHAT, saying(stream="maybe"), 400, FORM, "body.stream"),
        (CHAT, saying(stream_options={"include_usage": True}), 400, OWN, "stream_options"),
        (CHAT, saying(response_format={"type": "poem"}), 400, FORM, "body.response_format.type"),
        (CHAT, saying(tools=[{}]), 400, OWN, None),
        (CHAT, saying("one two " * 5000), 400, OWN, "input_tokens"),
        (CHAT, saying("one two " * 5000, stream=True), 400, OWN, "input_tokens"),
        (CHAT, part({"type": "hologram"}), 400, OWN, "type"),
        (CHAT, part(PICTURE), 400, OWN, None),
        (COMPLETIONS, {"prompt": ""}, 400, OWN, "prompt"),
        (COMPLETIONS, {"prompt": {"a": 1}}, 400, FORM, "body.prompt"),
        (COMPLETIONS, {"prompt": "one two " * 5000}, 400, OWN, "input_tokens"),
        (RESPONSES, {}, 400, FORM, "body.input"),
        (RESPONSES, {"input": "x", "background": True}, 400, STATELESS, "background"),
        (RESPONSES, {"input": "x", "previous_response_id": "y"}, 404, STATELESS, "response_id"),
        (MESSAGES, saying(model=ID), 400, FORM, "body.max_tokens"),
        ("/tokenize", {}, 400, FORM, "body.prompt"),
        ("/detokenize", {"tokens": "abc"}, 400, FORM, "body.tokens"),
    ],
)
async def test_a_bad_request_is_refused_as_vllm_does(
    urls: Urls, http: aiohttp.ClientSession, path: str, body: Any, status: int, type: str, param: str | None
) -> None:
    answered, told = await refused(http, urls["text"] + path, body)
    assert told["error"].pop("message")
    assert (answered, told) == (status, {"error": {"type": type, "param": param, "code": status}})


@pytest.mark.parametrize(
    ("raw", "param"), [(b"", "body"), (b"[]", "body"), (b"{not json", "body.1"), (b"null", "body")]
)
async def test_a_body_that_is_no_object_is_refused(
    urls: Urls, http: aiohttp.ClientSession, raw: bytes, param: str
) -> None:
    async with http.post(urls["text"] + CHAT, data=raw, headers={"content-type": "application/json"}) as answer:
        assert (answer.status, (await answer.json())["error"]["param"]) == (400, param)


async def test_a_body_that_is_no_text_has_an_envelope_of_its_own(urls: Urls, http: aiohttp.ClientSession) -> None:
    async with http.post(urls["text"] + CHAT, data=b'"\xff"', headers={"content-type": "application/json"}) as answer:
        assert (answer.status, await answer.json()) == (400, {"detail": "There was an error parsing the body"})


async def test_all_problems_of_a_body_are_told_at_once(urls: Urls, http: aiohttp.ClientSession) -> None:
    _, told = await refused(http, urls["text"] + CHAT, {"max_tokens": "many", "stream": "maybe"})
    assert told["error"]["message"].startswith("3 validation errors:\n  {'type': 'missing', 'loc': 'body.messages'")


async def test_messages_have_anthropics_envelope(urls: Urls, http: aiohttp.ClientSession) -> None:
    status, told = await refused(http, urls["text"] + MESSAGES, saying(model="no/such", max_tokens=5))
    assert (status, told["type"], told["error"]["type"]) == (404, "error", MISSING)


@pytest.mark.parametrize(
    "body",
    [
        saying(model=None),
        saying(model=""),
        saying(something="else"),
        saying(max_tokens="5"),
        saying(stream_options={}),
        saying(max_tokens=4090),
        {"messages": [{"role": "narrator", "content": "x"}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None}]},
    ],
)
async def test_what_vllm_forgives_is_forgiven(urls: Urls, http: aiohttp.ClientSession, body: Any) -> None:
    async with http.post(urls["text"] + CHAT, json=body) as answer:
        assert answer.status == 200

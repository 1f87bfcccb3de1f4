"""The simulated Ollama does what the real one does, and says that it is simulated."""

from typing import Any

import aiohttp
import pytest

from smart_router.simulate import SimulatedModel
from tests.e2e.asking import data_of

from .asking import CHAT, Start, ask, quick, refused, saying

NAME = "qwen2.5:7b"


@pytest.fixture
def url(start: Start) -> str:
    return start(id=NAME, server="ollama", kind="image")


def chat(text: str = "Hello", **changed: Any) -> dict[str, Any]:
    return saying(text, model=NAME, **changed)


async def in_memory(http: aiohttp.ClientSession, url: str) -> list[str]:
    return [model["name"] for model in (await ask(http, f"{url}/api/ps"))["models"]]


async def test_it_says_that_it_is_simulated(url: str, http: aiohttp.ClientSession) -> None:
    async with http.get(url) as answer:
        assert (answer.headers["x-simulated"], await answer.text()) == ("true", "Ollama is running (simulated)")
    assert "simulated" in (await ask(http, f"{url}/api/version"))["version"]
    answered = await ask(http, url + CHAT, chat())
    assert "simulated" in answered["choices"][0]["message"]["content"]
    assert "simulated" in answered["system_fingerprint"]


async def test_it_has_the_paths_of_ollama_and_not_of_vllm(url: str, http: aiohttp.ClientSession) -> None:
    assert [model["name"] for model in (await ask(http, f"{url}/api/tags"))["models"]] == [NAME]
    assert [model["id"] for model in (await ask(http, f"{url}/v1/models"))["data"]] == [NAME]
    for path in ("/health", "/metrics", "/is_sleeping"):
        async with http.get(url + path) as answer:
            assert answer.status == 404


async def test_a_model_is_loaded_by_its_first_request(url: str, http: aiohttp.ClientSession) -> None:
    assert await in_memory(http, url) == []
    await ask(http, url + CHAT, chat())
    assert await in_memory(http, url) == [NAME]


@pytest.mark.parametrize("keep_alive", [-1, "5m", None, 300])
async def test_a_model_is_loaded_and_unloaded_by_hand(
    url: str, http: aiohttp.ClientSession, keep_alive: object
) -> None:
    asked = {"model": NAME} if keep_alive is None else {"model": NAME, "keep_alive": keep_alive}
    assert (await ask(http, f"{url}/api/generate", asked))["done_reason"] == "load"
    assert await in_memory(http, url) == [NAME]
    assert (await ask(http, f"{url}/api/generate", {"model": NAME, "keep_alive": 0}))["done_reason"] == "unload"
    assert await in_memory(http, url) == []


async def test_a_model_that_is_not_pulled_is_not_found(url: str, http: aiohttp.ClientSession) -> None:
    status, body = await refused(http, url + CHAT, chat() | {"model": "llama3.2"})
    error = {"message": "model 'llama3.2' not found", "type": "not_found_error", "param": None, "code": None}
    assert (status, body) == (404, {"error": error})
    assert await refused(http, f"{url}/api/generate", {"model": "x"}) == (404, {"error": "model 'x' not found"})
    await ask(http, f"{url}/api/pull", {"model": "llama3.2"})
    assert (await ask(http, url + CHAT, chat() | {"model": "llama3.2"}))["model"] == "llama3.2"
    await (await http.delete(f"{url}/api/delete", json={"model": "llama3.2"})).read()
    assert (await refused(http, url + CHAT, chat() | {"model": "llama3.2"}))[0] == 404


async def test_a_stream_ends_with_its_usage(url: str, http: aiohttp.ClientSession) -> None:
    body = chat(stream=True, stream_options={"include_usage": True})
    async with http.post(url + CHAT, json=body) as answer:
        *said, last, done = data_of(await answer.read())
    assert done == "[DONE]"
    assert last["usage"]["total_tokens"] > 0
    assert "You said: Hello." in "".join(event["choices"][0]["delta"]["content"] for event in said)
    assert said[-1]["choices"][0]["finish_reason"] == "stop"


async def test_what_ollama_does_not_know_is_passed_over(url: str, http: aiohttp.ClientSession) -> None:
    """Also where vLLM would refuse it."""
    odd: dict[str, Any] = {
        "n": 3,
        "structured_outputs": {"choice": ["a"]},
        "max_completion_tokens": 1,
        "tool_choice": "auto",
    }
    answered = await ask(http, url + CHAT, chat(**odd))
    assert len(answered["choices"]) == 1
    assert answered["usage"]["completion_tokens"] > 1


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}, "invalid message format"),
        ({"type": "audio_url", "audio_url": {"url": "data:audio/wav;base64,AAAA"}}, "invalid message format"),
        ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, "invalid image input"),
        ({"type": "image_url", "image_url": {"url": "data:image/gif;base64,R0lGODlh"}}, "invalid image input"),
    ],
)
async def test_it_takes_pictures_in_base64_alone(
    url: str, http: aiohttp.ClientSession, part: dict[str, Any], message: str
) -> None:
    body = {"model": NAME, "messages": [{"role": "user", "content": [part, {"type": "text", "text": "what?"}]}]}
    status, refusal = await refused(http, url + CHAT, body)
    assert (status, refusal["error"]["message"]) == (400, message)


async def test_a_picture_in_base64_is_seen(url: str, http: aiohttp.ClientSession) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    body = {"model": NAME, "messages": [{"role": "user", "content": [part, {"type": "text", "text": "what?"}]}]}
    assert "1 image attached" in (await ask(http, url + CHAT, body))["choices"][0]["message"]["content"]


async def test_a_prompt_that_is_too_long_is_cut_to_half_of_the_context(
    start: Start, http: aiohttp.ClientSession
) -> None:
    """Without a word: github.com/ollama/ollama, issue 17427."""
    url = start(id=NAME, server="ollama", max_model_len=64)
    fits = (await ask(http, url + CHAT, chat("word " * 40)))["usage"]["prompt_tokens"]
    assert 40 < fits <= 64
    assert (await ask(http, url + CHAT, chat("word " * 100)))["usage"]["prompt_tokens"] == 4 + (64 - 4) // 2


@pytest.mark.parametrize("body", [None, [], {}, {"model": NAME}, {"model": NAME, "messages": []}, {"model": 5}])
async def test_a_body_of_the_wrong_form_is_a_refusal(url: str, http: aiohttp.ClientSession, body: Any) -> None:
    status, refusal = await refused(http, url + CHAT, body)
    assert status in (400, 404)
    assert set(refusal["error"]) == {"message", "type", "param", "code"}


async def test_a_duration_that_is_none_is_refused(url: str, http: aiohttp.ClientSession) -> None:
    status, refusal = await refused(http, f"{url}/api/generate", {"model": NAME, "keep_alive": "soon"})
    assert (status, refusal) == (400, {"error": 'time: invalid duration "soon"'})


async def test_it_can_be_made_to_fail_and_tells_what_it_got(url: str, http: aiohttp.ClientSession) -> None:
    await ask(http, f"{url}/simulate/faults", {"fault": "refuse-503", "count": 1})
    assert (await refused(http, url + CHAT, chat()))[0] == 503
    assert (await ask(http, f"{url}/simulate/requests"))["requests"][-1]["body"] == chat()


def test_there_are_two_kinds_of_servers() -> None:
    with pytest.raises(ValueError, match="server must be one of vllm, ollama"):
        SimulatedModel("m", server="tgi")  # type: ignore[arg-type]
    assert quick().server == "vllm"

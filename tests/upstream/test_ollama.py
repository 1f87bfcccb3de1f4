"""What the Ollama kind does beyond the contract: contexts, links, names. Against a simulated Ollama."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
import structlog
from structlog.typing import EventDict

from smart_router.decide.context import looks_cut
from smart_router.errors import BackendModelMissing, BadRequest, ContextOverflow
from smart_router.registry import Model
from smart_router.simulate import SimulatedModel, running
from smart_router.types import Attachment, Message
from smart_router.upstream import ollama as module
from smart_router.upstream import ollama_api
from smart_router.upstream.base import Call, Forward
from smart_router.upstream.ollama import OllamaUpstream
from tests.fakes import Clock, a_model, an_ask, an_image, settings

from .scripted import ScriptedServer, answer

NAME = "qwen2.5:7b"
CONTEXT = 256
CUT = "a prompt was probably cut to fit the context"
TOLD = "Ollama cuts prompts that are longer than its context"
LINK = Attachment("image", url="https://example.org/a.png")
WITHIN_S = 20.0

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def url() -> Iterator[str]:
    options: dict[str, Any] = {"ttft_ms": 0, "tokens_per_second": 0, "max_model_len": CONTEXT, "kind": "image"}
    with running(SimulatedModel(NAME, server="ollama", **options)) as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def upstream(clock: Clock) -> AsyncIterator[OllamaUpstream]:
    deadlines = settings(health_timeout=WITHIN_S, connect_timeout=WITHIN_S, first_byte_timeout=WITHIN_S)
    found = OllamaUpstream(deadlines, now=clock)
    await found.start()
    yield found
    await found.close()


@pytest.fixture
def logged() -> Iterator[list[EventDict]]:
    with structlog.testing.capture_logs() as found:
        yield found


def ollama(name: str = NAME, **changed: Any) -> Model:
    return a_model("small", served_as=name, backend="ollama", **changed)


async def said(upstream: OllamaUpstream, url: str, query: str = "Hi", **more: Any) -> str:
    stream = more.pop("stream", False)
    history = tuple(more.pop("history", ()))
    found = await upstream.open(Call(an_ask(query, **more), ollama(), history, stream), url)
    try:
        return "".join([piece.text async for piece in found.pieces()])
    finally:
        found.close()


async def passed(upstream: OllamaUpstream, url: str, query: str, *, stream: bool = False) -> None:
    body = httpx2.Request("POST", url, json={
        "model": NAME, "messages": [{"role": "user", "content": query}], "stream": stream,
        "stream_options": {"include_usage": True}, "max_tokens": 5,
    }).content  # fmt: skip
    found = await upstream.forward(Forward(b"/v1/chat/completions", body, stream=stream, model=ollama()), url, WITHIN_S)
    while not found.complete:
        await found.chunk()
    found.close()


def entries(logged: list[EventDict], event: str) -> list[EventDict]:
    return [entry for entry in logged if entry["event"] == event]


# contexts


async def test_the_context_is_told_once_and_again_when_it_is_known_to_be_another(
    upstream: OllamaUpstream, url: str, logged: list[EventDict]
) -> None:
    for _ in range(2):
        await upstream.check(ollama(), url)
    (guess,) = entries(logged, TOLD)
    assert (guess["log_level"], guess["model"], guess["context_tokens"], guess["or_more"]) == (
        "warning", "small", 4096, True,
    )  # fmt: skip
    assert guess["trained_for_tokens"] == 32_768
    assert "OLLAMA_CONTEXT_LENGTH" in guess["remedy"]
    await said(upstream, url)  # loads it
    for _ in range(2):
        await upstream.check(ollama(), url)
    _, known = entries(logged, TOLD)
    assert (known["context_tokens"], known["or_more"]) == (CONTEXT, False)


async def test_a_context_that_is_all_that_the_model_can_have_is_no_warning(
    upstream: OllamaUpstream, server: ScriptedServer, logged: list[EventDict]
) -> None:
    server.enqueue(answer(200, b'{"version": "0.32.9"}'))
    server.enqueue(answer(200, b'{"models": [{"name": "qwen2.5:7b"}]}'))
    server.enqueue(
        answer(200, b'{"parameters": "num_keep 5\\nnum_ctx 8192", "model_info": {"a.context_length": 8192}}')
    )
    server.enqueue(answer(200, b'{"models": []}'))
    await upstream.check(ollama(), server.url)
    (told,) = entries(logged, TOLD)
    assert (told["log_level"], told["context_tokens"], told["or_more"]) == ("info", 8192, False)


@pytest.mark.parametrize("body", [b"<html>", b'{"models": 5}', b'{"parameters": 5}'])
async def test_a_context_that_cannot_be_read_leaves_the_server_healthy(
    upstream: OllamaUpstream, server: ScriptedServer, body: bytes
) -> None:
    server.enqueue(answer(200, b'{"version": "0.32.9"}'))
    server.enqueue(answer(200, b'{"models": [{"name": "qwen2.5:7b"}]}'))
    server.enqueue(answer(200, body))
    server.enqueue(answer(200, body))
    assert await upstream.check(ollama(), server.url) == ""


LONG = "word " * (2 * CONTEXT)


@pytest.mark.parametrize("how", ["whole", "streamed", "passed on", "passed on, streamed"])
async def test_a_prompt_that_was_cut_is_told_at_most_once_a_minute(
    upstream: OllamaUpstream, url: str, clock: Clock, logged: list[EventDict], how: str
) -> None:
    async def once(query: str) -> None:
        if how.startswith("passed on"):
            await passed(upstream, url, query, stream="streamed" in how)
        else:
            await said(upstream, url, query, stream=how == "streamed")

    await once("Hi")
    await upstream.check(ollama(), url)
    await once("Hi")
    assert entries(logged, CUT) == []
    await once(LONG)
    await once(LONG)
    (told,) = entries(logged, CUT)
    assert (told["model"], told["context_tokens"], told["prompt_tokens"]) == ("small", CONTEXT, 4 + (CONTEXT - 4) // 2)
    assert LONG[:20] not in str(logged)
    clock.pass_(module.TELL_AGAIN_S)
    await once(LONG)
    assert len(entries(logged, CUT)) == 2


async def test_a_context_that_is_only_guessed_accuses_nobody(
    upstream: OllamaUpstream, url: str, logged: list[EventDict]
) -> None:
    await upstream.check(ollama(), url)
    await said(upstream, url, LONG)
    assert entries(logged, CUT) == []


@pytest.mark.parametrize(
    ("prompt", "context", "cut"),
    [(2050, 4096, True), (32_770, 65_536, True), (4096, 4096, True), (2051, 4096, False), (4095, 4096, False)],
)
def test_a_cut_prompt_is_half_of_the_context_or_all_of_it(prompt: int, context: int, cut: bool) -> None:
    """The first two are from github.com/ollama/ollama, issues 17889 and 17427."""
    assert looks_cut(prompt, context) is cut


def test_a_model_may_keep_more_of_the_beginning() -> None:
    assert looks_cut(24 + (4096 - 24) // 2, 4096, kept=24)


async def test_contexts_that_are_remembered_are_bounded(
    upstream: OllamaUpstream, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_CONTEXTS", 2)
    for tail in ("", "/", "//", "///"):
        await upstream.check(ollama(), url + tail)
    assert len(upstream._contexts) == 2


async def test_a_refusal_for_the_context_is_one(upstream: OllamaUpstream, server: ScriptedServer) -> None:
    """Some models are not cut but refused; llama.cpp's words."""
    words = b'{"error": {"message": "the request exceeds the available context size, try increasing it"}}'
    server.enqueue(answer(400, words))
    with pytest.raises(ContextOverflow):
        await said(upstream, server.url)


# what it takes


async def test_a_picture_in_base64_goes_along(upstream: OllamaUpstream, url: str) -> None:
    assert "1 image attached" in await said(upstream, url, attachments=(an_image(),))


async def test_a_link_is_refused_with_what_to_send(upstream: OllamaUpstream, server: ScriptedServer) -> None:
    with pytest.raises(BadRequest, match="only as base64 `data`, not by `url`"):
        await said(upstream, server.url, attachments=(LINK,))
    assert server.requests == []


async def test_a_link_of_an_earlier_turn_is_left_out(upstream: OllamaUpstream, url: str) -> None:
    history = (Message("user", "look", (LINK, an_image())), Message("assistant", "a cat"))
    assert "1 image attached" in await said(upstream, url, "and now?", history=history)


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        (b'{"max_completion_tokens": 7}', b'{"max_completion_tokens": 7,"max_tokens":7}'),
        (
            b'{"max_tokens": null, "max_completion_tokens":7} ',
            b'{"max_tokens": null, "max_completion_tokens":7,"max_tokens":7}',
        ),
        (b'{"max_completi\\u006fn_tokens": 7}', b'{"max_completi\\u006fn_tokens": 7,"max_tokens":7}'),
        (b'{"max_tokens": 5, "max_completion_tokens": 7}', None),
        (b'{"max_tokens": 5}', None),
        (b'{"messages": []}', None),
        (b"{}", None),
        (b"garbage", None),
        (b"[" * 100_000, None),
    ],
    ids=lambda given: str(given)[:50],
)
def test_a_limit_by_its_newer_name_is_said_by_its_older(given: bytes, sent: bytes | None) -> None:
    assert ollama_api.limited(given) == (given if sent is None else sent)


async def test_a_limit_by_its_newer_name_is_kept(upstream: OllamaUpstream, url: str) -> None:
    body = f'{{"model": "{NAME}", "messages": [{{"role": "user", "content": "Hi"}}], "max_completion_tokens": 3}}'
    found = await upstream.forward(Forward(module.CHAT, body.encode(), model=ollama()), url, WITHIN_S)
    assert b'"completion_tokens":3' in await found.chunk()
    found.close()


# names


async def test_a_model_that_is_not_pulled_says_how(upstream: OllamaUpstream, url: str) -> None:
    for asking in (upstream.check(ollama("nobody"), url), upstream.open(Call(an_ask(), ollama("nobody")), url)):
        with pytest.raises(BackendModelMissing, match="`ollama pull nobody`"):
            await asking


async def test_a_name_without_a_tag_is_the_latest(upstream: OllamaUpstream, url: str) -> None:
    httpx2.post(f"{url}/api/pull", json={"model": "hf.co/Org/Model"}, trust_env=False)
    assert await upstream.check(ollama("hf.co/org/model"), url) == ""
    assert "hf.co/org/model:latest" in await upstream.models(ollama(), url)


async def test_a_model_of_the_cloud_need_not_be_pulled(upstream: OllamaUpstream, url: str) -> None:
    assert await upstream.check(ollama("gpt-oss:120b-cloud"), url) == ""


@pytest.mark.parametrize(
    ("name", "read"),
    [("llama3", "llama3:latest"), ("Llama3:8B", "llama3:8b"), ("host:5000/a/b", "host:5000/a/b:latest")],
)
def test_names_are_read_as_ollama_does(name: str, read: str) -> None:
    assert ollama_api.same(name) == read


async def test_it_neither_sleeps_nor_says_how_busy_it_is(upstream: OllamaUpstream, server: ScriptedServer) -> None:
    assert await upstream.asleep(server.url) is False
    assert server.requests == []

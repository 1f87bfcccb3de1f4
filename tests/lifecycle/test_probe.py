"""A model that was woken is asked what its API takes, on a server that answers as told."""

import pytest

from smart_router.errors import BackendBroke, UpstreamError
from smart_router.lifecycle.probe import prove
from smart_router.upstream.vllm import VllmUpstream
from tests.fakes import a_model, settings
from tests.upstream.scripted import ScriptedServer, answer, completion, scripted_server

pytestmark = pytest.mark.usefixtures("bare_environment")


async def proven(server: ScriptedServer, **changed: object) -> None:
    upstream = VllmUpstream(settings())
    await upstream.start()
    try:
        await prove(upstream, a_model("m", server.url, **changed), server.url)
    finally:
        await upstream.close()


async def test_a_chat_model_is_asked_for_one_token() -> None:
    async with scripted_server() as server:
        server.enqueue(answer(200, completion()))
        await proven(server, served_as="served")
        asked = server.requests[0]
    assert asked.path == "/v1/chat/completions"
    assert (asked.json["model"], asked.json["max_tokens"], "stream" in asked.json) == ("served", 1, False)


async def test_a_model_that_transcribes_gets_a_recording() -> None:
    async with scripted_server() as server:
        server.enqueue(answer(200, b'{"text": ""}'))
        await proven(server, api="transcriptions")
        asked = server.requests[0]
    assert asked.path == "/v1/audio/transcriptions"
    assert b"RIFF" in asked.body


async def test_a_model_that_speaks_gets_a_short_text() -> None:
    async with scripted_server() as server:
        server.enqueue(answer(200, b"RIFF", "audio/wav"))
        await proven(server, api="speech")
        asked = server.requests[0]
    assert asked.path == "/v1/audio/speech"
    assert asked.json["input"]


@pytest.mark.parametrize(("capability", "path"), [("embeddings", "/v1/embeddings"), ("rerank", "/v1/score")])
async def test_a_model_that_generates_nothing_is_asked_for_what_it_does(capability: str, path: str) -> None:
    async with scripted_server() as server:
        server.enqueue(answer(200, b"{}"))
        await proven(server, capabilities=[capability], served_as="served")
        asked = server.requests[0]
    assert (asked.path, asked.json["model"]) == (path, "served")


async def test_a_model_is_asked_with_its_key() -> None:
    async with scripted_server() as server:
        server.enqueue(answer(200, b"{}"))
        await proven(server, capabilities=["embeddings"], api_key="secret")
    assert server.requests[0].headers["authorization"] == "Bearer secret"


async def test_who_is_busy_is_asked_again() -> None:
    async with scripted_server() as server:
        server.enqueue(answer(503))
        server.enqueue(answer(200, completion()))
        await proven(server)
        assert len(server.requests) == 2


async def test_who_refuses_the_question_has_answered() -> None:
    async with scripted_server() as server:
        server.enqueue(answer(400, b'{"error": {"message": "no chat template"}}'))
        await proven(server)


@pytest.mark.parametrize("capabilities", [(), ("embeddings",)])
async def test_who_fails_has_not_answered(capabilities: tuple[str, ...]) -> None:
    async with scripted_server() as server:
        server.enqueue(answer(500))
        with pytest.raises(BackendBroke):
            await proven(server, capabilities=capabilities)


@pytest.mark.parametrize("status", [401, 404])
async def test_who_does_not_know_the_path_or_the_key_has_not_answered(status: int) -> None:
    async with scripted_server() as server:
        server.enqueue(answer(status))
        with pytest.raises(UpstreamError):
            await proven(server, capabilities=["embeddings"])

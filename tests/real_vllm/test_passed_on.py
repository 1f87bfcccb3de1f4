"""The OpenAI-style paths, by the official clients, on real vLLM servers: see `make test-vllm`."""

import base64
import os
from collections.abc import Iterator

import anthropic
import openai
import pytest

from smart_router.cli import media
from smart_router.cli.processes import free_port, running, smart_router

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.timeout(300),
    pytest.mark.skipif("REAL_VLLM_AGENT_URL" not in os.environ, reason="needs real vLLM servers: make test-vllm"),
]

AGENT, MULTIMODAL = "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct"
KEY = "a-key"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    port = free_port()
    environment = dict(os.environ) | {"API_KEY": KEY}
    with running(smart_router("serve", "--port", str(port)), port, environment, path="/ready") as url:
        yield url


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key=KEY, timeout=120, max_retries=0) as found:
        yield found


def test_a_chat_is_answered_by_the_model_that_auto_means(client: openai.OpenAI) -> None:
    asked = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "user", "content": "Write a Python function to sort a list"}],
        max_tokens=8,
        extra_headers={"X-Session-ID": "passed-on-1"},
    )
    assert asked.headers["x-route-model"] == AGENT
    answer = asked.parse()
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0


def test_a_stream_ends_with_the_usage_that_was_asked_for(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model=AGENT,
        messages=[{"role": "user", "content": "Count to ten"}],
        max_tokens=8,
        stream=True,
        stream_options={"include_usage": True},
        logprobs=True,
    )
    chunks = list(stream)
    assert any(chunk.choices and chunk.choices[0].delta.content for chunk in chunks)
    assert any(chunk.choices and chunk.choices[0].logprobs for chunk in chunks)
    assert chunks[-1].usage is not None


def test_a_picture_leads_to_a_model_with_eyes(client: openai.OpenAI) -> None:
    data, media_type = media.SAMPLES["image"]()
    url = f"data:{media_type};base64,{base64.b64encode(data).decode()}"
    asked = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What does this picture show?"},
                    {"type": "image_url", "image_url": {"url": url}},
                ],
            }
        ],
        max_tokens=8,
    )
    assert asked.headers["x-route-model"] == MULTIMODAL


def test_what_vllm_refuses_comes_back_in_its_own_words(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(
            model=AGENT, messages=[{"role": "user", "content": "word " * 6000}], max_tokens=8
        )
    assert "context length" in str(refused.value) or "input" in str(refused.value)


def test_responses_and_messages_work_too(client: openai.OpenAI, address: str) -> None:
    response = client.responses.create(model="agent", input="Say something", max_output_tokens=8, temperature=0)
    assert response.id.startswith("resp_")
    with anthropic.Anthropic(base_url=address, api_key=KEY, timeout=120, max_retries=0) as other:
        message = other.messages.create(
            model="agent", max_tokens=8, messages=[{"role": "user", "content": "Say something"}]
        )
        with other.messages.stream(
            model="agent", max_tokens=8, messages=[{"role": "user", "content": "Say something"}]
        ) as stream:
            assert stream.get_final_message().usage.output_tokens > 0
    assert message.usage.output_tokens > 0

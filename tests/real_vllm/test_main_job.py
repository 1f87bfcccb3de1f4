"""
The main job on real vLLM servers: one conversation over all three backend groups, streamed and not, with an image and
recordings attached. Their tiny models answer noise; everything around it is the real thing. See `make test-vllm`.
"""

import base64
import json
import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from smart_router.cli import media
from smart_router.cli.processes import free_port, running, smart_router
from smart_router.decide import sse
from smart_router.types import MediaKind

pytestmark = [
    pytest.mark.real_vllm,
    pytest.mark.timeout(300),
    pytest.mark.skipif("REAL_VLLM_AGENT_URL" not in os.environ, reason="needs real vLLM servers: make test-vllm"),
]

AGENT, MULTIMODAL, AUDIO = "Qwen/Qwen2.5-7B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2-Audio-7B"


@pytest.fixture(scope="module")
def router() -> Iterator[httpx2.Client]:
    port = free_port()
    with (
        running(smart_router("serve", "--port", str(port)), port, dict(os.environ), path="/ready") as url,
        httpx2.Client(base_url=url, timeout=120) as client,
    ):
        yield client


def ask(
    client: httpx2.Client,
    query: str,
    session: str,
    *,
    attach: MediaKind | None = None,
    stream: bool = False,
    **more: Any,
) -> dict[str, Any]:
    """The record of one turn; of a streamed one the `done` event with the deltas joined as its result."""
    body: dict[str, Any] = {"query": query, "session_id": session, "max_tokens": 12, "stream": stream, **more}
    if attach:
        data, media_type = media.SAMPLES[attach]()
        encoded = base64.b64encode(data).decode()
        body["attachments"] = [{"type": attach, "data": encoded, "media_type": media_type}]
    response = client.post("/route", json=body)
    assert response.status_code == 200, response.text
    return _streamed(response.text) if stream else dict(response.json())


def _streamed(text: str) -> dict[str, Any]:
    events = sse.Parser().feed(text.encode())
    assert [events[0].event, events[-1].event] == ["route", "done"]
    assert {event.event for event in events[1:-1]} == {"message"}
    return {**json.loads(events[-1].data), "result": "".join(json.loads(e.data)["delta"] for e in events[1:-1])}


def test_a_conversation_of_twelve_turns_runs_over_all_three_groups(router: httpx2.Client) -> None:
    turns = [
        ask(router, "Write a Python function to sort a list", "talk"),
        ask(router, "Add error handling to that function", "talk"),
        ask(router, "and a test for it please", "talk", stream=True),
        ask(router, "What is wrong in this screenshot?", "talk", attach="image"),
        ask(router, "And what is written at the bottom of it?", "talk"),
        ask(router, "describe it for someone who cannot see", "talk", stream=True),
        ask(router, "What does she say here?", "talk", attach="audio"),
        ask(router, "and in this one?", "talk", attach="audio", stream=True),
        ask(router, "write down the third recording too", "talk", attach="audio"),
        ask(router, "now write a SQL query that joins orders and customers", "talk", use_case="agent"),
        ask(router, "only the open orders", "talk", stream=True),
        ask(router, "thanks", "talk"),
    ]
    assert [turn["selected_model"] for turn in turns] == [AGENT] * 3 + [MULTIMODAL] * 3 + [AUDIO] * 3 + [AGENT] * 3
    assert all(turn["result"] for turn in turns)
    assert [turn["new_session"] for turn in turns] == [True] + [False] * 11
    assert turns[1]["bypass_used"] is True
    assert turns[3]["reason"] == "modality"
    assert turns[3]["context_changed"] is True
    assert turns[9]["reason"] == "explicit"


def test_the_first_exchange_reaches_the_model_as_history(router: httpx2.Client) -> None:
    first = ask(router, "Write a Python function to sort a list", "history")
    second = ask(router, "Add error handling to that function", "history")
    assert second["usage"]["prompt_tokens"] > first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"]


def test_a_remembered_image_reaches_the_model_again(router: httpx2.Client) -> None:
    with_image = ask(router, "What is wrong in this screenshot?", "image", attach="image")
    without = ask(router, "What is wrong in this screenshot?", "no-image", use_case="multimodal")
    follow_up = ask(router, "And at the bottom?", "image")
    image_tokens = with_image["usage"]["prompt_tokens"] - without["usage"]["prompt_tokens"]
    assert image_tokens > 4
    assert follow_up["usage"]["prompt_tokens"] > with_image["usage"]["prompt_tokens"]


def test_usage_is_counted_by_the_server_streamed_or_not(router: httpx2.Client) -> None:
    plain = ask(router, "Write a haiku about the sea", "usage-plain", temperature=0)
    streamed = ask(router, "Write a haiku about the sea", "usage-stream", temperature=0, stream=True)
    assert plain["usage"]["prompt_tokens"] == streamed["usage"]["prompt_tokens"] > 0
    assert plain["usage"]["completion_tokens"] == 12
    assert plain["result"] == streamed["result"]


def test_a_question_without_a_recording_is_refused_by_a_model_that_transcribes(router: httpx2.Client) -> None:
    response = router.post(
        "/route", json={"query": "what does she say at 4:32", "session_id": "deaf", "use_case": "stt"}
    )
    assert response.status_code == 400
    assert "attach" in response.json()["error_message"]
    assert router.get("/sessions/deaf").status_code == 404


def test_what_the_server_refuses_is_refused_with_its_reason(router: httpx2.Client) -> None:
    response = router.post("/route", json={"query": "hello " * 5000, "session_id": "long", "use_case": "agent"})
    assert response.status_code == 400
    assert "context" in response.json()["error_message"] or "token" in response.json()["error_message"]
    assert router.get("/sessions/long").status_code == 404


def test_all_groups_are_healthy(router: httpx2.Client) -> None:
    health = router.get("/health").json()
    assert health["status"] == "healthy"
    assert {group["status"] for group in health["model_endpoints"].values()} == {"healthy"}

"""Has content begun? The events are those of vLLM 0.10 and later, and what it sends when something goes wrong."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smart_router.decide.content import Kind, Seen, look_at
from smart_router.decide.sse import Event


def seen(data: Any, event: str = "message") -> Seen:
    return look_at(Event(data if isinstance(data, str) else json.dumps(data), event))


def chat(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [choice],
    } | more


def completion(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish, "stop_reason": None}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}


def typed(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "sequence_number": 1} | more


USAGE = {"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}
TOOL = [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}]
TRANSCRIPT = {"object": "transcription.chunk", "id": "trsc-1"}
RESPONSE: dict[str, Any] = {"id": "resp_1", "object": "response", "status": "in_progress", "output": [], "error": None}

CHAT: list[tuple[Any, Kind]] = [
    (chat({"role": "assistant", "content": ""}), "preamble"),
    (chat({"role": "assistant", "content": "", "reasoning_content": None}), "preamble"),
    (chat({"role": "assistant"}, usage=USAGE), "preamble"),
    (chat({}), "preamble"),
    (chat({"content": None, "tool_calls": []}), "preamble"),
    ({"choices": [], "usage": USAGE}, "preamble"),
    (chat({"content": "Hi"}), "content"),
    (chat({"content": " "}), "content"),
    (chat({"content": "\n"}), "content"),
    (chat({"reasoning_content": "Hm"}), "content"),
    (chat({"reasoning": "Hm"}), "content"),
    (chat({"tool_calls": TOOL}), "content"),
    (chat({"refusal": "No"}), "content"),
    (chat({"content": ""}, "stop"), "content"),
    (chat({}, "length"), "content"),
    ({"choices": [{"delta": {"content": ""}}, {"delta": {"content": "Hi"}}]}, "content"),
    (chat({"content": "Hi"}, error=None), "content"),
    ("[DONE]", "end"),
]
COMPLETIONS: list[tuple[Any, Kind]] = [
    (completion(""), "preamble"),
    (completion("Once"), "content"),
    (completion("", "stop"), "content"),
]
TRANSCRIPTIONS: list[tuple[Any, Kind]] = [
    (chat({"content": ""}) | TRANSCRIPT, "preamble"),
    (chat({"content": " well"}) | TRANSCRIPT, "content"),
]
RESPONSES: list[tuple[Any, Kind]] = [
    (typed("response.created", response=RESPONSE), "preamble"),
    (typed("response.queued", response=RESPONSE), "preamble"),
    (typed("response.in_progress", response=RESPONSE), "preamble"),
    (typed("response.output_item.added", item={"type": "message", "content": []}), "preamble"),
    (typed("response.content_part.added", part={"type": "output_text", "text": ""}), "preamble"),
    (typed("response.reasoning_part.added", part={"type": "reasoning_text", "text": ""}), "preamble"),
    (typed("response.output_text.delta", delta="Hi"), "content"),
    (typed("response.reasoning_text.delta", delta="Hm"), "content"),
    (typed("response.function_call_arguments.delta", delta="{"), "content"),
    (typed("response.completed", response=RESPONSE | {"status": "completed"}), "content"),
    (typed("response.incomplete", response=RESPONSE | {"status": "incomplete"}), "content"),
    (typed("response.failed", response=RESPONSE | {"error": {"code": "server_error"}}), "error"),
    (typed("error", code="server_error", message="no", param=None), "error"),
]
MESSAGES: list[tuple[Any, Kind]] = [
    (typed("message_start", message={"id": "m1", "content": [], "usage": {"input_tokens": 5}}), "preamble"),
    (typed("content_block_start", index=0, content_block={"type": "text", "text": ""}), "preamble"),
    (typed("content_block_start", index=0, content_block={"type": "tool_use", "input": {}}), "preamble"),
    (typed("ping"), "preamble"),
    (typed("content_block_delta", index=0, delta={"type": "text_delta", "text": "Hi"}), "content"),
    (typed("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Hm"}), "content"),
    (typed("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 0}), "content"),
    (typed("message_stop"), "content"),
    (typed("error", error={"type": "overloaded_error", "message": "no"}), "error"),
]


@pytest.mark.parametrize(
    ("data", "kind"), [*CHAT, *COMPLETIONS, *TRANSCRIPTIONS, *RESPONSES, *MESSAGES], ids=lambda data: str(data)[:60]
)
def test_an_event_announces_says_or_ends_something(data: Any, kind: Kind) -> None:
    assert seen(data).kind == kind


@pytest.mark.parametrize(("data", "kind"), [*RESPONSES, *MESSAGES], ids=lambda data: str(data)[:60])
def test_the_events_name_serves_where_its_data_has_none(data: Any, kind: Kind) -> None:
    unnamed = {name: value for name, value in data.items() if name != "type"}
    assert seen(unnamed, data["type"]).kind == kind


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"error": {"message": "no", "type": "BadRequestError", "param": None, "code": 400}}, 400),
        ({"error": {"message": "no", "type": "InternalServerError", "param": None, "code": 500}}, 500),
        ({"object": "error", "message": "no", "type": "BadRequestError", "param": None, "code": 400}, 400),
        ({"object": "error", "message": "no", "type": "InternalServerError", "param": None, "code": 500}, 500),
        ({"error": "out of memory"}, None),
        ({"error": {"code": "context_length_exceeded"}}, None),
        ({"error": {"code": 200}}, None),
        ({"error": {"code": 600}}, None),
        ({"error": {"code": True}}, None),
        ({"error": {"code": 1e3}}, None),
        (typed("error", code=503), 503),
        (typed("response.failed", response={"error": {"code": 400}}), None),
    ],
)
def test_an_error_has_the_status_that_it_names(data: Any, status: int | None) -> None:
    assert seen(data) == Seen("error", status)


@pytest.mark.parametrize("kind", ["response.created", "response.completed"])
def test_the_responses_id_is_told(kind: str) -> None:
    assert seen(typed(kind, response=RESPONSE)).response_id == "resp_1"


@pytest.mark.parametrize("response", [None, [], "resp_1", {}, {"id": 5}, {"id": None}])
def test_what_is_no_id_is_not_told(response: Any) -> None:
    assert seen(typed("response.created", response=response)) == Seen("preamble")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["error", "ping", "Hi", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "choices", "delta", "text", "error", "code", "response", "id", "object"]), inner
        )
    ),
    max_leaves=8,
)


@given(data=JSON.map(json.dumps) | st.text(), event=st.sampled_from(["message", "error", ""]))
@example(data='{"type": [5]}', event="message")
@example(data='{"type": {}, "choices": [5, null, {"delta": 5}]}', event="message")
@example(data="[" * 100_000, event="message")
@example(data="9" * 5000, event="message")
def test_whatever_comes_is_looked_at(data: str, event: str) -> None:
    assert look_at(Event(data, event)).kind in ("preamble", "content", "error", "end")


@pytest.mark.parametrize("data", ["", "Hi", "5", "null", "[]", '"Hi"', "{", "{}", '{"type": [5]}', '{"a": 1}'])
def test_what_is_not_known_is_content(data: str) -> None:
    assert look_at(Event(data)) == Seen("content")

"""The official Python clients of OpenAI and Anthropic, unmodified: only their address is another."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from anthropic.types import TextBlock
from openai.types.responses import ResponseCompletedEvent, ResponseTextDeltaEvent

from tests.upstream.scripted import STREAM_END, STREAM_HEAD, answer, chunk, event

from .asking import ALOUD, FOLLOW_UP, PICTURE, PYTHON, a_png, a_session, a_sound
from .models import AGENT, AUDIO, MULTIMODAL, SERVED_AS, Models, Recorder
from .routers import KEY, Router, wait_for_idle

SAID = f"[simulated {AGENT}] You said: {PYTHON}."
TOOL: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module", autouse=True)
def _nothing_of_the_environment() -> Iterator[None]:
    """No proxy, key or profile of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "*")
        for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_CUSTOM_HEADERS"):
            patch.delenv(name, raising=False)
        yield


def of_openai(router: Router, key: str = "unused") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{router.url}/v1", api_key=key, max_retries=0, timeout=20)


def of_anthropic(router: Router, key: str = "unused") -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=router.url, api_key=key, max_retries=0, timeout=20)


@pytest.fixture
def client(embedded_router: Router) -> Iterator[openai.OpenAI]:
    with of_openai(embedded_router) as found:
        yield found


@pytest.fixture
def claude(embedded_router: Router) -> Iterator[anthropic.Anthropic]:
    with of_anthropic(embedded_router) as found:
        yield found


@pytest.fixture
def scripted(recorded_router: Router, recorder: Recorder) -> Iterator[openai.OpenAI]:
    """A client of models that say what a test tells them to."""
    with of_openai(recorded_router) as found:
        yield found


# OpenAI's


def test_a_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="auto", messages=[{"role": "user", "content": PYTHON}])
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == AGENT
    assert answer.usage
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_a_streamed_chat(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="auto",
        messages=[{"role": "user", "content": PYTHON}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == SAID
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens > 0


async def test_both_asynchronously(embedded_router: Router, models: Models) -> None:
    async with openai.AsyncOpenAI(base_url=f"{embedded_router.url}/v1", api_key="unused", max_retries=0) as client:
        plain = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": PYTHON}])
        assert plain.choices[0].message.content == SAID
        stream = await client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": PYTHON}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]) == SAID


def test_the_session_and_the_decision_are_in_the_headers(client: openai.OpenAI) -> None:
    session = a_session()
    for text, bypass in ((PYTHON, "false"), (FOLLOW_UP, "true")):
        raw = client.chat.completions.with_raw_response.create(
            model="auto", messages=[{"role": "user", "content": text}], extra_headers={"X-Session-ID": session}
        )
        assert (raw.headers["x-session-id"], raw.headers["x-route-bypass"]) == (session, bypass)
        assert raw.request_id == raw.headers["x-request-id"]


def test_the_session_in_an_extra_field(client: openai.OpenAI, embedded_router: Router) -> None:
    session = a_session()
    client.chat.completions.create(
        model="auto", messages=[{"role": "user", "content": PYTHON}], extra_body={"session_id": session}
    )
    assert embedded_router.knows(session)


def test_logprobs_and_choices(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="agent", messages=[{"role": "user", "content": PYTHON}], logprobs=True, top_logprobs=2, n=2, max_tokens=3
    )
    assert len(answer.choices) == 2
    told = answer.choices[0].logprobs
    assert told
    assert told.content
    assert [len(token.top_logprobs) for token in told.content] == [2, 2, 2]


def test_a_picture(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="auto",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": PICTURE},
                    {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{a_png()}"}},
                ],
            }
        ],
    )
    assert answer.model == MULTIMODAL
    assert "1 image attached" in (answer.choices[0].message.content or "")


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"model": "auto"}'}}


def test_a_tool_call(scripted: openai.OpenAI, recorder: Recorder) -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [CALL]}
    told = {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
    }
    recorder.tell(answer(200, json.dumps(told).encode()))
    response = scripted.chat.completions.create(
        model="agent", messages=[{"role": "user", "content": "Weather?"}], tools=[TOOL], tool_choice="auto"
    )
    calls = response.choices[0].message.tool_calls
    assert calls
    assert calls[0].type == "function"
    assert calls[0].function.arguments == '{"model": "auto"}'
    assert recorder.last.json["tools"] == [TOOL]
    assert recorder.last.json["model"] == SERVED_AS[AGENT]


def test_a_streamed_tool_call(scripted: openai.OpenAI, recorder: Recorder) -> None:
    deltas: list[dict[str, Any]] = [
        {"role": "assistant", "content": ""},
        {"tool_calls": [{"index": 0, **CALL}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": " "}}]},
    ]
    headed = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [event(headed | {"choices": [{"index": 0, "delta": delta}]}) for delta in deltas]
    recorder.tell(STREAM_HEAD, *map(chunk, events), chunk(b"data: [DONE]\n\n"), STREAM_END)
    stream = scripted.chat.completions.create(
        model="agent", messages=[{"role": "user", "content": "Weather?"}], tools=[TOOL], stream=True
    )
    calls = [call for part in stream for call in part.choices[0].delta.tool_calls or []]
    assert calls[0].function
    assert (calls[0].id, calls[0].function.name) == ("c1", "weather")
    assert "".join((call.function and call.function.arguments) or "" for call in calls) == '{"model": "auto"} '


def test_completions(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="agent", prompt="Once upon a time", max_tokens=40)
    assert "continues: Once upon a time" in answer.choices[0].text
    stream = client.completions.create(model="agent", prompt="Once upon a time", max_tokens=40, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == answer.choices[0].text


def test_a_response(client: openai.OpenAI) -> None:
    response = client.responses.create(model="auto", input=PYTHON, instructions="Be brief.")
    assert response.output_text.startswith(f"[simulated {AGENT}] You said: {PYTHON}.")
    assert response.status == "completed"


def test_a_streamed_response(client: openai.OpenAI) -> None:
    events = list(client.responses.create(model="auto", input=PYTHON, stream=True))
    assert "".join(event.delta for event in events if isinstance(event, ResponseTextDeltaEvent)) == SAID
    assert isinstance(events[-1], ResponseCompletedEvent)
    assert events[-1].response.output_text == SAID


def test_a_response_that_is_not_kept(client: openai.OpenAI) -> None:
    """The simulated servers keep none."""
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_none")
    with pytest.raises(openai.NotFoundError):
        client.responses.cancel("resp_none")


def test_embeddings(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=AUDIO, input=["Hello there", "Good evening"])
    assert [len(item.embedding) for item in answer.data] == [256, 256]
    assert abs(sum(number * number for number in answer.data[0].embedding) - 1) < 0.01


@pytest.mark.parametrize("model", ["auto", "stt", AUDIO])
def test_a_transcription(client: openai.OpenAI, models: Models, model: str) -> None:
    sound = a_sound()
    answer = client.audio.transcriptions.create(model=model, file=("a.wav", sound), language="en")
    assert "This transcription stands for a file" in answer.text
    (form,) = models.audio.received()
    assert form == {"model": AUDIO, "language": "en", "file": {"filename": "a.wav", "bytes": len(sound)}}


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # OpenAI deprecated it in its client
def test_a_translation(client: openai.OpenAI) -> None:
    assert "This translation" in client.audio.translations.create(model="stt", file=("a.wav", a_sound())).text


@pytest.mark.parametrize("model", ["auto", "tts", AUDIO])
def test_speech(client: openai.OpenAI, model: str) -> None:
    answer = client.audio.speech.create(model=model, voice="any", input=ALOUD, response_format="wav")
    assert answer.content.startswith(b"RIFF")
    with client.audio.speech.with_streaming_response.create(
        model=model, voice="any", input=ALOUD, response_format="wav"
    ) as streamed:
        assert b"".join(streamed.iter_bytes()) == answer.content


def test_the_models(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} >= {"auto", "agent", "tts", AGENT, MULTIMODAL, AUDIO}


def test_an_unknown_model_is_not_found(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as told:
        client.chat.completions.create(model="gpt-nine", messages=[{"role": "user", "content": "Hi"}])
    assert all(name in told.value.message for name in ("gpt-nine", "auto", "agent", AGENT))
    assert told.value.param == "model"
    assert told.value.request_id


def test_a_refusal_of_the_model_server_is_a_bad_request(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="max_tokens must be at least 1"):
        client.chat.completions.create(model="agent", messages=[{"role": "user", "content": "Hi"}], max_tokens=-1)


def test_a_wrong_key_is_told_as_such(door: Router) -> None:
    with of_openai(door, "sk-other") as client, pytest.raises(openai.AuthenticationError):
        client.models.list()
    with of_openai(door, KEY) as client:
        assert client.models.list().data
        assert client.chat.completions.create(model="auto", messages=[{"role": "user", "content": PYTHON}])


def test_a_failing_model_is_an_internal_error(client: openai.OpenAI, models: Models) -> None:
    models.agent.fail("error-500")
    with pytest.raises(openai.InternalServerError) as told:
        client.chat.completions.create(model="agent", messages=[{"role": "user", "content": PYTHON}])
    assert told.value.status_code == 502


def test_a_stream_that_dies_raises(client: openai.OpenAI, models: Models) -> None:
    models.agent.fail("reset-mid-stream")
    stream = client.chat.completions.create(model="agent", messages=[{"role": "user", "content": PYTHON}], stream=True)
    seen = []
    with pytest.raises(openai.APIError) as told:
        for part in stream:
            seen.append(part)  # noqa: PERF402 - what came before the error counts
    assert seen
    assert told.value.message


def test_a_response_whose_stream_dies_says_so(client: openai.OpenAI, models: Models) -> None:
    """By raising, or by the event that the API has for it; never by a mere end."""
    models.agent.fail("reset-mid-stream")
    seen: list[str] = []
    try:
        seen += [event.type for event in client.responses.create(model="agent", input=PYTHON, stream=True)]
    except openai.APIError as error:
        seen.append("error")
        assert error.message
    assert seen[-1] == "error"


def test_a_stream_closed_early_frees_the_model(client: openai.OpenAI, embedded_router: Router, models: Models) -> None:
    models.agent.fail("never-ends")
    with client.chat.completions.create(
        model="agent", messages=[{"role": "user", "content": PYTHON}], stream=True
    ) as stream:
        next(iter(stream))
    models.agent.wait_for_running(0)
    wait_for_idle(embedded_router)


# Anthropic's


def said(message: anthropic.types.Message) -> str:
    (block,) = message.content
    assert isinstance(block, TextBlock)
    return block.text


def test_a_message(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(model="auto", max_tokens=100, messages=[{"role": "user", "content": PYTHON}])
    assert said(message) == SAID
    assert (message.model, message.stop_reason) == (AGENT, "end_turn")
    assert message.usage.output_tokens > 0


def test_a_message_with_a_system_prompt_and_history(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(
        model="auto",
        max_tokens=100,
        system=[{"type": "text", "text": "Be brief."}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": PYTHON}]},
            {"role": "assistant", "content": "def f(): pass"},
            {"role": "user", "content": FOLLOW_UP},
        ],
    )
    assert said(message).startswith(f"[simulated {AGENT}] You said: {FOLLOW_UP}.")


def test_a_streamed_message(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model="auto", max_tokens=100, messages=[{"role": "user", "content": PYTHON}]) as stream:
        assert "".join(stream.text_stream) == SAID
        message = stream.get_final_message()
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens > 0


async def test_both_of_anthropics_asynchronously(embedded_router: Router, models: Models) -> None:
    async with anthropic.AsyncAnthropic(base_url=embedded_router.url, api_key="unused", max_retries=0) as client:
        plain = await client.messages.create(
            model="auto", max_tokens=100, messages=[{"role": "user", "content": PYTHON}]
        )
        assert said(plain) == SAID
        async with client.messages.stream(
            model="auto", max_tokens=100, messages=[{"role": "user", "content": PYTHON}]
        ) as stream:
            assert "".join([text async for text in stream.text_stream]) == SAID


def test_a_picture_for_claude(claude: anthropic.Anthropic) -> None:
    message = claude.messages.create(
        model="auto",
        max_tokens=100,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": a_png()}},
                    {"type": "text", "text": PICTURE},
                ],
            }
        ],
    )
    assert message.model == MULTIMODAL
    assert "1 image attached" in said(message)


def test_counted_tokens(claude: anthropic.Anthropic) -> None:
    messages: Any = [{"role": "user", "content": PYTHON}]
    counted = claude.messages.count_tokens(model="agent", messages=messages)
    message = claude.messages.create(model="agent", max_tokens=5, messages=messages)
    assert counted.input_tokens == message.usage.input_tokens > 0


@pytest.mark.parametrize("as_token", [False, True], ids=["api_key", "auth_token"])
def test_the_key_as_anthropics_client_sends_it(door: Router, recorder: Recorder, as_token: bool) -> None:
    told = {"id": "x", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "Hi"}]}
    recorder.tell(answer(200, json.dumps(told).encode()))
    given: dict[str, Any] = {"auth_token": KEY} if as_token else {"api_key": KEY}
    with anthropic.Anthropic(base_url=door.url, max_retries=0, **given) as client:
        message = client.messages.create(model="agent", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    assert said(message) == "Hi"
    with of_anthropic(door, "sk-other") as client, pytest.raises(anthropic.AuthenticationError):
        client.messages.create(model="agent", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])


def test_an_unknown_model_is_not_found_for_claude(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as told:
        claude.messages.create(model="claude-nine", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    assert all(name in told.value.message for name in ("claude-nine", "auto", "agent", AGENT))
    assert isinstance(told.value.body, dict)
    assert told.value.body["error"]["type"] == "not_found_error"


def test_a_refusal_is_a_bad_request_for_claude(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.BadRequestError):
        claude.messages.create(model="agent", max_tokens=-1, messages=[{"role": "user", "content": "Hi"}])


def test_a_stream_that_dies_raises_for_claude(claude: anthropic.Anthropic, models: Models) -> None:
    models.agent.fail("reset-mid-stream")
    seen = []
    with (
        pytest.raises(anthropic.APIStatusError) as told,
        claude.messages.stream(model="agent", max_tokens=90, messages=[{"role": "user", "content": PYTHON}]) as stream,
    ):
        for text in stream.text_stream:
            seen.append(text)  # noqa: PERF402 - what came before the error counts
    assert seen
    assert told.value.message


def test_a_sound_in_a_chat(client: openai.OpenAI) -> None:
    sound = base64.b64encode(a_sound()).decode()
    answer = client.chat.completions.create(
        model="auto",
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Write down what is said in this recording"},
                    {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
                ],
            }
        ],
    )
    assert answer.model == AUDIO

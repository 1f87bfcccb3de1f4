"""
The simulator against real vLLM servers: the same requests to both, the same status, fields, types and streams back.

The addresses come from REAL_VLLM_AGENT_URL, REAL_VLLM_MULTIMODAL_URL and REAL_VLLM_AUDIO_URL; a test whose server is
not named is skipped. What may differ is declared in ALLOWED; everything else may not.
"""

import asyncio
import base64
import io
import json
import math
import os
import re
import struct
import wave
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Literal

import aiohttp
import pytest

from smart_router.simulate import Kind, SimulatedModel, running

pytestmark = pytest.mark.real_vllm

Server = Literal["agent", "multimodal", "audio"]
KIND_OF: dict[Server, Kind] = {"agent": "text", "multimodal": "image", "audio": "audio"}
URL_OF: dict[Server, str] = {
    "agent": "REAL_VLLM_AGENT_URL",
    "multimodal": "REAL_VLLM_MULTIMODAL_URL",
    "audio": "REAL_VLLM_AUDIO_URL",
}
WITHIN = aiohttp.ClientTimeout(total=60)

ALLOWED = {
    # Values: ids, times, texts and numbers are each server's own; only of errors are type, param and code compared.
    "message": "the text of an error is worded anew",
    # Paths of fields that only one of them has:
    "$.choices[].logprobs.top_logprobs[].*": "the names are the tokens themselves",
    "$.choices[].logprobs.content[]*.bytes[]": "half a character and the end have no bytes",
    "$.segments[]*": "a transcript of noise has any number of segments, the simulated one has one",
}

QUESTION = {"messages": [{"role": "user", "content": "Please explain that function again."}], "max_tokens": 4}
OWN_MODEL = "<the server's own>"
NAMED = QUESTION | {"model": OWN_MODEL}


@dataclass(frozen=True)
class Case:
    name: str
    path: str
    body: Any = None  # JSON; None = no body
    server: Server = "agent"
    method: str = "POST"
    raw: bytes | None = None  # in place of *body*
    headers: dict[str, str] = field(default_factory=dict)
    form: dict[str, Any] | None = None  # multipart, bytes are a file


def chat(name: str, **changed: Any) -> Case:
    return Case(name, "/v1/chat/completions", QUESTION | changed)


def get(name: str, path: str, server: Server = "agent", method: str = "GET") -> Case:
    return Case(name, path, server=server, method=method)


def seen(name: str, *parts: dict[str, Any], server: Server = "multimodal", **changed: Any) -> Case:
    content = [{"type": "text", "text": "What is this?"}, *parts]
    body = QUESTION | {"messages": [{"role": "user", "content": content}]} | changed
    return Case(name, "/v1/chat/completions", body, server)


def heard(name: str, task: str = "transcriptions", **form: Any) -> Case:
    fields = {"file": a_sound(), "language": "en", "max_completion_tokens": "6"} | form
    return Case(name, f"/v1/audio/{task}", server="audio", form=fields)


def completion(name: str, **changed: Any) -> Case:
    return Case(name, "/v1/completions", {"prompt": "Once upon a time", "max_tokens": 4} | changed)


def a_sound() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(b"".join(struct.pack("<h", round(6000 * math.sin(n / 6))) for n in range(24_000)))
    return file.getvalue()


def a_picture(side: int = 64) -> str:
    rows = b"".join(b"\0" + bytes([row * 4, 128, 255 - row * 4]) * side for row in range(side))
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk)) + kind + chunk + struct.pack(">I", zlib.crc32(kind + chunk))
        for kind, chunk in ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    )
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


PICTURE = {"type": "image_url", "image_url": {"url": a_picture()}}
SOUND = {"type": "input_audio", "input_audio": {"data": base64.b64encode(a_sound()).decode(), "format": "wav"}}
TOO_LONG = [{"role": "user", "content": "one two " * 5000}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}

CASES = [
    # operations
    get("health", "/health"),
    get("health of the image model", "/health", "multimodal"),
    get("health of the audio model", "/health", "audio"),
    get("ping", "/ping"),
    get("version", "/version"),
    get("models", "/v1/models"),
    get("models of the image model", "/v1/models", "multimodal"),
    get("models of the audio model", "/v1/models", "audio"),
    get("load", "/load"),
    get("awake", "/is_sleeping"),
    get("sleep to an unknown depth", "/sleep?level=9", method="POST"),
    get("sleep to no number", "/sleep?level=x", method="POST"),
    get("wake up the awake", "/wake_up", method="POST"),
    get("sleep in an unknown mode", "/sleep?mode=fast", method="POST"),
    get("sleep above the ground", "/sleep?level=-1", method="POST"),
    Case("call the workers without a word", "/collective_rpc"),
    Case("call the workers by a list", "/collective_rpc", raw=b"[]"),
    Case("call the workers without a method", "/collective_rpc", raw=b"{}"),
    Case("call an unknown method", "/collective_rpc", {"method": "dance"}),
    get("get the workers", "/collective_rpc"),
    # adapters, on a server that takes none
    Case("load an adapter", "/v1/load_lora_adapter", {"lora_name": "a", "lora_path": "/nowhere"}),
    Case("load nothing", "/v1/load_lora_adapter", {}),
    Case("load from nowhere", "/v1/load_lora_adapter", {"lora_name": "a"}),
    Case("load a number", "/v1/load_lora_adapter", {"lora_name": 1, "lora_path": "/nowhere"}),
    Case("load without a name", "/v1/load_lora_adapter", {"lora_name": "", "lora_path": "/nowhere"}),
    Case("load a text", "/v1/load_lora_adapter", raw=b"x", headers={"Content-Type": "text/plain"}),
    Case("unload nothing", "/v1/unload_lora_adapter", {}),
    Case("unload without a name", "/v1/unload_lora_adapter", {"lora_name": ""}),
    Case("unload an unknown adapter", "/v1/unload_lora_adapter", {"lora_name": "a"}),
    get("get an adapter", "/v1/load_lora_adapter"),
    # wrong paths and methods
    get("nowhere", "/nope"),
    get("nowhere to post", "/v1/nope", method="POST"),
    get("one model", "/v1/models/x"),
    get("get chat", "/v1/chat/completions"),
    get("post health", "/health", method="POST"),
    get("head health", "/health", method="HEAD"),
    get("get sleep", "/sleep"),
    Case("a slash too many", "/v1/chat/completions/", QUESTION),
    Case(
        "a preflight",
        "/v1/chat/completions",
        method="OPTIONS",
        headers={"Origin": "http://example.org", "Access-Control-Request-Method": "POST"},
    ),
    *(
        Case(f"no {path} on a chat model", path, {"input": "x"})
        for path in ("/v1/embeddings", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/rerank")
    ),
    *(
        Case(f"no {path} on Whisper", path, QUESTION, server="audio")
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages")
    ),
    # chat
    chat("chat"),
    chat(
        "chat with a system message and history",
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        ],
    ),
    chat("chat, two choices", n=2, temperature=0.9),
    chat("chat with logprobs", logprobs=True, top_logprobs=2, temperature=0),
    chat("chat with max_completion_tokens", max_completion_tokens=3),
    chat("chat as JSON", response_format={"type": "json_object"}),
    chat("chat with the model's name", model=OWN_MODEL),
    chat("chat without a model's name", model=None),
    chat("chat with an unknown field", something="else"),
    chat("chat with an unknown role", messages=[{"role": "narrator", "content": "x"}]),
    chat("chat without content", messages=[{"role": "user"}]),
    chat("stream", stream=True),
    chat("stream with usage", stream=True, stream_options={"include_usage": True}),
    chat("stream without usage", stream=True, stream_options={"include_usage": False}),
    chat(
        "stream with usage all along",
        stream=True,
        stream_options={"include_usage": True, "continuous_usage_stats": True},
    ),
    chat("stream with logprobs", stream=True, logprobs=True, top_logprobs=2, temperature=0),
    replace(chat("chat with a request id"), headers={"X-Request-Id": "abc-123"}),
    # chat, refused
    chat("unknown model", model="no/such-model"),
    chat("unknown model, stream", model="no/such-model", stream=True),
    chat("a number for a model", model=7),
    chat("no message", messages=[]),
    chat("a text for messages", messages="hello"),
    Case("messages missing", "/v1/chat/completions", {"max_tokens": 4}),
    chat("content a number", messages=[{"role": "user", "content": 5}]),
    chat("content null", messages=[{"role": "user", "content": None}]),
    chat("no role", messages=[{"content": "x"}]),
    chat("unknown part", messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "hologram"}]}]),
    *(
        chat(f"{name} {value!r}", **{name: value})
        for name, value in (
            ("max_tokens", 0),
            ("max_tokens", -5),
            ("max_tokens", "many"),
            ("max_tokens", 100_000),
            ("temperature", 3),
            ("temperature", -1),
            ("top_p", 2),
            ("top_p", 0),
            ("n", 0),
            ("stream", "maybe"),
            ("stream_options", {}),
            ("tools", [TOOL]),
            ("response_format", {"type": "poem"}),
        )
    ),
    chat("two greedy choices", n=2, temperature=0),
    chat("a tool required", tools=[TOOL], tool_choice="required"),
    chat("alternatives without logprobs", top_logprobs=2),
    chat("too many logprobs", logprobs=True, top_logprobs=50),
    chat("prompt too long", messages=TOO_LONG),
    chat("prompt too long, stream", messages=TOO_LONG, stream=True),
    *(
        Case(f"body {raw!r}", "/v1/chat/completions", raw=raw, headers={"Content-Type": "application/json"})
        for raw in (b"", b"[]", b"{not json", b'{"model":"\xff"}')
    ),
    Case("content type text", "/v1/chat/completions", raw=b"{}", headers={"Content-Type": "text/plain"}),
    # pictures
    seen("a picture", PICTURE),
    seen("a picture, stream", PICTURE, stream=True, stream_options={"include_usage": True}),
    seen("two pictures", PICTURE, PICTURE),
    seen("words only for the image model"),
    seen("a sound for the image model", SOUND),
    seen("a broken picture", {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}),
    seen("broken base64", {"type": "image_url", "image_url": {"url": "data:image/png;base64,???"}}),
    seen("a local file", {"type": "image_url", "image_url": {"url": "file:///etc/hostname"}}),
    seen("a picture without an address", {"type": "image_url"}),
    seen("a picture for the text model", PICTURE, server="agent"),
    seen("a picture for the text model, stream", PICTURE, server="agent", stream=True),
    seen("a sound for the text model", SOUND, server="agent"),
    # completions
    completion("completion"),
    completion("completion, stream", stream=True),
    completion("completion, stream with usage", stream=True, stream_options={"include_usage": True}),
    completion("completion with logprobs", logprobs=2, temperature=0),
    completion("completion with echo", echo=True),
    completion("completion, two choices", n=2),
    completion("completion of two prompts", prompt=["One", "Two"]),
    completion("completion of token numbers", prompt=[5, 6, 7]),
    completion("completion of nothing", prompt=""),
    completion("completion of an object", prompt={"a": 1}),
    completion("completion by an unknown model", model="no/such-model"),
    completion("completion too long", prompt="one two " * 5000),
    completion("completion without tokens", max_tokens=0),
    # responses and messages
    Case("response", "/v1/responses", {"input": "Hello", "max_output_tokens": 6}),
    Case("response, stream", "/v1/responses", {"input": "Hello", "max_output_tokens": 8, "stream": True}),
    Case("response without input", "/v1/responses", {"max_output_tokens": 6}),
    Case("response by an unknown model", "/v1/responses", {"input": "Hello", "model": "no/such"}),
    Case("response in the background", "/v1/responses", {"input": "Hello", "background": True}),
    get("stored response", "/v1/responses/resp_nope"),
    get("cancel a response", "/v1/responses/resp_nope/cancel", method="POST"),
    Case("message", "/v1/messages", NAMED),
    Case("message, stream", "/v1/messages", NAMED | {"stream": True}),
    Case("message without max_tokens", "/v1/messages", {"model": OWN_MODEL, "messages": QUESTION["messages"]}),
    Case("message without a model", "/v1/messages", QUESTION),
    Case("message for a model without a name", "/v1/messages", QUESTION | {"model": ""}),
    Case("message by an unknown model", "/v1/messages", NAMED | {"model": "no/such"}),
    Case("message too long", "/v1/messages", NAMED | {"messages": TOO_LONG}),
    Case("message counted", "/v1/messages/count_tokens", NAMED),
    # tokens
    Case("tokenize", "/tokenize", {"prompt": "Hello, world!"}),
    Case("tokenize with strings", "/tokenize", {"prompt": "Hello, world!", "return_token_strs": True}),
    Case("tokenize a chat", "/tokenize", {"messages": QUESTION["messages"]}),
    Case("tokenize nothing", "/tokenize", {}),
    Case("tokenize for an unknown model", "/tokenize", {"prompt": "x", "model": "no/such"}),
    Case("tokenize on Whisper", "/tokenize", {"prompt": "Hello"}, server="audio"),
    Case("detokenize", "/detokenize", {"tokens": [40, 50]}),
    Case("detokenize a text", "/detokenize", {"tokens": "abc"}),
    # sounds
    heard("transcription"),
    heard("transcription as text", response_format="text"),
    heard("transcription in detail", response_format="verbose_json", temperature="1"),
    heard("transcription, stream", stream="true"),
    heard(
        "transcription, stream with usage",
        stream="true",
        stream_include_usage="true",
        stream_continuous_usage_stats="true",
    ),
    heard("transcription by an unknown model", model="no/such-model"),
    heard("transcription of noise", file=b"no sound at all"),
    heard("transcription of nothing", file=b""),
    heard("transcription as srt", response_format="srt"),
    heard("transcription as a poem", response_format="poem"),
    heard("transcription from xx", language="xx"),
    Case("transcription without a file", "/v1/audio/transcriptions", server="audio", form={"language": "en"}),
    Case("transcription from JSON", "/v1/audio/transcriptions", {"model": "x"}, server="audio"),
    heard("translation", "translations"),
    heard("translation, stream", "translations", stream="true"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_the_simulator_answers_as_the_real_server(case: Case, simulators: dict[Server, str]) -> None:
    real, simulated = await asyncio.gather(
        send(case, real_url(case.server)),
        send(case, simulators[case.server]),
    )
    assert simulated == real


@pytest.mark.parametrize("level", [0, 1, 2])
async def test_the_simulator_sleeps_and_wakes_as_the_real_server(level: int, simulators: dict[Server, str]) -> None:
    real, simulated = await asyncio.gather(
        sleep_and_wake(real_url("agent"), level), sleep_and_wake(simulators["agent"], level)
    )
    assert simulated == real


async def test_every_metric_of_the_simulator_is_one_of_vllm(simulators: dict[Server, str]) -> None:
    real, simulated = await asyncio.gather(metrics_of(real_url("agent")), metrics_of(simulators["agent"]))
    assert simulated.content_type == real.content_type
    assert simulated.series <= real.series


@dataclass(frozen=True)
class Shape:
    """An answer without what may differ."""

    status: int
    content_type: str | None
    allow: str | None
    error: Any  # type, param and code of an error
    body: Any  # the paths and types of its fields, or those of each event of a stream


@dataclass(frozen=True)
class MetricsPage:
    content_type: str | None
    series: set[tuple[str, frozenset[str]]]  # name and names of labels


@pytest.fixture(scope="module")
def simulators() -> Iterator[dict[Server, str]]:
    with (
        running(a_model("agent")) as agent,
        running(a_model("multimodal")) as multimodal,
        running(a_model("audio")) as audio,
    ):
        yield {"agent": agent, "multimodal": multimodal, "audio": audio}


def a_model(server: Server) -> SimulatedModel:
    return SimulatedModel(f"simulated/{server}", KIND_OF[server], ttft_ms=0, tokens_per_second=0)


def real_url(server: Server) -> str:
    url = os.environ.get(URL_OF[server])
    if not url:
        pytest.skip(f"{URL_OF[server]} names no real vLLM server")
    return url


async def send(case: Case, url: str) -> Shape:
    async with (
        aiohttp.ClientSession(timeout=WITHIN) as http,
        http.request(case.method, url + case.path, allow_redirects=False, **await payload(case, url)) as answer,
    ):
        raw = await answer.read()
        content_type = answer.headers.get("content-type")
        body = read(raw, content_type or "")
        allow = answer.headers.get("allow")
        return Shape(answer.status, content_type, allow, error_in(body), shape_of(body))


async def payload(case: Case, url: str) -> dict[str, Any]:
    """What aiohttp takes as the request's body and headers."""
    if case.form is not None:
        return {"data": multipart(case.form), "headers": case.headers}
    if case.raw is not None or case.body is None:
        return {"data": case.raw, "headers": case.headers}
    named = isinstance(case.body, dict) and case.body.get("model") == OWN_MODEL
    return {"json": case.body | {"model": await model_of(url)} if named else case.body, "headers": case.headers}


def multipart(fields: dict[str, Any]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in fields.items():
        form.add_field(name, value, filename="tone.wav" if isinstance(value, bytes) else None)
    return form


async def model_of(url: str) -> str:
    async with aiohttp.ClientSession(timeout=WITHIN) as http, http.get(f"{url}/v1/models") as answer:
        return str((await answer.json())["data"][0]["id"])


def read(raw: bytes, content_type: str) -> Any:
    """The JSON of a body, or of each event of a stream: pairs of the event's name and its data."""
    if content_type.startswith("application/json"):
        return json.loads(raw) if raw else None
    if content_type.startswith("text/event-stream"):
        return [event(block) for block in raw.decode().split("\n\n") if block.strip()]
    return raw.decode()


def event(block: str) -> tuple[str | None, Any]:
    lines = dict(line.split(": ", 1) for line in block.strip().splitlines())
    data = lines["data"]
    return lines.get("event"), data if data == "[DONE]" else json.loads(data)


def error_in(body: Any) -> Any:
    """The part of an error that must be the same: all but the message."""
    if not isinstance(body, dict) or not isinstance(body.get("error"), dict):
        return None
    return {name: value for name, value in body["error"].items() if name not in ALLOWED}


def shape_of(body: Any) -> Any:
    if not isinstance(body, list):
        return fields_of(body) if isinstance(body, dict) else body
    shapes = [(name, data if data == "[DONE]" else sorted(fields_of(data))) for name, data in body]
    return [shape for shape, _ in groupby(shapes)]  # however many words there are, they count as one


def fields_of(value: Any) -> set[tuple[str, str]]:
    """The paths in *value* with the types found there: {("$.choices[].index", "int"), …}."""
    return {(path, kind) for path, kind in walk(value, "$") if not allowed(path)}


def walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
    yield path, type(value).__name__
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, f"{path}.{name}")
    if isinstance(value, list):
        for inner in value:
            yield from walk(inner, f"{path}[]")


def allowed(path: str) -> bool:
    patterns = (re.escape(pattern).replace(r"\*", ".*") for pattern in ALLOWED if pattern.startswith("$"))
    return any(re.fullmatch(pattern, path) for pattern in patterns)


async def sleep_and_wake(url: str, level: int) -> list[Any]:
    """What the server says at each step of its way to sleep and back, with its state of sleep in the metrics."""
    told: list[Any] = []
    async with aiohttp.ClientSession(url, timeout=WITHIN) as http:
        for path in (f"/sleep?level={level}", "/wake_up?tags=weights", "/wake_up"):
            async with http.post(path) as answer, http.get("/is_sleeping") as asleep, http.get("/metrics") as metrics:
                state = re.findall(r'sleep_state="(\w+)"} (.*)', await metrics.text())
                told += [answer.status, await answer.json(), await asleep.json(), state]
    return told


async def metrics_of(url: str) -> MetricsPage:
    async with aiohttp.ClientSession(timeout=WITHIN) as http, http.get(f"{url}/metrics") as answer:
        lines = re.findall(r"^(vllm:\w+)(?:{(.*)})? ", await answer.text(), re.MULTILINE)
        series = {(name, frozenset(re.findall(r'(\w+)="', labels))) for name, labels in lines}
        return MetricsPage(answer.headers.get("content-type"), series)

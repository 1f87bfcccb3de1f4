"""Input armour on a whole router: what is refused reaches no model server, what is honest arrives byte for byte."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import Any

import httpx2
import pytest

from tests.upstream.scripted import STREAM_END, STREAM_HEAD, chunk, delta

from .asking import CHAT, a_picture, a_session, a_text, an_image, saying, user
from .models import AGENT, AUDIO, MULTIMODAL, SERVED_AS, Recorder
from .routers import Router, a_registry, running_router

INSIDE = [
    "http://127.0.0.1:8001/metrics",
    "http://localhost/",
    "http://169.254.169.254/latest/meta-data",
    "http://10.1.2.3/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://2130706433/",
    "http://0x7f.1/",
    "http://127.1/",
    "http://[::1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[fe80::1]/",
    "http://[fd00::1]/",
    "http://redis:6379/",
    "http://metadata.google.internal/",
    "http://vllm.smart-router.svc.cluster.local/",
    "http://user:pw@example.org/",
    "http://example.org\\@10.0.0.1/",
    "ftp://example.org/a.png",
    "file:///etc/passwd",
]
OUTSIDE = "https://1.1.1.1/a.png"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
REFUSED: dict[str, tuple[str, dict[str, Any]]] = {
    "n": (CHAT, {"n": 1_000_000}),
    "best_of": ("/v1/completions", {"prompt": "Hi", "best_of": 100_000}),
    "prompt_embeds": ("/v1/completions", {"prompt": None, "prompt_embeds": "AAAA"}),
    "top_logprobs": ("/v1/responses", {"input": "Hi", "top_logprobs": 100_000}),
    "stop_sequences": ("/v1/messages", {"max_tokens": 5, "stop_sequences": ["a"] * 100}),
    "chat_template": ("/tokenize", {"chat_template": "{{ 'a' * 10 ** 10 }}"}),
    "chat_template_kwargs": (CHAT, {"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}),
    "structured_outputs.json": (CHAT, {"structured_outputs": {"json": {"type": "something"}}}),
    "structured_outputs.regex": (CHAT, {"guided_regex": "foo**"}),
    "response_format.json_schema.schema": (
        CHAT,
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"pattern": "(a+)+b"}}}},
    ),
    "text.format.schema": ("/v1/responses", {"input": "Hi", "text": {"format": {"schema": {"$ref": "#"}}}}),
    "tools[0].function.parameters": (
        CHAT,
        {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "no"}}}]},
    ),
    "tools[0].input_schema": ("/v1/messages", {"max_tokens": 5, "tools": [{"name": "f", "input_schema": {"type": 5}}]}),
    "kv_transfer_params": (CHAT, {"kv_transfer_params": {"remote_host": "10.0.0.1", "remote_port": 1}}),
    "priority": ("/v1/embeddings", {"input": "Hi", "priority": -100}),
    "mm_processor_kwargs": ("/v1/score", {"text_1": "a", "text_2": "b", "mm_processor_kwargs": {"num_crops": 10**9}}),
}


@pytest.fixture
def router(recorded_router: Router) -> Router:
    return recorded_router


@pytest.fixture(autouse=True)
def _nothing_is_asked(request: pytest.FixtureRequest, recorder: Recorder) -> Iterator[None]:
    yield
    if "refused" in request.node.name:
        assert not recorder.requests


def refused(response: httpx2.Response, *said: str) -> None:
    assert response.status_code == 400, response.text
    message = json.dumps(response.json())
    assert all(part in message for part in said), message


def with_link(path: str, url: str) -> dict[str, Any]:
    """A body for *path* with a link where its API has one."""
    if path == "/v1/responses":
        return {"model": MULTIMODAL, "input": [user({"type": "input_image", "image_url": url})]}
    if path.startswith("/v1/messages"):
        return {
            "model": MULTIMODAL,
            "max_tokens": 5,
            "messages": [user({"type": "image", "source": {"type": "url", "url": url}})],
        }
    found: dict[str, Any] = saying([user(a_text("What is this?"), a_picture(url)), user("And now?")], model=MULTIMODAL)
    return found


PATHS = (CHAT, "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/tokenize", "/v1/embeddings", "/api/chat")


@pytest.mark.parametrize("url", INSIDE)
def test_a_link_into_the_network_is_refused_in_a_message(router: Router, url: str) -> None:
    refused(router.post(CHAT, with_link(CHAT, url)), "image_url", "data: URL")


@pytest.mark.parametrize("url", INSIDE)
def test_a_link_into_the_network_is_refused_as_an_attachment(router: Router, url: str) -> None:
    refused(
        router.route("What is this?", attachments=[an_image(), {"type": "image", "url": url}]),
        "attachments[1].url",
        "data: URL",
    )


@pytest.mark.parametrize("path", PATHS)
def test_a_link_into_the_network_is_refused_on_every_path(router: Router, path: str) -> None:
    refused(router.post(path, with_link(path, INSIDE[2])), "must lead to a public host")


@pytest.mark.parametrize("kind", ["tool_use", "mcp_call", "message"])
def test_a_link_into_the_network_is_refused_whatever_type_the_request_gives_itself(router: Router, kind: str) -> None:
    refused(router.post("/v1/responses", {"type": kind, **with_link("/v1/responses", INSIDE[2])}), "image_url")


def test_a_number_that_nobody_can_read_is_refused_beside_a_picture(router: Router) -> None:
    body = json.dumps(with_link(CHAT, OUTSIDE))[:-1] + ', "x": 1e999}'
    refused(router.post(CHAT, body.encode()), "out of range")


def test_a_body_of_countless_values_is_refused_and_holds_nobody_up(router: Router) -> None:
    body = b'{"model": "auto", "messages": [], "image_url": "data:,", "x": [%s{}]}' % (b"{}," * 300_000)
    with ThreadPoolExecutor(1) as beside:
        asked, waits = beside.submit(router.post, CHAT, body), [0.0]
        while not asked.done():
            began = perf_counter()
            router.get("/livez")
            waits.append(perf_counter() - began)
    refused(asked.result(), "values are taken")
    assert max(waits) < 2.0, waits  # a walk through all of it takes twice as long, and more


@pytest.mark.parametrize("path", PATHS)
def test_a_link_to_the_internet_passes_as_it_was_written(router: Router, recorder: Recorder, path: str) -> None:
    body = json.dumps(with_link(path, OUTSIDE)).replace("://", ":\\/\\/").encode()
    assert router.post(path, body).status_code == 200
    assert recorder.last.body.decode().count("https:\\/\\/1.1.1.1/a.png") == 1


def test_an_attachment_of_the_internet_passes(router: Router, recorder: Recorder) -> None:
    recorder.tell(STREAM_HEAD, chunk(delta("Hi")), STREAM_END)
    router.route("What is this?", attachments=[{"type": "image", "url": OUTSIDE}])
    assert OUTSIDE.encode() in recorder.last.body


def test_deciding_follows_no_link_and_refuses_none(router: Router) -> None:
    asked = router.classify("What is this?", attachments=[{"type": "image", "url": INSIDE[2]}])
    assert asked.status_code == 200


@pytest.mark.parametrize("place", REFUSED)
def test_a_dangerous_parameter_is_refused(router: Router, place: str) -> None:
    path, fields = REFUSED[place]
    refused(router.post(path, saying("Hi", model=AGENT) | fields), place)


HONEST: dict[str, dict[str, Any]] = {
    "thinking": {"chat_template_kwargs": {"enable_thinking": False}},
    "choices": {"n": 8, "logprobs": True, "top_logprobs": 20, "stop": ["a"] * 16, "logit_bias": {"1": 5}},
    "a schema": {
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": SCHEMA}}
    },
    "tools": {"tools": [{"type": "function", "function": {"name": f"f{i}", "parameters": SCHEMA}} for i in range(60)]},
    "a picture": {"messages": [user(a_text("?"), a_picture())]},
    "a pattern": {"structured_outputs": {"regex": r"^\d{4}-\d{2}$"}},
}


@pytest.mark.parametrize("fields", HONEST.values(), ids=HONEST.keys())
@pytest.mark.parametrize("indent", [None, 1])
def test_an_honest_request_arrives_byte_for_byte(
    router: Router, recorder: Recorder, fields: dict[str, Any], indent: int | None
) -> None:
    body = json.dumps(saying("Hi", model=AGENT) | fields, indent=indent)
    assert router.post(CHAT, body.encode()).status_code == 200
    assert recorder.last.body == body.replace(f'"{AGENT}"', json.dumps(SERVED_AS[AGENT], ensure_ascii=False)).encode()


def test_100_000_brackets_in_a_schema_are_refused(router: Router) -> None:
    deep = '{"items":' * 50_000 + "{}" + "}" * 50_000
    body = json.dumps(saying("Hi", model=AGENT))[:-1] + f', "guided_json": {deep}}}'
    assert router.post(CHAT, body.encode()).status_code == 400


@pytest.fixture(scope="module")
def strict(recording: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """Links to one host alone, and what is dangerous allowed."""
    registry = a_registry(
        tmp_path_factory.mktemp("strict"), {model: [recording.url] for model in (AGENT, MULTIMODAL, AUDIO)}
    )
    options: dict[str, Any] = {"media_hosts": ("cdn.example.org", "localhost"), "allow_parameters": ("chat_template",)}
    with running_router(registry, max_choices=2, **options) as found:
        yield found


@pytest.fixture(scope="module")
def closed(recording: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """No links at all."""
    registry = a_registry(
        tmp_path_factory.mktemp("closed"), {model: [recording.url] for model in (AGENT, MULTIMODAL, AUDIO)}
    )
    with running_router(registry, media_hosts=()) as found:
        yield found


@pytest.mark.parametrize("url", [OUTSIDE, "https://example.org/a.png", "https://cdn.example.org.evil.net/", INSIDE[0]])
def test_a_host_that_is_not_listed_is_refused(strict: Router, url: str) -> None:
    refused(strict.post(CHAT, with_link(CHAT, url)), "cdn.example.org")
    refused(strict.route("?", attachments=[{"type": "image", "url": url}]), "attachments[0].url", "cdn.example.org")


def test_a_listed_host_and_an_allowed_parameter_pass(strict: Router, recorder: Recorder) -> None:
    for fields in (
        with_link(CHAT, "http://localhost:9/a.png"),
        saying("Hi", model=AGENT, chat_template="{{ messages }}", n=2),
    ):
        assert strict.post(CHAT, fields, session=a_session()).status_code == 200
    assert len(recorder.requests) == 2
    refused(strict.chat("Hi", n=3), "at most 2")


def test_without_links_every_link_is_refused(closed: Router) -> None:
    for path in PATHS:
        refused(closed.post(path, with_link(path, OUTSIDE)), "send the file as a data: URL")
    refused(closed.route("?", attachments=[{"type": "image", "url": OUTSIDE}]), "send the file as a data: URL")


def test_without_links_a_file_that_is_sent_along_passes(closed: Router, recorder: Recorder) -> None:
    picture = saying([user(a_text("?"), a_picture())], model=MULTIMODAL)
    assert closed.post(CHAT, picture).status_code == 200
    assert len(recorder.requests) == 1

"""Byte for byte: a body arrives as it was sent but for the value of `model`, an answer comes back as it was given."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.upstream.scripted import STREAM_END, STREAM_HEAD, answer, chunk, completion, delta

from .asking import CHAT, saying
from .models import AGENT, AUDIO, MULTIMODAL, SERVED_AS, Recorder
from .routers import Router

KEY = "sk-Canary.Key"

# `@` stands where the value of `model` is: the asked-for one as it was sent, the served one as it arrives.
BODIES: dict[str, str] = {
    "compact": '{"model":@,"messages":[{"role":"user","content":"Hi"}]}',
    "spaced": '  {  "model"  :  @  ,\r\n\t"messages" : [ { "role" : "user" , "content" : "Hi" } ]  }  \n',
    "model last": '{"messages":[{"role":"user","content":"Hi"}],"model":@}',
    "model last, spaced": '{"messages":[{"role":"user","content":"Hi"}], "model" :\n@\n}\n',
    "model in the middle": '{"stream":false,"model":@,"messages":[{"content":"Hi","role":"user"}],"top_p":1}',
    "keys in no order": '{"z":1,"messages":[{"content":"Hi","role":"user"}],"a":{"y":1,"b":2},"model":@,"n":1}',
    "unicode escapes": '{"model":@,"messages":[{"role":"user","content":"\\u0917\\u00fc\\ud83d\\ude42 \\/ \\u003c"}]}',
    "raw unicode": '{"model":@,"messages":[{"role":"user","content":"ग ü 🙂 \u2028 \u2029 \ufeff"}]}',
    "model in a text": '{"messages":[{"role":"user","content":"say \\"model\\": \\"auto\\", then '
    '{\\"model\\":\\"auto\\"}"}],"model":@}',
    "model in a key before": '{"messages":[{"role":"user","content":"Hi"}],"\\"model\\":\\"auto\\"":1,"model":@}',
    "model in nested objects": '{"metadata":{"model":"auto"},"messages":[{"role":"user","content":"Hi",'
    '"model":"auto"}],"tools":[{"model":"auto","function":{"parameters":{"properties":{"model":{"type":"string"}}}}}],"model":@}',
    "model after nested ones": '{"a":[{"model":"auto"},[{"model":"auto"}]],"model":@,"b":{"model":"auto"},'
    '"messages":[{"role":"user","content":"Hi"}]}',
    "models that are others": '{"model_":"auto","Model":"auto","MODEL":"auto"," model":"auto","model":@,'
    '"messages":[{"role":"user","content":"Hi"}]}',
    "a text that ends in a backslash": '{"messages":[{"role":"user","content":"C:\\\\"}],"model":@,"x":"\\\\\\""}',
    "braces in texts": '{"messages":[{"role":"user","content":"}]}{[\\"{"}],"model":@,"stop":["}","]"]}',
    "an escaped key": '{"\\u006dodel":@,"messages":[{"role":"user","content":"Hi"}]}',
    "huge numbers": '{"model":@,"messages":[{"role":"user","content":"Hi"}],"seed":12345678901234567890123456789,'
    '"x":[-0,-0.0,1E+2,1e-7,0.1000000000000000055511151231257827,1.0]}',
    "unknown fields": '{"model":@,"messages":[{"role":"user","content":"Hi","extra":null}],"chat_template_kwargs":'
    '{"enable_thinking":false},"guided_json":{},"x-y":[[],{},[[]],""],"":0}',
    "tools, logprobs, formats": '{"model":@,"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":'
    'null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":'
    '"{\\"model\\": \\"auto\\"}"}}]},'
    '{"role":"tool","tool_call_id":"c1","content":"12"}],"tools":[{"type":"function","function":{"name":"f",'
    '"parameters":{"type":"object"}}}],"tool_choice":{"type":"function","function":{"name":"f"}},"logprobs":true,'
    '"top_logprobs":5,"logit_bias":{"50256":-100},"response_format":{"type":"json_object"},"n":2}',
    "a long text": '{"messages":[{"role":"user","content":"' + "ß\\n" * 100_000 + '"}],"model":@}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
@pytest.mark.parametrize("model", ["agent", AGENT])
def test_a_body_arrives_as_it_was_sent_but_for_its_model(
    recorded_router: Router, recorder: Recorder, body: str, model: str
) -> None:
    response = recorded_router.post(CHAT, filled(body, model))
    assert response.status_code == 200, response.text
    assert recorder.last.body == filled(body, SERVED_AS[AGENT])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, '{ "messages":[{"role":"user","content":"Write a Python function, \\u00fc"}], "model":@ , "seed":1e0}'),
        ("/v1/completions", '{"prompt":"Write a Python function \\u0041","model" : @}'),
        ("/v1/responses", '{"input":"Write a Python function \\u0041","model" : @,"store":false}'),
        ("/v1/messages", '{"max_tokens":9, "messages":[{"role":"user","content":"Write Python code"}],"model" : @}'),
    ],
)
def test_auto_is_replaced_like_any_other(recorded_router: Router, recorder: Recorder, path: str, body: str) -> None:
    response = recorded_router.post(path, filled(body, "auto"))
    assert response.status_code == 200, response.text
    assert response.headers["x-route-model"] == AGENT
    assert recorder.last.body == filled(body, SERVED_AS[AGENT])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", '{"input":["a",  "b"],"model":@,"encoding_format":"base64"}'),
        ("/v1/audio/speech", '{"input":"\\u0041","voice":{"model":"auto"},"model":@ }'),
        ("/v1/rerank", '{"query":"a","documents":["b",{"text":"c"}],"model":@,"top_n":1}'),
        ("/v1/score", '{"text_1":"a","text_2":["b"],"model":@}'),
        ("/tokenize", '{"prompt":"a  b","model":@,"add_special_tokens":false}'),
        ("/detokenize", '{"tokens":[1,2,3],"model":@}'),
        ("/v1/messages/count_tokens", '{"messages":[{"role":"user","content":"a"}],"model":@}'),
    ],
)
def test_every_path_is_byte_for_byte(recorded_router: Router, recorder: Recorder, path: str, body: str) -> None:
    response = recorded_router.post(path, filled(body, AGENT))
    assert response.status_code == 200, response.text
    assert (recorder.last.path, recorder.last.body) == (path, filled(body, SERVED_AS[AGENT]))


def test_a_model_with_its_letters_escaped_is_the_same_model(recorded_router: Router, recorder: Recorder) -> None:
    body = rb'{"model":"\u0061gen\u0074","messages":[{"role":"user","content":"Hi"}]}'
    assert recorded_router.post(CHAT, body).status_code == 200
    assert recorder.last.json["model"] == SERVED_AS[AGENT]


def test_a_served_name_is_written_as_json_wants_it(recorded_router: Router, recorder: Recorder) -> None:
    assert recorded_router.chat("Hi", model=MULTIMODAL).status_code == 200
    assert recorder.last.json == saying("Hi", model=SERVED_AS[MULTIMODAL])


@pytest.mark.parametrize(("first", "second"), [("agent", "stt"), ("stt", "agent"), ("agent", "unknown")])
def test_a_body_with_two_models_is_refused_or_means_the_one_that_the_router_says(
    recorded_router: Router, recorder: Recorder, first: str, second: str
) -> None:
    """The last one counts in Python, and so it does in vLLM."""
    body = f'{{"model":"{first}","messages":[{{"role":"user","content":"Hi"}}],"model":"{second}"}}'.encode()
    response = recorded_router.post(CHAT, body)
    if response.status_code == 200:
        assert recorder.last.json["model"] == SERVED_AS[response.headers["x-route-model"]]
    else:
        assert response.status_code in (400, 404)
        assert not recorder.requests


ODD_JSON = b' {"choices" : [{"message":{"content":"\\u0917 \xf0\x9f\x99\x82"}}],\n"model":"whatever","x":1, "x":2}\n\n'


def test_an_answer_comes_back_as_it_was_given(recorded_router: Router, recorder: Recorder) -> None:
    recorder.tell(answer(200, ODD_JSON, "application/json; charset=utf-8"))
    response = recorded_router.chat("Hi", model=AGENT)
    assert (response.status_code, response.content) == (200, ODD_JSON)
    assert response.headers["content-type"] == "application/json; charset=utf-8"


def test_a_chunked_answer_comes_back_as_it_was_given(recorded_router: Router, recorder: Recorder) -> None:
    head = STREAM_HEAD.replace(b"text/event-stream", b"application/json")
    recorder.tell(head, *(chunk(ODD_JSON[at : at + 7]) for at in range(0, len(ODD_JSON), 7)), STREAM_END)
    response = recorded_router.chat("Hi", model=AGENT)
    assert (response.status_code, response.content) == (200, ODD_JSON)


def test_sounds_come_back_as_they_were_given(recorded_router: Router, recorder: Recorder) -> None:
    sound = bytes(range(256)) * 2_000
    recorder.tell(answer(200, sound, "audio/mpeg"))
    response = recorded_router.post("/v1/audio/speech", {"model": AUDIO, "input": "Hi", "voice": "v"})
    assert (response.status_code, response.content) == (200, sound)
    assert response.headers["content-type"] == "audio/mpeg"


HELLO = delta("Hello")
STREAMS: dict[str, bytes] = {
    "as vLLM sends it": HELLO + delta(" you") + b"data: [DONE]\n\n",
    "CRLF": (HELLO + delta(" you") + b"data: [DONE]\n\n").replace(b"\n", b"\r\n"),
    "comments and other fields": b": ping\n\nid: 7\nretry: 10\nevent: chunk\n" + HELLO + b":\n\ndata: [DONE]\n\n",
    "several data lines": b'data: {"choices":\ndata: [{"delta":{"content":"a"}}]}\n\n' + b"data: [DONE]\n\n",
    "no space after the colon": HELLO.replace(b"data: ", b"data:") + b"data:[DONE]\n\n",
    "no [DONE]": HELLO + delta(finish="stop"),
    "unknown fields": b'data: {"choices":[{"delta":{"content":"a","x":[1]}}],"y":{"model":"m"}}\n\ndata: [DONE]\n\n',
    "raw unicode": delta("ग ü 🙂 \u2028") + b"data: [DONE]\n\n",
    "reasoning first": b'data: {"choices":[{"delta":{"reasoning_content":"Hm"}}]}\n\n' + HELLO + b"data: [DONE]\n\n",
    "a tool call": b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":'
    b'{"name":"f","arguments":"{\\"model\\":"}}]}}]}\n\ndata: [DONE]\n\n',
    "nothing said": delta(finish="stop") + b"data: [DONE]\n\n",
    "text that looks like events": delta("\n\nevent: error\ndata: [DONE]\n\n<script>") + b"data: [DONE]\n\n",
    "a large event": delta("x" * 300_000) + b"data: [DONE]\n\n",
}


@pytest.mark.parametrize("size", [1 << 20, 5], ids=["at once", "in small pieces"])
@pytest.mark.parametrize("stream", STREAMS.values(), ids=STREAMS.keys())
def test_a_stream_comes_back_as_it_was_given(
    recorded_router: Router, recorder: Recorder, stream: bytes, size: int
) -> None:
    """Pieces of five bytes cut characters and line ends in two."""
    size = max(size, len(stream) // 200)
    pieces = (chunk(stream[at : at + size]) for at in range(0, len(stream), size))
    recorder.tell(STREAM_HEAD, *pieces, STREAM_END)
    response = recorded_router.chat("Hi", model=AGENT, stream=True)
    assert (response.status_code, response.content) == (200, stream)
    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["x-route-model"] == AGENT


ERRORS: dict[str, tuple[int, str, bytes]] = {
    "vLLM's": (
        400,
        "application/json",
        b'{"error":{"message":"no","type":"BadRequestError","param":null,"code":400}}',
    ),
    "a validation error": (422, "application/json", b'{"detail" : [{"loc":["body","n"],"msg":"\\u00fc"}]}\n'),
    "not found": (404, "application/json", b'{"detail":"Not Found"}'),
    "forbidden": (403, "text/html", b"<h1>No</h1>"),
    "nothing at all": (400, "text/plain", b""),
    "no JSON": (400, "application/json", b"{oops"),
    "too large": (413, "application/json", b'{"error":{"message":"too large"}}'),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("status", "media_type", "body"), ERRORS.values(), ids=ERRORS.keys())
def test_what_the_model_server_refuses_passes_unchanged(
    recorded_router: Router, recorder: Recorder, status: int, media_type: str, body: bytes, stream: bool
) -> None:
    recorder.tell(answer(status, body, media_type))
    response = recorded_router.chat("Hi", model=AGENT, stream=stream)
    assert (response.status_code, response.content) == (status, body)
    assert response.headers["content-type"].partition(";")[0] == media_type
    assert response.headers["x-request-id"]
    assert response.headers["x-route-model"] == AGENT
    assert len(recorder.requests) == 1, "a refused request was asked again"


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses", "/v1/embeddings"])
def test_refusals_pass_unchanged_on_every_path(recorded_router: Router, recorder: Recorder, path: str) -> None:
    body = b'{"type" :"error","error":{"type":"BadRequestError","message":"no \\u00fc"}}'
    recorder.tell(answer(400, body))
    response = recorded_router.post(path, saying("Hi", model=AGENT, input="Hi", max_tokens=5))
    assert (response.status_code, response.content) == (400, body)


def test_keys_and_the_connections_headers_stay_here(recorded_router: Router, recorder: Recorder) -> None:
    headers = {
        "Authorization": f"Bearer {KEY}",
        "X-Api-Key": KEY,
        "Proxy-Authorization": f"Basic {KEY}",
        "Cookie": f"session={KEY}",
        "Connection": "keep-alive, X-Of-The-Connection",
        "X-Of-The-Connection": KEY,
        "Keep-Alive": "timeout=77",
        "TE": "trailers",
        "Upgrade": "h2c",
    }
    response = recorded_router.post(CHAT, saying("Hi", model=AGENT), **headers)
    assert response.status_code == 200, response.text
    assert KEY not in str(recorder.last.headers)
    arrived = {name for name, _ in recorder.last.headers}
    assert not arrived & {"authorization", "x-api-key", "proxy-authorization", "upgrade", "te", "keep-alive"}
    assert "x-of-the-connection" not in arrived
    assert recorder.last.header("host") == recorder.url.removeprefix("http://")
    assert recorder.last.header("content-type") == "application/json"
    assert int(recorder.last.header("content-length")) == len(recorder.last.body)


def test_the_model_servers_connection_headers_stay_there(recorded_router: Router, recorder: Recorder) -> None:
    more = {"X_Route_Model": "forged", "Set_Cookie": "a=b", "Keep_Alive": "timeout=77", "Proxy_Authenticate": "Basic"}
    recorder.tell(answer(200, ODD_JSON, **more))
    response = recorded_router.chat("Hi", model=AGENT)
    assert response.status_code == 200
    assert response.headers.get_list("x-route-model") == [AGENT]
    assert response.headers.get_list("x-request-id") == [response.headers["x-request-id"]]
    assert "timeout=77" not in response.headers.get("keep-alive", "")
    assert "proxy-authenticate" not in response.headers


def test_the_answers_of_many_at_once_are_not_mixed_up(recorded_router: Router, recorder: Recorder) -> None:
    recorder.script = lambda taken: [answer(200, completion(taken.json["messages"][0]["content"]))]

    def ask(number: int) -> tuple[int, httpx2.Response]:
        return number, recorded_router.chat(f"I am number {number}", model=AGENT)

    with ThreadPoolExecutor(8) as askers:
        for number, response in askers.map(ask, range(60)):
            assert response.content == completion(f"I am number {number}")


def filled(body: str, model: str) -> bytes:
    return body.replace("@", json.dumps(model)).encode()

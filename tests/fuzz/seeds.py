"""Where fuzzing begins: the examples of the other tests, as bytes, beside those kept in `corpus/`."""

import json
from collections.abc import Iterator
from pathlib import Path

from tests.api.test_upload import SMALL_FORMS
from tests.upstream.scripted import DONE, STREAM_END, STREAM_HEAD, USAGE, answer, chunk, completion, delta
from tests.upstream.test_http1 import SAMPLES

CORPUS = Path(__file__).parent / "corpus"
PAGE = b"""\
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
"""
REFUSAL = {"error": {"message": "This model's maximum context length is 8 tokens", "code": 400}}
BODIES = (
    b'{"model":"auto","messages":[{"role":"user","content":"Hello there"}],"stream":true}',
    b'{ "mod\\u0065l" : "a" , "tools": [{"model": "x"}], "model2": null }',
    b'{"input":[{"role":"user","content":[{"type":"input_text","text":"Hi"},{"type":"input_image"}]}]}',
    b'{"model":null,"prompt":["a","b"],"user":"ann","conversation":{"id":"c"}}',
    b'{"messages":[{"role":"user","content":[{"type":"tool_result","content":[{"type":"image"}]}]}],"system":"B"}',
    b'{"query":"Hi","session_id":"s","attachments":[{"type":"image","data":"AAAA","media_type":"image/png"}]}',
    b'{"query":"Hi","attachments":[{"type":"audio","url":"data:audio/wav;base64,AAAA"}],"temperature":0.5}',
    b'{"query":"\\ud83d","context":{"a":1e400},"modality":"smell","unknown":{}}',
)


def seeds(target: str) -> dict[str, bytes]:
    """By name: the others' examples, and those kept here."""
    kept = {path.name: path.read_bytes() for path in sorted((CORPUS / target).iterdir())}
    return {f"example-{number}": data for number, data in enumerate(_EXAMPLES[target]())} | kept


def _answers() -> Iterator[bytes]:
    yield from (sample.wire for sample in SAMPLES.values())
    events = (delta("Hi"), USAGE, DONE)
    yield STREAM_HEAD + b"".join(map(chunk, events)) + STREAM_END
    yield answer(200, b"".join(events), "text/event-stream")
    yield answer(200, completion())
    yield answer(200, PAGE, "text/plain")
    yield answer(400, json.dumps(REFUSAL).encode())
    yield answer(503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT")


def _bodies() -> Iterator[bytes]:
    return iter(BODIES)


def _forms() -> Iterator[bytes]:
    return (form.whole for form in SMALL_FORMS.values())


_EXAMPLES = {"upstream_response": _answers, "request_body": _bodies, "upload": _forms}
TARGETS = tuple(_EXAMPLES)

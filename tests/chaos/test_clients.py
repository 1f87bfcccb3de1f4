"""
Clients that send what JSON allows and few programs can live with: half characters, NUL, numbers beyond all measure.

What is no JSON in UTF-8, or holds half a character, is refused wherever it stands. All else that the router does not
read is the model server's business, and reaches it byte for byte. Whatever it is, the router never fails.
"""

import json
import random
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.asking import CHAT, PYTHON, a_session
from tests.e2e.models import AGENT, KINDS, Models, Recorder, Taken, a_recorder, three_models
from tests.e2e.routers import Router, a_registry, in_flight, running_router
from tests.upstream.scripted import Step, answer, completion

PATHS = (
    *(CHAT, "/v1/completions", "/v1/responses", "/v1/messages", "/v1/messages/count_tokens", "/api/chat"),
    *("/v1/embeddings", "/v1/rerank", "/v1/score", "/v1/audio/speech", "/tokenize", "/detokenize"),
)
SAID = json.dumps(PYTHON).encode()

# JSON, or nearly
ODD: tuple[bytes, ...] = (
    b'"\\ud800"', b'"a\\udc00b"', b'"\\ud83d\\ude00"', b'"\\ud83d"', b'"\\u0000"', b'"a\\u0000b"', b'"\\uffff"',
    b'"\xff"', b'"\xed\xa0\x80"', b'"\xe0\xa4"', b'"\x00"', b'"\xf0\x9f\x98\x80"', b'"\\x"', b'"\\u12"',
    b"1e400", b"-1e400", b"1e-400", b"NaN", b"Infinity", b"-Infinity", b"-0", b"0.1e1", b"01", b"1.",
    b"9" * 400, b"-" + b"9" * 5000, b"18446744073709551616", b"1" + b"0" * 20 + b".5",
    b"null", b"true", b"false", b"[]", b"{}", b'""', b'" "', b"[null]", b"[[]]", b"[1e400]", b'["\\ud800"]',
    b'{"\\ud800": 1}', b'{"\\u0000": 1}', b'{"id": "\\ud800"}', b'{"id": 1e400}', b'{"id": null}', b'{"id": "\\u0000"}',
    b'"' + b"x" * 10_000 + b'"', b"[" * 60 + b"]" * 60, b'{"a":' * 60 + b"1" + b"}" * 60,
)  # fmt: skip
READ = (
    *("model", "stream", "session_id", "conversation_id", "conversation", "previous_response_id", "user"),
    *("messages", "input", "prompt", "system", "instructions"),
)
UNREAD = ("temperature", "seed", "max_tokens", "metadata", "stop", "logit_bias", "tools")
OWN = (
    *("query", "session_id", "user_id", "modality", "context", "max_tokens", "temperature", "use_case", "stream"),
    *("remember", "attachments", "model"),
)
PLACES: tuple[Callable[[bytes], bytes], ...] = (  # inside of what was said
    lambda odd: odd,
    lambda odd: b'[{"role": "user", "content": %s}]' % odd,
    lambda odd: b'[{"role": %s, "content": %s}]' % (odd, SAID),
    lambda odd: b'[{"role": "user", "content": %s}, {"role": "user", "content": %s}]' % (odd, SAID),
    lambda odd: b'[{"role": "user", "content": [{"type": "text", "text": %s}]}]' % odd,
    lambda odd: b'[{"role": "user", "content": [{"type": %s, "text": %s}]}]' % (odd, SAID),
    lambda odd: b'[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": %s}}]}]' % odd,
    lambda odd: b'[{"role": "user", "content": [{"type": "tool_result", "content": %s}]}]' % odd,
    lambda odd: b'[{"type": "function_call_output", "output": %s}, {"role": "user", "content": %s}]' % (odd, SAID),
    lambda odd: b'[{"role": "system", "content": %s}, {"role": "user", "content": %s}]' % (odd, SAID),
)


@pytest.fixture(scope="module")
def recorder() -> Iterator[Recorder]:
    with a_recorder() as found:
        yield found


@pytest.fixture(scope="module")
def router(recorder: Recorder, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Router]:
    """All of its models are one recorder, under the names that they have here; its sessions are in Redis."""
    registry = a_registry(tmp_path_factory.mktemp("odd"), {model: [recorder.url] for model in KINDS})
    with running_router(registry, redis_url=redis_url) as found:
        yield found


def well(_: Taken) -> list[Step]:
    return [answer(200, completion("Well"))]


def fields_of(chance: random.Random, names: tuple[str, ...]) -> dict[str, bytes]:
    """A request in good order but for one to three of its fields."""
    said = b'[{"role": "user", "content": %s}]' % SAID
    good = {
        "model": chance.choice([b'"auto"', b'"%s"' % AGENT.encode()]),
        "messages": said,
        "input": SAID,
        "prompt": SAID,
        "max_tokens": b"9",
        "query": SAID,
    }
    fields = {name: value for name, value in good.items() if name in (*names, "max_tokens")}
    for name in chance.sample(names, chance.randint(1, 3)):
        odd = chance.choice(ODD)
        fields[name] = chance.choice(PLACES)(odd) if name in ("messages", "input", "prompt") else odd
    return fields


def body_of(fields: dict[str, bytes]) -> bytes:
    return b"{" + b", ".join(b'"%s": %s' % (name.encode(), value) for name, value in fields.items()) + b"}"


@pytest.mark.parametrize("path", PATHS)
def test_whatever_a_field_holds_the_answer_is_the_model_servers_or_a_400(
    router: Router, recorder: Recorder, path: str
) -> None:
    """400 also stands for 404, where what is odd is a name; 415 and others have no reason here."""
    recorder.script, chance = well, random.Random(path)
    seen = set()
    for _ in range(150):
        fields = fields_of(chance, READ + UNREAD)
        recorder.requests.clear()
        body = body_of(fields)
        response = router.post(path, body, session=chance.choice([None, a_session()]))
        assert response.status_code in (200, 400, 404), (response.status_code, response.text, body[:2000])
        assert bool(recorder.requests) == (response.status_code == 200)
        if recorder.requests:
            assert unchanged(fields, recorder.last.body)
        seen.add(response.status_code)
    assert {200, 400} <= seen
    assert in_flight(router) == 0


def unchanged(fields: dict[str, bytes], body: bytes) -> bool:
    """All but the model's name, and what `/api/chat` fills in."""
    kept = [b'"%s": %s' % (name.encode(), value) for name, value in fields.items() if name not in ("model", "stream")]
    return all(each in body for each in kept)


@pytest.mark.parametrize("path", ["/route", "/classify"])
def test_whatever_a_field_of_our_own_holds_the_answer_is_a_200_or_a_400(
    router: Router, recorder: Recorder, path: str
) -> None:
    recorder.script, chance = well, random.Random(path)
    seen = set()
    for _ in range(200):
        fields = fields_of(chance, OWN)
        fields.pop("messages", None)
        response = router.post(path, body_of(fields), session=a_session())
        assert response.status_code in (200, 400, 404), (response.status_code, response.text, body_of(fields)[:2000])
        seen.add(response.status_code)
    assert 400 in seen


NO_TEXT = (
    *(b'"a\\ud800b"', b'"\\udc00"', b'"\\ud83d"', b'["\\ud800"]', b'{"\\ud800": 1}', b'{"a": {"b": ["\\udfff"]}}'),
    *(b'"\xff"', b'"\xed\xa0\x80"', b'"\xe0\xa4"', b'"\x00"', b"NaN", b"[NaN]", b"-Infinity"),
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["user", "metadata", "x"])
def test_what_is_no_text_or_number_is_a_400_wherever_it_stands(
    router: Router, recorder: Recorder, path: str, name: str
) -> None:
    """Also in fields that nobody here reads."""
    recorder.requests.clear()
    for odd in NO_TEXT:
        good = {"model": b'"%s"' % AGENT.encode(), "input": SAID, "prompt": SAID, "messages": PLACES[1](SAID)}
        response = router.post(path, body_of(good | {name: odd}))
        assert response.status_code == 400, (odd, response.text)
    assert not recorder.requests


# what a model server makes of it


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Router, Models]]:
    with three_models() as models:
        registry = a_registry(tmp_path_factory.mktemp("simulated"), models.endpoints)
        with running_router(registry) as router:
            yield router, models


UNREAD_ODD = {
    "a NUL": b'"user": "a\\u0000b"',
    "1e400": b'"temperature": 1e400',
    "a huge integer": b'"seed": ' + b"9" * 400,
    "a huge integer where few fit": b'"max_tokens": ' + b"9" * 400,
}


@pytest.mark.parametrize("odd", UNREAD_ODD.values(), ids=UNREAD_ODD.keys())
def test_what_only_the_model_server_reads_is_answered_as_it_answers(
    simulated: tuple[Router, Models], odd: bytes
) -> None:
    """As if it had been asked without a router: it takes it, or its own 400 comes back."""
    router, models = simulated
    body = b'{"model": "%s", "messages": [{"role": "user", "content": "Hi"}], %s}' % (AGENT.encode(), odd)
    headers = {"Content-Type": "application/json"}
    direct = models.agent.http.post(models.agent.url + CHAT, content=body, headers=headers)
    response = router.post(CHAT, body)
    assert response.status_code == direct.status_code
    assert response.status_code in (200, 400)
    if response.status_code == 400:
        assert response.content == direct.content


def test_what_a_model_server_fails_on_is_a_502_and_no_500(router: Router, recorder: Recorder) -> None:
    recorder.script = lambda _: [answer(500, b"Internal Server Error", "text/plain")]
    for odd in UNREAD_ODD.values():
        body = b'{"model": "agent", "messages": [{"role": "user", "content": "Hi"}], %s}' % odd
        response = router.post(CHAT, body)
        assert response.status_code == 502
        assert response.json()["error"]["type"]
    recorder.script = well
    assert router.chat("Hello", model=AGENT).status_code == 200

"""What an operator lets requests ask for: what goes beyond is refused before a model sees it, and leaves a trace."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import httpx2
import pytest
import yaml
from structlog.testing import capture_logs

from smart_router.access.keyfile import Denied, Entry, change_keys, new_entry

from .asking import ALOUD, CHAT, PYTHON, a_session, a_sound, saying, user
from .models import AGENT, AUDIO, KINDS, Recorder
from .routers import BODY_LIMIT, Router, a_client, a_registry, running_router, until

COMPLETIONS, RESPONSES, MESSAGES, MINIMAL = "/v1/completions", "/v1/responses", "/v1/messages", "/api/chat"
CAP, MOST_CHOICES, KEYS_CAP = 200, 2, 50
WORD, SORRY = "abracadabra", "No spells here."
QUICKLY_S = 10.0  # a pattern that backtracks would take years

# Every way to have something generated: path, what is said, and the field that says how long the answer may be.
PATHS = [
    (CHAT, "messages", "max_tokens"),
    (COMPLETIONS, "prompt", "max_tokens"),
    (RESPONSES, "input", "max_output_tokens"),
    (MESSAGES, "messages", "max_tokens"),
    (MINIMAL, "messages", "max_tokens"),
    ("/route", "query", "max_tokens"),
]
PASSED_ON = PATHS[:-1]


def on(path: str, field: str, more: Mapping[str, Any] | None = None, *, said: str = PYTHON) -> dict[str, Any]:
    """What a client sends there, to the use case agent, with *more* fields."""
    goes = {"use_case": "agent"} if path == "/route" else {"model": "agent", "stream": False}
    return {field: [user(said)] if field == "messages" else said} | goes | dict(more or {})


POLICY = {
    "defaults": {"max_choices": MOST_CHOICES, "deny": [{"pattern": f"(?i){WORD}", "message": SORRY}]},
    "agent": {"max_tokens": CAP, "deny": [{"pattern": "(a+)+$", "message": "No rows of a."}]},
    "stt": {"max_tokens": 7},
}


def a_ruled_registry(folder: Path, recorder: Recorder, policy: dict[str, Any]) -> Path:
    """All models are the recorder."""
    path = a_registry(folder, {model: [recorder.url] for model in KINDS})
    registry = yaml.safe_load(path.read_text())
    registry["defaults"]["policy"] = policy.get("defaults", {})
    for use_case in registry["use_cases"]:
        use_case["policy"] = policy.get(use_case["id"], {})
    path.write_text(yaml.safe_dump(registry, allow_unicode=True))
    return path


@dataclass
class Policed:
    """A router with rules and a file of keys; the keys' callers are its clients."""

    url: str
    keys: Path
    stack: ExitStack

    def caller(self, **allowed: Any) -> Router:
        key, entry = new_entry("test", ["route", "metrics"], **allowed)
        change_keys(self.keys, lambda entries: (*entries, entry))
        http = self.stack.enter_context(a_client(self.url, Authorization=f"Bearer {key}"))
        until(lambda: http.get("/stats").status_code == 200)
        return Router(self.url, http)


@contextmanager
def policed_router(folder: Path, recorder: Recorder, policy: dict[str, Any], **options: Any) -> Iterator[Policed]:
    keys = folder / "keys.json"
    change_keys(keys, lambda _: [])
    registry = a_ruled_registry(folder, recorder, policy)
    with running_router(registry, api_keys_file=keys, **options) as router, ExitStack() as stack:
        yield Policed(router.url, keys, stack)


@pytest.fixture(scope="module")
def policed(recording: Recorder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Policed]:
    folder, allowed = tmp_path_factory.mktemp("policy"), ["prompt_embeds"]
    with policed_router(folder, recording, POLICY, allow_parameters=allowed) as found:
        yield found


@pytest.fixture(scope="module")
def anybody(policed: Policed) -> Router:
    """A caller with no rules but everybody's."""
    return policed.caller()


@pytest.fixture(scope="module")
def someone(policed: Policed) -> Router:
    """A caller whose key has rules of its own."""
    return policed.caller(max_tokens=KEYS_CAP, max_choices=1, deny=(Denied("(?i)hocus", "No hocus pocus."),))


def refused(response: httpx2.Response, recorder: Recorder, *says: str) -> None:
    assert response.status_code == 403, response.text
    assert "policy_refused" in response.text or response.json()["error"]["type"] == "permission_error"
    for word in says:
        assert word in response.text
    assert recorder.requests == []


def passed(response: httpx2.Response, recorder: Recorder) -> Any:
    """What the model server got."""
    assert response.status_code == 200, response.text
    return recorder.last.json


# how much


@pytest.mark.parametrize(("path", "field", "limit"), PATHS)
def test_a_longer_answer_than_is_allowed_is_refused(
    anybody: Router, recorder: Recorder, path: str, field: str, limit: str
) -> None:
    said = f"{limit}: at most {CAP} is allowed here; send 1 to {CAP}, or leave it out"
    refused(anybody.post(path, on(path, field, {limit: CAP + 1})), recorder, said)
    assert passed(anybody.post(path, on(path, field, {limit: CAP})), recorder)[limit] == CAP


@pytest.mark.parametrize(("path", "field", "limit"), PASSED_ON)
@pytest.mark.parametrize("other", ["max_tokens", "max_completion_tokens", "max_output_tokens"])
@pytest.mark.parametrize("asked", [CAP + 1, 1e9, -1])
def test_no_other_field_leads_around_the_cap(
    anybody: Router, recorder: Recorder, path: str, field: str, limit: str, other: str, asked: float
) -> None:
    refused(anybody.post(path, on(path, field, {limit: 1, other: asked})), recorder, f"{other}: at most {CAP}")


@pytest.mark.parametrize(("path", "field", "limit"), PASSED_ON)
@pytest.mark.parametrize("more", ["n", "best_of"])
def test_more_answers_than_are_allowed_are_refused(
    anybody: Router, recorder: Recorder, path: str, field: str, limit: str, more: str
) -> None:
    refused(anybody.post(path, on(path, field, {more: 3})), recorder, f"{more}: at most {MOST_CHOICES}")
    assert passed(anybody.post(path, on(path, field, {more: 2})), recorder)[more] == 2


@pytest.mark.parametrize(("path", "field", "limit"), PASSED_ON)
def test_a_cap_is_filled_in_and_all_else_arrives_as_it_was_sent(
    anybody: Router, recorder: Recorder, path: str, field: str, limit: str
) -> None:
    said = '[{"role":"user" , "content":"\\u00fc Write Python"}]' if field == "messages" else '"\\u00fc Write Python"'
    sent = f' {{ "{field}" : {said}, "stream":false,  "x":1e0,"model":"{AGENT}" }} '.encode()
    assert anybody.post(path, sent).status_code == 200
    assert recorder.last.body == sent.replace(b" {", b' {"%s":%d,' % (limit.encode(), CAP), 1)
    nothing = sent.replace(b'"x":1e0', b'"%s" : null' % limit.encode())
    assert anybody.post(path, nothing).status_code == 200
    assert recorder.last.body == nothing.replace(b"null", b"%d" % CAP)


@pytest.mark.parametrize(("path", "field", "limit"), PASSED_ON)
def test_where_nothing_is_to_be_filled_in_every_byte_arrives(
    anybody: Router, recorder: Recorder, path: str, field: str, limit: str
) -> None:
    sent = json.dumps(on(path, field, {"model": AGENT, limit: 5}), indent=3).encode()
    assert anybody.post(path, sent).status_code == 200
    assert recorder.last.body == sent


def test_a_chats_newer_field_counts_as_well_as_the_older(anybody: Router, recorder: Recorder) -> None:
    got = passed(anybody.post(CHAT, on(CHAT, "messages", {"max_completion_tokens": 5})), recorder)
    assert (got["max_completion_tokens"], "max_tokens" in got) == (5, False)
    got = passed(anybody.post(COMPLETIONS, on(COMPLETIONS, "prompt", {"max_completion_tokens": 5})), recorder)
    assert (got["max_completion_tokens"], got["max_tokens"]) == (5, CAP)


@pytest.mark.parametrize(("use_case", "tokens"), [("agent", 100), ("stt", 7)])
def test_the_registrys_default_is_lowered_to_the_cap(
    anybody: Router, recorder: Recorder, use_case: str, tokens: int
) -> None:
    assert passed(anybody.route(PYTHON, use_case=use_case), recorder)["max_tokens"] == tokens


def test_a_use_case_without_a_cap_has_none(anybody: Router, recorder: Recorder) -> None:
    assert passed(anybody.route(PYTHON, use_case="tts", max_tokens=5000), recorder)["max_tokens"] == 5000
    assert "max_tokens" not in passed(anybody.chat(PYTHON, model="tts"), recorder)


def test_the_keys_cap_and_the_use_cases_apply_together(someone: Router, recorder: Recorder) -> None:
    refused(someone.chat(PYTHON, model="agent", max_tokens=KEYS_CAP + 1), recorder, f"at most {KEYS_CAP}")
    refused(someone.route(PYTHON, use_case="stt", max_tokens=8), recorder, "at most 7")
    refused(someone.chat(PYTHON, model="agent", n=2), recorder, "n: at most 1")
    assert passed(someone.chat(PYTHON, model="agent"), recorder)["max_tokens"] == KEYS_CAP
    assert passed(someone.chat(PYTHON, model="stt"), recorder)["max_tokens"] == 7


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"model": AGENT, "input": "x"}),
        ("/v1/rerank", {"model": AGENT, "query": "x", "documents": ["y"]}),
        ("/tokenize", {"model": AGENT, "prompt": "x"}),
    ],
)
def test_what_generates_nothing_has_no_cap(someone: Router, recorder: Recorder, path: str, body: Any) -> None:
    assert passed(someone.post(path, body), recorder) == body


@pytest.mark.parametrize("value", ["250", True, [250], {}])
def test_what_is_no_number_is_refused_where_there_is_a_cap_and_only_there(
    anybody: Router, recorder: Recorder, value: object
) -> None:
    refused(anybody.chat(PYTHON, model="agent", max_tokens=value), recorder, f"max_tokens: at most {CAP}")
    assert passed(anybody.chat(PYTHON, model="tts", max_tokens=value), recorder)["max_tokens"] == value


# what is said


@pytest.mark.parametrize(("path", "field", "limit"), PATHS)
def test_a_text_that_is_denied_reaches_no_model(
    anybody: Router, recorder: Recorder, path: str, field: str, limit: str
) -> None:
    refused(anybody.post(path, on(path, field, said=f"Say {WORD.upper()}!")), recorder, SORRY)


@pytest.mark.parametrize(
    "before",
    [
        {"role": "user", "content": WORD},
        {"role": "assistant", "content": WORD},
        {"role": "system", "content": [{"type": "text", "text": WORD}]},
        {"role": "tool", "tool_call_id": "c1", "content": WORD},
    ],
)
def test_nor_does_one_that_was_said_before(anybody: Router, recorder: Recorder, before: Any) -> None:
    refused(anybody.chat([before, user(PYTHON)], model=AGENT), recorder, SORRY)


@pytest.mark.parametrize(
    ("path", "more"),
    [(RESPONSES, {"input": PYTHON, "instructions": WORD}), (MESSAGES, {"messages": [user(PYTHON)], "system": WORD})],
)
def test_nor_instructions(anybody: Router, recorder: Recorder, path: str, more: dict[str, Any]) -> None:
    refused(anybody.post(path, {"model": AGENT, "max_tokens": 5} | more), recorder, SORRY)


@pytest.mark.parametrize("name", [WORD, "audio"])
def test_nor_the_words_of_a_tool(anybody: Router, recorder: Recorder, name: str) -> None:
    properties = {name: {"type": "string", "description": f"Say {WORD}" if name != WORD else ""}}
    tool = {"name": "say", "parameters": {"type": "object", "properties": properties}}
    asked = saying(PYTHON) | {"model": AGENT, "tools": [{"type": "function", "function": tool}]}
    refused(anybody.post(CHAT, asked), recorder, SORRY)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/embeddings", {"input": ["x", WORD]}),
        ("/v1/audio/speech", {"input": WORD, "voice": "x"}),
        ("/v1/rerank", {"query": "x", "documents": [WORD]}),
        ("/v1/score", {"text_1": "x", "text_2": WORD}),
        ("/v1/score", {"data_1": "x", "data_2": [WORD]}),
        ("/v1/score", {"queries": "x", "items": [WORD]}),
    ],
)
def test_nor_a_text_that_is_not_to_be_answered(anybody: Router, recorder: Recorder, path: str, body: Any) -> None:
    refused(anybody.post(path, {"model": AGENT} | body), recorder, SORRY)


@pytest.mark.parametrize("more", [{"prompt": [1, 2, 3]}, {"prompt": PYTHON, "prompt_embeds": "AAAA"}])
def test_nor_a_prompt_that_nobody_can_read(anybody: Router, recorder: Recorder, more: dict[str, Any]) -> None:
    refused(anybody.post(COMPLETIONS, {"model": AGENT} | more), recorder, "send it as text")


def test_a_keys_patterns_are_its_own(someone: Router, anybody: Router, recorder: Recorder) -> None:
    refused(someone.chat("Hocus", model="tts"), recorder, "No hocus pocus.")
    refused(someone.chat(WORD, model="tts"), recorder, SORRY)
    assert passed(anybody.chat("Hocus", model="tts"), recorder)


def test_a_use_cases_patterns_are_its_own(anybody: Router, recorder: Recorder) -> None:
    refused(anybody.route("Say aaa", use_case="agent"), recorder, "No rows of a.")
    assert passed(anybody.route("Say aaa", use_case="tts"), recorder)


def test_an_upload_needs_no_text(anybody: Router, recorder: Recorder) -> None:
    response = anybody.http.post(
        "/v1/audio/transcriptions", data={"model": AUDIO, "prompt": WORD}, files={"file": ("a.wav", a_sound())}
    )
    assert response.status_code == 200, response.text
    assert len(recorder.requests) == 1


def test_a_megabyte_is_looked_through_quickly_whatever_the_pattern(anybody: Router, recorder: Recorder) -> None:
    room = BODY_LIMIT - 1000
    for end, status in (("!", 200), ("", 403)):
        begun = perf_counter()
        assert anybody.chat("a" * room + end, model=AGENT).status_code == status
        assert perf_counter() - begun < QUICKLY_S
    assert len(recorder.requests) == 1


# how it is told


@pytest.mark.parametrize(
    ("path", "envelope"),
    [
        (CHAT, {"error": {"message": SORRY, "type": "permission_error", "param": None, "code": "policy_refused"}}),
        (RESPONSES, {"error": {"message": SORRY, "type": "permission_error", "param": None, "code": "policy_refused"}}),
        (MESSAGES, {"type": "error", "error": {"type": "permission_error", "message": SORRY}}),
        ("/route", {"success": False, "error_message": SORRY, "error_code": "policy_refused", "use_case": "agent"}),
    ],
)
def test_every_dialect_has_its_envelope(anybody: Router, recorder: Recorder, path: str, envelope: Any) -> None:
    field = next(field for known, field, _ in PATHS if known == path)
    told = anybody.post(path, on(path, field, said=WORD)).json()
    assert {name: told[name] for name in envelope} == envelope


def test_the_field_at_fault_is_the_envelopes_parameter(anybody: Router, recorder: Recorder) -> None:
    assert anybody.chat(PYTHON, model=AGENT, max_tokens=CAP + 1).json()["error"]["param"] == "max_tokens"


def test_classifying_says_the_same(anybody: Router, recorder: Recorder) -> None:
    for asked in ({"query": WORD}, {"query": PYTHON, "use_case": "agent", "max_tokens": CAP + 1}):
        told = [anybody.http.post(path, json=asked).json() for path in ("/classify", "/route")]
        assert told[0]["error_code"] == "policy_refused"
        for field in ("error_code", "error_message", "use_case"):
            assert told[0][field] == told[1][field]
    assert anybody.classify(PYTHON).status_code == 200


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"said": f"my secret {WORD}"}, "defaults.policy.deny[0]"),
        ({"said": "my secret aaa"}, "use_cases[0].policy.deny[0]"),
        ({"said": "my secret hocus"}, "keys[{key}].deny[0]"),
        ({"said": "my secret", "max_tokens": 9999}, "max_tokens"),
        ({"said": "my secret", "n": MOST_CHOICES + 1}, "n"),
    ],
)
def test_a_refusal_leaves_a_line_without_the_text(
    policed: Policed, recorder: Recorder, asked: dict[str, Any], rule: str
) -> None:
    key, entry = new_entry("test", ["route"], deny=(Denied("hocus", "no"),))
    change_keys(policed.keys, lambda entries: (*entries, entry))
    with a_client(policed.url, Authorization=f"Bearer {key}") as http, capture_logs() as lines:
        until(lambda: http.get("/stats").status_code == 200)
        lines.clear()
        more = {name: value for name, value in asked.items() if name != "said"}
        http.post(CHAT, json=saying(asked["said"], model=AGENT, **more), headers={"X-Request-ID": "r-1"})
    assert "secret" not in str(lines)
    assert [line for line in lines if line["event"] == "refused by policy"] == [
        {
            "event": "refused by policy",
            "log_level": "warning",
            "request_id": "r-1",
            "caller": entry.id,
            "use_case": "agent",
            "rule": rule.format(key=entry.id),
        }
    ]


def test_refusals_are_counted(policed: Policed, anybody: Router, recorder: Recorder) -> None:
    before = limited(anybody)
    anybody.chat(WORD, model=AGENT)
    anybody.route(PYTHON, use_case="agent", max_tokens=CAP + 1)
    anybody.chat(PYTHON, model=AGENT)
    until(lambda: limited(anybody) == before + 2)


def limited(router: Router) -> float:
    lines = router.http.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith('smart_router_limited_total{reason="policy"}')]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


# around it


def test_a_session_goes_on_after_a_refusal(anybody: Router, recorder: Recorder) -> None:
    id = a_session()
    anybody.answer(PYTHON, session_id=id)
    recorder.reset()
    refused(anybody.route(f"and {WORD}", session_id=id), recorder, SORRY)
    assert anybody.answer("and a test for it", session_id=id)["bypass_used"]


def test_a_sessions_use_case_rules_where_a_client_names_a_model_that_serves_several(
    tmp_path: Path, recorder: Recorder
) -> None:
    """Elsewhere such a request need not wait for its session."""
    policy = {"tts": {"max_tokens": 7}}
    with policed_router(tmp_path, recorder, policy) as policed:
        router, id = policed.caller(), a_session()
        assert passed(router.chat(ALOUD, model="tts", session=id), recorder)["max_tokens"] == 7
        assert passed(router.chat(ALOUD, model=AUDIO, session=id), recorder)["max_tokens"] == 7
        assert "max_tokens" not in passed(router.chat(ALOUD, model=AUDIO), recorder)


def test_a_second_opinion_sees_nothing_that_is_refused(tmp_path: Path, recorder: Recorder) -> None:
    options = {"llm_classifier_model": AGENT, "llm_classifier_below": 1.0}
    with policed_router(tmp_path, recorder, POLICY, **options) as policed:
        router = policed.caller()
        refused(router.route(f"hm, {WORD}"), recorder, SORRY)
        assert router.route("hm, well").status_code == 200
        assert len(recorder.requests) == 2


def test_new_rules_apply_soon_and_wrong_ones_change_nothing(policed: Policed, recorder: Recorder) -> None:
    key, entry = new_entry("test", ["route"])
    change_keys(policed.keys, lambda entries: (*entries, entry))
    with a_client(policed.url, Authorization=f"Bearer {key}") as http:
        router = Router(policed.url, http)
        until(lambda: http.get("/stats").status_code == 200)
        assert passed(router.chat("presto", model="tts"), recorder)
        ruled(policed.keys, entry, deny=[{"pattern": "presto", "message": "Not so fast."}])
        until(lambda: router.chat("presto", model="tts").status_code == 403)
        ruled(policed.keys, entry, deny=[{"pattern": "(", "message": "?"}])
        later = policed.keys.read_text()
        recorder.reset()
        refused(router.chat("presto", model="tts"), recorder, "Not so fast.")
        policed.keys.write_text(later.replace('"pattern": "("', '"pattern": "presto!"'))
        until(lambda: router.chat("presto", model="tts").status_code == 200)
        change_keys(policed.keys, lambda entries: [one for one in entries if one.id != entry.id])


def ruled(path: Path, entry: Entry, **rules: Any) -> None:
    """As a person would, with an editor."""
    document = json.loads(path.read_text())
    for key in document["keys"]:
        if key["sha256"] == entry.sha256:
            key |= rules
    fresh = path.with_name("fresh.json")
    fresh.write_text(json.dumps(document, indent=2))
    fresh.replace(path)


def test_without_keys_the_registrys_rules_are_everybodys(tmp_path: Path, recorder: Recorder) -> None:
    with running_router(a_ruled_registry(tmp_path, recorder, POLICY)) as router:
        refused(router.chat(WORD, model="tts"), recorder, SORRY)
        assert passed(router.chat(PYTHON, model=AGENT), recorder)["max_tokens"] == CAP

"""Both clients, against a router on simulated model servers."""

import base64
from pathlib import Path

import pytest

from smart_router.client import Attachment, BadInput, Client, RouterRefused, UnknownSession
from tests.client.blocking import Connect
from tests.e2e.asking import ALOUD, FOLLOW_UP, PICTURE, PYTHON, a_png, a_session
from tests.e2e.models import AGENT, AUDIO, MULTIMODAL, Models, parts, texts
from tests.e2e.routers import KEY, Router, wait_for_idle

SAID = f"[simulated {AGENT}] You said: {PYTHON}."


@pytest.fixture
def client(connect: Connect, embedded_router: Router) -> Client:
    return connect(embedded_router.url)


def test_a_query_is_answered_with_its_decision(client: Client) -> None:
    answer = client.route(PYTHON)
    assert answer.result == SAID
    assert (answer.use_case, answer.selected_model, answer.reason) == ("agent", AGENT, "classified")
    assert (answer.bypass_used, answer.new_session, answer.finish_reason) == (False, True, "stop")
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert 0 < answer.routing_time < answer.total_time
    assert answer.session_id
    assert answer.request_id


def test_a_stream_tells_its_decision_then_its_words_then_the_answer(client: Client) -> None:
    with client.stream(PYTHON) as stream:
        assert (stream.decision.use_case, stream.answer) == ("agent", None)
        words = list(stream)
    assert len(words) > 3
    assert "".join(words) == stream.text == SAID
    assert stream.answer
    assert (stream.answer.result, stream.answer.finish_reason) == (SAID, "stop")
    assert stream.answer.session_id == stream.decision.session_id


def test_every_field_of_a_query_reaches_the_router(client: Client, models: Models) -> None:
    id = a_session()
    answer = client.route(
        "hello", session_id=id, use_case="multimodal", modality="image", context={"language": "hi"}, max_tokens=3,
        temperature=0.0, remember=False, user_id="u",
        attachments=[Attachment.from_url("https://example.org/a.png", "image")],
    )  # fmt: skip
    assert (answer.session_id, answer.use_case, answer.finish_reason) == (id, "multimodal", "length")
    sent = models.multimodal.received()[-1]
    assert (sent["max_tokens"], sent["temperature"]) == (3, 0.0)
    assert parts(sent, "image_url")[0]["image_url"]["url"] == "https://example.org/a.png"
    assert "earlier" not in client.route("again", session_id=id, use_case="multimodal").result


def test_a_file_is_attached_as_it_is(client: Client, models: Models, tmp_path: Path) -> None:
    (tmp_path / "dot.PNG").write_bytes(base64.b64decode(a_png()))
    answer = client.route(PICTURE, attachments=[Attachment.from_file(tmp_path / "dot.PNG")])
    assert (answer.selected_model, answer.reason) == (MULTIMODAL, "modality")
    (part,) = parts(models.multimodal.received()[-1], "image_url")
    assert part["image_url"]["url"] == f"data:image/png;base64,{a_png()}"


def test_a_decision_can_be_seen_without_an_answer(client: Client, models: Models) -> None:
    told = client.classify(ALOUD)
    assert (told.use_case, told.selected_model) == ("tts", AUDIO)
    assert told.scores["tts"] == max(told.scores.values()) == pytest.approx(told.confidence)
    assert client.classify(PICTURE, modality="image").because.hint == ("image",)
    assert models.requests() == 0


def test_a_conversation_remembers_its_session(client: Client, models: Models) -> None:
    talk = client.session()
    assert talk.id is None
    first = talk.route(PYTHON)
    assert talk.id == first.session_id
    assert not talk.began_anew
    with talk.stream(FOLLOW_UP) as stream:
        follow_up = "".join(stream)
    assert stream.decision.bypass_used
    assert (stream.decision.session_id, talk.turns) == (first.session_id, 2)
    third = talk.route("and a test", max_tokens=5)
    assert third.session_id == first.session_id
    assert [text for _, text in texts(models.agent.received()[-1])] == [
        PYTHON, first.result, FOLLOW_UP, follow_up, "and a test"
    ]  # fmt: skip
    assert talk.classify(FOLLOW_UP).session_id == talk.id
    assert talk.info().request_count == 3
    assert client.session_info(first.session_id).use_case == "agent"


def test_a_conversation_that_was_ended_goes_on_with_another_session(client: Client) -> None:
    talk = client.session()
    first = talk.route(PYTHON)
    talk.end()
    assert talk.id is None
    talk.end()  # which is no error
    with pytest.raises(UnknownSession, match="expired"):
        client.session_info(first.session_id)
    assert talk.route(PYTHON).session_id != first.session_id


def test_a_session_ended_elsewhere_costs_its_memory_alone(client: Client) -> None:
    talk = client.session(a_session())
    talk.route(PYTHON)
    assert talk.id
    client.end_session(talk.id)
    with pytest.raises(UnknownSession) as told:
        talk.info()
    assert (told.value.status, told.value.code) == (404, "unknown_session")
    answer = talk.route(FOLLOW_UP)
    assert talk.began_anew
    assert (answer.session_id, answer.new_session) == (talk.id, True)
    talk.route(FOLLOW_UP)
    assert not talk.began_anew
    client.end_session(talk.id)
    talk.end()


def test_a_conversation_has_a_session_of_its_own(client: Client) -> None:
    talk = client.session()
    with pytest.raises(BadInput, match="session_id: a conversation has its own"):
        talk.route(PYTHON, session_id="other")
    with pytest.raises(BadInput, match="no session yet"):
        talk.info()


def test_sessions_are_listed_a_page_at_a_time(client: Client) -> None:
    ids = {client.route(PYTHON).session_id for _ in range(3)}
    page, seen = client.sessions(limit=2), set()
    assert len(page.sessions) == 2
    while True:
        seen |= {session.session_id for session in page.sessions}
        if page.next_cursor is None:
            break
        page = client.sessions(page.next_cursor, limit=2)
    assert ids <= seen
    with pytest.raises(RouterRefused, match="cursor: "):
        client.sessions("of my own")


def test_a_session_can_be_pinned_and_unpinned(client: Client) -> None:
    talk = client.session(a_session())
    talk.route(PYTHON)
    pinned = talk.update(use_case="multimodal", bypass_enabled=False)
    assert (pinned.use_case, pinned.pinned, pinned.bypass_enabled) == ("multimodal", True, False)
    assert talk.route(FOLLOW_UP).use_case == "multimodal"
    assert not client.update_session(talk.id or "", use_case=None).pinned
    with pytest.raises(RouterRefused, match="there are agent, multimodal"):
        talk.update(use_case="nope")
    with pytest.raises(UnknownSession):
        client.update_session(a_session(), bypass_enabled=True)
    with pytest.raises(BadInput, match="nothing to change was given"):
        talk.update()


def test_what_can_be_asked_for_is_told(client: Client) -> None:
    agent = client.use_cases()[0]
    assert (agent.id, agent.models, agent.default, agent.available) == ("agent", (AGENT,), True, True)
    auto = client.models()[0]
    assert (auto.id, auto.kind, AGENT in auto.resolves_to) == ("auto", "auto", True)


def test_numbers_and_health_are_told(client: Client) -> None:
    before = client.stats()
    client.route(PYTHON)
    after = client.stats()
    assert after.total_requests > before.total_requests
    assert after.models[AGENT].requests > 0
    assert after.scope == "replica"
    assert (after.model_states[AGENT].state, after.model_states[AGENT].lifecycle) == ("awake", "always")
    health = client.health()
    assert health.status in ("healthy", "degraded")
    assert health.model_endpoints["gpu0"].endpoint.startswith("http://")


def test_what_has_no_method_can_be_called(client: Client) -> None:
    assert client.call("GET", "/livez") == {"status": "alive"}
    assert client.call("post", "/classify", {"query": PYTHON})["use_case"] == "agent"
    with pytest.raises(BadInput, match="begins with /"):
        client.call("GET", "livez")


def test_a_refusal_names_its_code_and_what_would_be_right(client: Client) -> None:
    with pytest.raises(RouterRefused, match="there are agent, multimodal") as told:
        client.route(PYTHON, use_case="nope")
    assert (told.value.status, told.value.code, told.value.retry_after_s) == (404, "unknown_use_case", None)
    assert told.value.request_id
    with pytest.raises(RouterRefused, match="query: is empty; say what you want"):
        client.route(" ")
    with pytest.raises(RouterRefused, match="query: is empty"), client.stream(" "):
        pass


def test_an_option_that_does_not_exist_is_refused_here(client: Client) -> None:
    with pytest.raises(BadInput, match="sesion_id: no such option; there are session_id, attachments"):
        client.route(PYTHON, sesion_id="s")  # type: ignore[call-arg]
    with pytest.raises(BadInput, match="the query: cannot be sent as JSON"):
        client.route(PYTHON, context={"when": object()})


def test_leaving_a_stream_stops_the_model(client: Client, embedded_router: Router, models: Models) -> None:
    models.agent.fail("never-ends")
    with client.stream(PYTHON) as stream:
        assert next(iter(stream))
        assert models.agent.running() == 1
    models.agent.wait_for_running(0)
    wait_for_idle(embedded_router)
    assert stream.text
    assert stream.answer is None


def test_an_error_in_the_with_stops_the_model(client: Client, embedded_router: Router, models: Models) -> None:
    models.agent.fail("never-ends")
    with pytest.raises(ZeroDivisionError), client.stream(PYTHON) as stream:
        for _ in stream:
            raise ZeroDivisionError
    models.agent.wait_for_running(0)
    wait_for_idle(embedded_router)


def test_a_stream_is_read_inside_its_with(client: Client) -> None:
    stream = client.stream(PYTHON)
    with pytest.raises(BadInput, match="a stream asks when its `with` is entered"):
        next(iter(stream))
    with pytest.raises(BadInput, match="a stream asks"):
        _ = stream.decision


def test_a_key_opens_a_router_that_wants_one(connect: Connect, door: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect(door.url, KEY).route(PYTHON).result == "Hello"
    monkeypatch.setenv("API_KEY", f" {KEY}\n")
    monkeypatch.setenv("SMART_ROUTER_URL", door.url + "/")
    assert connect().route(PYTHON).result == "Hello"


@pytest.mark.parametrize(("key", "advice"), [(None, "give key=…, or set API_KEY"), ("sk-wrong", "the key given")])
def test_a_missing_or_wrong_key_is_told_apart(connect: Connect, door: Router, key: str | None, advice: str) -> None:
    client = connect(door.url, key)
    with pytest.raises(RouterRefused, match=advice) as told:
        client.route(PYTHON)
    assert (told.value.status, told.value.code) == (401, "unauthorized")
    assert "sk-" not in str(told.value)
    with pytest.raises(RouterRefused, match=advice), client.stream(PYTHON):
        pass
    with pytest.raises(RouterRefused, match=advice):
        client.models()  # whose errors are in OpenAI's form

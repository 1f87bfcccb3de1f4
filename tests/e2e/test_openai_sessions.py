"""Sessions on the OpenAI-style paths: found by an id or by what was said first, shared with /route, without words."""

import uuid
from typing import Any

import httpx2
import pytest
from redis import Redis

from .asking import CHAT, FOLLOW_UP, PICTURE, PYTHON, a_picture, a_session, a_text, assistant, saying, user
from .models import AGENT, AUDIO, Models, texts
from .redis_process import RedisProcess
from .routers import Router


def session_of(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    id: str = response.headers["x-session-id"]
    return id


def bypassed(response: httpx2.Response) -> tuple[str, str, str]:
    assert response.status_code == 200, response.text
    headers = response.headers
    return headers["x-route-use-case"], headers["x-route-reason"], headers["x-route-bypass"]


STANDING = ("agent", "session", "true")


def a_task() -> str:
    """A first message that no other conversation begins with."""
    return f"{PYTHON} and call it function_{uuid.uuid4().hex}"


def without_id(router: Router, body: Any, path: str = CHAT) -> httpx2.Response:
    return router.http.post(path, json=body)


def test_a_follow_up_bypasses_the_classifier(router: Router) -> None:
    session = a_session()
    assert bypassed(router.chat(PYTHON, session=session)) == ("agent", "classified", "false")
    talk = [user(PYTHON), assistant("def f(): pass"), user(FOLLOW_UP)]
    assert bypassed(router.chat(talk, session=session)) == STANDING
    assert bypassed(router.chat(talk, session=session, stream=True)) == STANDING


def test_the_session_is_there_to_be_looked_at(router: Router, models: Models) -> None:
    session = a_session()
    assert session_of(router.chat(PYTHON, session=session)) == session
    router.chatted(FOLLOW_UP, session=session)
    record = router.session(session)
    assert (record["use_case"], record["model_id"], record["endpoint"]) == ("agent", AGENT, models.agent.url)
    assert record["request_count"] == 2
    assert record["bypass_enabled"] is True


def test_a_session_begun_here_goes_on_at_route(router: Router, models: Models) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    answer = router.answer(FOLLOW_UP, session_id=session)
    assert (answer["use_case"], answer["reason"], answer["bypass_used"]) == ("agent", "session", True)
    assert answer["new_session"] is False
    assert texts(models.agent.received()[-1]) == [("user", FOLLOW_UP)], "what was said here must not be kept"


def test_a_session_begun_at_route_goes_on_here(router: Router, models: Models) -> None:
    session = a_session()
    first = router.answer(PYTHON, session_id=session)
    assert bypassed(router.chat(FOLLOW_UP, session=session)) == STANDING
    assert texts(models.agent.received()[-1]) == [("user", FOLLOW_UP)], "a client here sends its own history"
    router.answer("Make it faster", session_id=session)
    told = [("user", PYTHON), ("assistant", first["result"]), ("user", "Make it faster")]
    assert texts(models.agent.received()[-1]) == told


def test_an_explicit_choice_becomes_the_sessions(router: Router) -> None:
    session = a_session()
    router.chatted("Hello there", session=session, model="avatar")
    assert bypassed(router.chat("Yes please", session=session)) == ("avatar", "session", "true")


def test_an_ended_session_is_classified_anew(router: Router) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    assert router.http.delete(f"/sessions/{session}").status_code == 200
    assert bypassed(router.chat(PYTHON, session=session)) == ("agent", "classified", "false")


IDS: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"session_id": "@"}, "session_id"),
    ("/v1/responses", {"conversation": "@"}, "conversation"),
    ("/v1/responses", {"conversation": {"id": "@"}}, "conversation object"),
    (CHAT, {"conversation_id": "@"}, "conversation_id"),
    ("/v1/messages", {"session_id": "@", "max_tokens": 9}, "messages"),
    ("/v1/completions", {"session_id": "@"}, "completions"),
]


@pytest.mark.parametrize(("path", "fields", "name"), IDS, ids=[name for *_, name in IDS])
def test_the_session_id_may_come_in_the_body(
    router: Router, models: Models, path: str, fields: dict[str, Any], name: str
) -> None:
    id = a_session()
    body = saying(a_task(), input=PYTHON, prompt=PYTHON) | filled(fields, id)
    session = session_of(without_id(router, body, path))
    if "session_id" in fields:
        assert session == id
    again = without_id(router, body | saying(FOLLOW_UP), path)
    assert (session_of(again), bypassed(again)) == (session, STANDING)
    assert bypassed(router.chat(FOLLOW_UP, session=session)) == STANDING
    other = without_id(router, body | filled(fields, a_session()), path)
    assert session_of(other) != session
    sent = models.agent.received()[0]
    assert sent == body | {"model": AGENT}, "a field was taken out of the body"


def test_the_header_beats_the_body_and_session_id_a_conversation(router: Router) -> None:
    header, field, conversation = a_session(), a_session(), a_session()
    body = saying(PYTHON, session_id=field, conversation_id=conversation)
    assert session_of(router.http.post(CHAT, json=body, headers={"X-Session-ID": header})) == header
    assert session_of(without_id(router, body)) == field
    assert not router.knows(conversation)


CONVERSATIONS = {
    "chat": CHAT,
    "responses": "/v1/responses",
    "messages": "/v1/messages",
}


def turns(path: str, system: str, *said: str) -> list[Any]:
    """The requests of one conversation, each with all that was said before."""
    talk: list[dict[str, Any]] = []
    requests = []
    for text in said:
        talk = [*talk, user(text)]
        requests.append(request(path, system, talk))
        talk = [*talk, assistant("def f(): pass")]
    return requests


def request(path: str, system: str, talk: list[dict[str, Any]]) -> Any:
    if path == "/v1/responses":
        return {"model": "auto", "instructions": system, "input": talk}
    if path == "/v1/messages":
        return {"model": "auto", "system": system, "messages": talk, "max_tokens": 20}
    return {"model": "auto", "messages": [{"role": "system", "content": system}, *talk]}


SYSTEM = "You are a careful programmer."


@pytest.mark.parametrize("path", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_a_conversation_without_an_id_is_one_session(router: Router, path: str) -> None:
    requests = turns(path, SYSTEM, a_task(), FOLLOW_UP, "Make it faster")
    answers = [without_id(router, body, path) for body in requests]
    assert len({session_of(answer) for answer in answers}) == 1
    assert [bypassed(answer) for answer in answers] == [("agent", "classified", "false"), STANDING, STANDING]


@pytest.mark.parametrize("path", CONVERSATIONS.values(), ids=CONVERSATIONS.keys())
def test_two_conversations_without_an_id_are_two_sessions(router: Router, path: str) -> None:
    (first,), (second,) = turns(path, SYSTEM, a_task()), turns(path, SYSTEM, a_task())
    assert session_of(without_id(router, first, path)) != session_of(without_id(router, second, path))


def test_another_system_prompt_is_another_conversation(router: Router) -> None:
    task = a_task()
    ids = {session_of(without_id(router, turns(CHAT, system, task)[0])) for system in (SYSTEM, "You are a poet.", "")}
    assert len(ids) == 3


def test_what_else_is_asked_for_does_not_make_another_conversation(router: Router) -> None:
    (body,) = turns(CHAT, SYSTEM, a_task())
    plain = without_id(router, body)
    other = without_id(router, body | {"temperature": 0, "stream": True, "max_tokens": 5})
    assert session_of(plain) == session_of(other)


def test_a_text_as_one_part_is_the_same_text(router: Router) -> None:
    task = a_task()
    whole, part = saying([user(task)]), saying([user(a_text(task))])
    assert session_of(without_id(router, whole)) == session_of(without_id(router, part))


def test_a_derived_id_tells_nothing_of_what_was_said(router: Router) -> None:
    id = session_of(without_id(router, saying(a_task())))
    assert len(id) >= 16
    assert "python" not in id.lower()
    assert "function" not in id.lower()
    assert router.session(id)["session_id"] == id


CANARY = f"canary-{uuid.uuid4().hex}"
CANARIES: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"messages": [{"role": "system", "content": CANARY}, user(f"{PYTHON} {CANARY}")]}),
    (CHAT, {"messages": [user(f"{PYTHON} {CANARY}")], "user": CANARY, "metadata": {"x": CANARY}, "stream": True}),
    (CHAT, {"messages": [user(a_text(PICTURE), a_picture(f"https://example.com/{CANARY}"))]}),
    ("/v1/completions", {"prompt": f"{PYTHON} {CANARY}"}),
    ("/v1/responses", {"input": f"{PYTHON} {CANARY}", "instructions": CANARY}),
    ("/v1/messages", {"messages": [user(f"{PYTHON} {CANARY}")], "system": CANARY, "max_tokens": 30}),
    ("/v1/audio/speech", {"input": CANARY, "voice": "any", "response_format": "wav"}),
]


@pytest.mark.parametrize(("path", "body"), CANARIES)
@pytest.mark.parametrize("named", [True, False], ids=["named session", "derived session"])
def test_nothing_that_was_said_is_kept(
    redis_router: Router, redis: RedisProcess, path: str, body: dict[str, Any], named: bool
) -> None:
    headers = {"X-Session-ID": a_session()} if named else {}
    for _ in range(2):
        response = redis_router.http.post(path, json={"model": "auto"} | body, headers=headers)
        assert response.status_code == 200, response.text
    session = response.headers["x-session-id"]
    if path != "/v1/audio/speech":
        assert redis.keys(session), "the session itself is kept"
    assert not [key for key in redis.keys(session) if ":h:" in key]
    assert CANARY not in everything_in(redis)
    assert CANARY not in redis_router.http.get("/metrics").text


def test_every_key_in_redis_has_an_end(redis_router: Router, redis: RedisProcess) -> None:
    session = a_session()
    redis_router.chatted(PYTHON, session=session)
    redis_router.post("/v1/responses", {"model": "auto", "input": PYTHON}, session=session)
    assert all(life > 0 for life in redis.lives().values()), redis.lives()


def test_a_first_turn_that_the_model_server_refused_leaves_no_session(router: Router, models: Models) -> None:
    session = a_session()
    models.agent.fail("error-500")
    assert router.chat(PYTHON, session=session).status_code >= 500
    assert not router.knows(session)
    models.agent.reset()
    assert bypassed(router.chat(PYTHON, session=session)) == ("agent", "classified", "false")


def test_going_back_to_the_code_finds_its_lane(router: Router, models: Models) -> None:
    session = a_session()
    router.chatted(PYTHON, session=session)
    router.chatted("Hello there", session=session, model=AUDIO)
    router.chatted(PYTHON, session=session, model=AGENT)
    record = router.session(session)
    assert (record["model_id"], record["endpoint"]) == (AGENT, models.agent.url)
    assert len(record["lanes"]) == 2


def test_requests_here_count_like_those_of_route(embedded_router: Router) -> None:
    before = embedded_router.get("/stats")
    session = a_session()
    embedded_router.chatted(PYTHON, session=session)
    embedded_router.chatted(FOLLOW_UP, session=session, stream=True)
    after = embedded_router.get("/stats")
    grown = {name: after[name] - before[name] for name in ("total_requests", "bypass_requests", "session_creations")}
    assert grown == {"total_requests": 2, "bypass_requests": 1, "session_creations": 1}


def test_tokens_are_counted_as_the_model_server_counts_them(embedded_router: Router) -> None:
    def counted() -> float:
        lines = embedded_router.http.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith("smart_router_tokens_total{"))

    before = counted()
    plain = embedded_router.chatted(PYTHON).json()["usage"]["total_tokens"]
    embedded_router.chatted(PYTHON, stream=True, stream_options={"include_usage": True})
    assert counted() - before == 2 * plain


def test_label_values_come_from_the_registry_not_from_clients(embedded_router: Router) -> None:
    planted = "planted-by-a-client"
    embedded_router.chat(planted, session=planted, user=planted)
    embedded_router.chat(PYTHON, model=planted)
    embedded_router.http.post(f"/v1/{planted}", json={})
    embedded_router.http.get(f"/v1/responses/{planted}")
    assert planted not in embedded_router.http.get("/metrics").text


def everything_in(redis: RedisProcess) -> str:
    """All keys and values, whatever their type."""
    with Redis(port=redis.port) as client:
        keys: list[bytes] = list(client.scan_iter(count=1000))
        return "\n".join(f"{key!r} {client.dump(key)!r} {_value(client, key)!r}" for key in keys)


def _value(client: "Redis", key: bytes) -> Any:
    """Read as what it is; a dump may be compressed."""
    match client.type(key):
        case b"hash":
            return client.hgetall(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1)
        case b"stream":
            return client.xrange(key)
        case _:
            return client.get(key)


def filled(fields: dict[str, Any], id: str) -> dict[str, Any]:
    return {
        name: id if value == "@" else filled(value, id) if isinstance(value, dict) else value
        for name, value in fields.items()
    }

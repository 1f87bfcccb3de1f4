"""Sessions that are listed, pinned to a use case, and classified at every turn: what a person asks of them."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from smart_router.access.keyfile import change_keys, new_entry

from .asking import ALOUD, FOLLOW_UP, PICTURE, PYTHON, a_picture, a_session, a_text, an_image, user
from .models import AGENT, AUDIO, MULTIMODAL, Models
from .redis_process import RedisProcess
from .routers import Router, a_client, a_registry, eventually, raw_exchange, running_router

pytestmark = pytest.mark.usefixtures("models")


MANY = 60  # callers: a key that is there from the start need not be waited for


@dataclass
class Door:
    """A router with a file of keys. Whoever comes with a new one has no session yet."""

    url: str
    keys: Iterator[str]
    writers: str  # is for agent and stt, and agent's model alone
    stack: ExitStack

    def caller(self, key: str | None = None) -> Router:
        http = self.stack.enter_context(a_client(self.url, Authorization=f"Bearer {key or next(self.keys)}"))
        return Router(self.url, http)


@pytest.fixture(scope="module", params=["embedded", "redis"])
def door(
    request: pytest.FixtureRequest, servers: Models, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Door]:
    """On each kind of store."""
    folder = tmp_path_factory.mktemp("choices")
    made = [new_entry("test", ["route"]) for _ in range(MANY)]
    writers, entry = new_entry("test", ["route"], use_cases=("agent", "stt"), models=(AGENT,))
    change_keys(folder / "keys.json", lambda _: [entry, *(entry for _, entry in made)])
    options: dict[str, Any] = {"redis_url": redis_url} if request.param == "redis" else {}
    registry = a_registry(folder, servers.endpoints)
    with ExitStack() as stack:
        router = stack.enter_context(running_router(registry, api_keys_file=folder / "keys.json", **options))
        yield Door(router.url, iter([key for key, _ in made]), writers, stack)


@pytest.fixture
def ann(door: Door) -> Router:
    return door.caller()


@pytest.fixture
def bob(door: Door) -> Router:
    return door.caller()


@pytest.fixture(scope="module")
def zoe(door: Door) -> Router:
    """She is refused all that she asks for, so tests may share her."""
    return door.caller()


@pytest.fixture(scope="module")
def zoes(zoe: Router, servers: Models) -> str:
    """Her session."""
    id = a_session()
    zoe.answer(PYTHON, session_id=id)
    return id


def ids(page: dict[str, Any]) -> list[str]:
    return [session["session_id"] for session in page["sessions"]]


def change(router: Router, id: str, **asked: Any) -> httpx2.Response:
    return router.http.patch(f"/sessions/{id}", json=asked)


def changed(router: Router, id: str, **asked: Any) -> dict[str, Any]:
    """The session afterwards."""
    response = change(router, id, **asked)
    assert response.status_code == 200, response.text
    session: dict[str, Any] = response.json()
    assert session == router.session(id)
    return session


def refused(response: httpx2.Response, status: int, code: str, *says: str) -> None:
    body = response.json()
    assert (response.status_code, body["success"], body["error_code"]) == (status, False, code), response.text
    assert all(part in body["error_message"] for part in says), response.text


# the list


def test_who_has_no_session_has_an_empty_list(ann: Router) -> None:
    assert ann.get("/sessions") == {"sessions": [], "next_cursor": None}


def test_the_list_shows_every_session_as_it_shows_itself_the_last_used_first(ann: Router) -> None:
    made = [a_session() for _ in range(3)]
    for id in made:
        ann.answer(PYTHON, session_id=id)
    ann.answer(FOLLOW_UP, session_id=made[0])
    page = ann.get("/sessions")
    assert ids(page) == [made[0], made[2], made[1]]
    assert page["sessions"] == [ann.session(id) for id in ids(page)]
    assert page["next_cursor"] is None


def test_pages_follow_one_another(ann: Router) -> None:
    made = [a_session() for _ in range(5)]
    for id in made:
        ann.chatted(PYTHON, session=id)
    found, path = [], "/sessions?limit=2"
    for _ in range(3):
        page = ann.get(path)
        assert len(page["sessions"]) <= 2
        found += ids(page)
        path = f"/sessions?limit=2&cursor={page['next_cursor']}"
    assert page["next_cursor"] is None
    assert found == made[::-1]


def test_ended_sessions_are_not_in_it(ann: Router) -> None:
    made = [a_session() for _ in range(3)]
    for id in made:
        ann.answer(PYTHON, session_id=id)
    ann.http.delete(f"/sessions/{made[1]}")
    assert ids(ann.get("/sessions")) == [made[2], made[0]]


def test_nobody_sees_anothers(ann: Router, bob: Router) -> None:
    theirs, same = [a_session() for _ in range(3)], a_session()
    for id in (*theirs, same):
        ann.answer(PYTHON, session_id=id)
    bob.answer(ALOUD, session_id=same)
    page = bob.get("/sessions")
    assert [(session["session_id"], session["use_case"]) for session in page["sessions"]] == [(same, "tts")]
    cursor = ann.get("/sessions?limit=1")["next_cursor"]
    assert set(ids(bob.get(f"/sessions?cursor={cursor}"))) <= {same}


@pytest.mark.parametrize("limit", ["0", "-1", "201", "1e9", "many", "", "5.5", "99999999999999999999"])
def test_a_limit_that_is_none_is_told_what_is_right(zoe: Router, limit: str) -> None:
    response = zoe.http.get("/sessions", params={"limit": limit})
    refused(response, 400, "bad_request", "limit", "1" if limit in ("0", "-1") else "")


@pytest.mark.parametrize(
    "cursor",
    ["x", "", "null", "-", "é", "AAAA", "MTIz", "OS5h" * 200, "MTIzNDU2Nzg5MDEyMzQ1Njc4LmE", "LmE", "%00", "a b"],
)
def test_a_cursor_that_is_none_is_told_what_is_right(zoe: Router, cursor: str) -> None:
    response = zoe.http.get("/sessions", params={"cursor": cursor})
    refused(response, 400, "bad_request", "cursor: is none of ours", "next_cursor")


def test_no_other_way_is_taken_to_the_list(zoe: Router) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        response = zoe.http.request(method, "/sessions")
        assert (response.status_code, response.json()["error_code"]) == (405, "method_not_allowed")


# pinned


def test_every_later_turn_of_a_pinned_session_is_for_its_use_case(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    pinned = changed(ann, id, use_case="tts")
    assert (pinned["use_case"], pinned["model_id"], pinned["endpoint"], pinned["pinned"]) == ("tts", AUDIO, "", True)
    first, second = (ann.answer(query, session_id=id) for query in (FOLLOW_UP, PYTHON))
    assert (first["use_case"], first["selected_model"], first["reason"]) == ("tts", AUDIO, "session")
    assert (first["bypass_used"], first["context_changed"], first["confidence"]) == (True, True, 1.0)
    assert (second["use_case"], second["reason"], second["context_changed"]) == ("tts", "session", False)
    assert ann.session(id)["endpoint"] != ""


def test_a_session_is_pinned_on_every_path(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    changed(ann, id, use_case="tts")
    assert ann.chatted(PYTHON, session=id).headers["x-route-use-case"] == "tts"
    anthropic = {"model": "auto", "max_tokens": 9, "messages": [user(PYTHON)]}
    assert ann.post("/v1/messages", anthropic, session=id).headers["x-route-use-case"] == "tts"
    stream = ann.route(PYTHON, session_id=id, stream=True)
    assert (stream.headers["x-route-use-case"], stream.headers["x-route-reason"]) == ("tts", "session")


def test_the_decision_alone_sees_the_pin(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    changed(ann, id, use_case="tts")
    told = ann.classify(PYTHON, session_id=id).json()
    assert (told["use_case"], told["reason"], told["because"]["session_prior"]) == ("tts", "session", "agent")
    assert "pinned" in told["because"]["note"]
    assert told["scores"]


def test_what_a_request_names_wins_for_its_turn(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    changed(ann, id, use_case="tts")
    named = ann.answer(PYTHON, session_id=id, use_case="agent")
    assert (named["use_case"], named["reason"]) == ("agent", "explicit")
    by_model = ann.chat(PYTHON, session=id, model=AGENT)
    assert (by_model.headers["x-route-model"], by_model.headers["x-route-reason"]) == (AGENT, "explicit")
    assert (ann.session(id)["use_case"], ann.session(id)["pinned"]) == ("tts", True)
    assert ann.answer(PYTHON, session_id=id)["use_case"] == "tts"


def test_an_unpinned_session_is_decided_on_again(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    changed(ann, id, use_case="agent")
    assert ann.answer(ALOUD, session_id=id)["use_case"] == "agent"
    assert changed(ann, id, use_case=None)["pinned"] is False
    answer = ann.answer(ALOUD, session_id=id)
    assert (answer["use_case"], answer["reason"]) == ("tts", "switched")


def test_a_picture_that_the_pinned_use_case_does_not_take_is_refused_with_what_to_do(
    ann: Router, models: Models
) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    changed(ann, id, use_case="agent")
    before = models.requests()
    says = ("pinned to agent", "does not take image", f"PATCH /sessions/{id}", '{"use_case": null}')
    refused(ann.route(PICTURE, session_id=id, attachments=[an_image()]), 400, "bad_request", *says)
    refused(ann.classify(PICTURE, session_id=id, attachments=[an_image()]), 400, "bad_request", *says)
    chat = ann.chat([user(a_text(PICTURE), a_picture())], session=id)
    assert chat.status_code == 400
    assert "pinned to agent" in chat.json()["error"]["message"]
    assert models.requests() == before
    named = ann.answer(PICTURE, session_id=id, attachments=[an_image()], use_case="multimodal")
    assert named["use_case"] == "multimodal"


def test_a_picture_that_it_takes_stays_with_it(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    changed(ann, id, use_case="video")
    answer = ann.answer(PICTURE, session_id=id, attachments=[an_image()])
    assert (answer["use_case"], answer["selected_model"]) == ("video", MULTIMODAL)


def test_a_key_may_pin_only_to_what_it_is_for(door: Door) -> None:
    writer = door.caller(door.writers)
    id = a_session()
    writer.answer(PYTHON, session_id=id, use_case="agent")
    before = writer.session(id)
    refused(change(writer, id, use_case="tts"), 403, "forbidden", "not for tts; it is for agent")
    refused(change(writer, id, use_case="stt", bypass_enabled=False), 403, "forbidden", f"not for {AUDIO}")
    assert writer.session(id) == before
    assert changed(writer, id, use_case="agent")["pinned"] is True


# bypass


def test_a_session_whose_bypass_is_off_is_classified_at_every_turn(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    assert changed(ann, id, bypass_enabled=False)["bypass_enabled"] is False
    for _ in range(2):
        answer = ann.answer(FOLLOW_UP, session_id=id)
        assert (answer["use_case"], answer["bypass_used"]) == ("agent", False)
    assert ann.chatted(FOLLOW_UP, session=id).headers["x-route-bypass"] == "false"
    assert ann.classify(FOLLOW_UP, session_id=id).json()["bypass_used"] is False
    assert changed(ann, id, bypass_enabled=True)["bypass_enabled"] is True
    assert ann.answer(FOLLOW_UP, session_id=id)["bypass_used"] is True


def test_both_may_be_asked_for_at_once_and_each_stays_as_it_was(ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    both = changed(ann, id, use_case="tts", bypass_enabled=False)
    assert (both["pinned"], both["bypass_enabled"]) == (True, False)
    answer = ann.answer(PYTHON, session_id=id)
    assert (answer["use_case"], answer["reason"], answer["bypass_used"]) == ("tts", "session", False)
    assert changed(ann, id, use_case=None)["bypass_enabled"] is False
    assert changed(ann, id, bypass_enabled=True)["pinned"] is False


def test_where_every_turn_is_classified_a_session_may_ask_for_bypass(servers: Models, tmp_path: Path) -> None:
    with running_router(a_registry(tmp_path, servers.endpoints), routing_mode="standard") as router:
        id = a_session()
        router.answer(PYTHON, session_id=id)
        assert router.session(id)["bypass_enabled"] is False
        assert router.answer(FOLLOW_UP, session_id=id)["bypass_used"] is False
        assert changed(router, id, bypass_enabled=True)["bypass_enabled"] is True
        assert router.answer(FOLLOW_UP, session_id=id)["bypass_used"] is True


# bad input


BAD: list[tuple[bytes, str]] = [
    (b"", "not JSON"),
    (b"{", "not JSON"),
    (b"\xff", "not JSON"),
    (b"[" * 4000, "must be an object"),
    (b"{}", "asks for nothing"),
    (b"[]", "must be an object"),
    (b"null", "must be an object"),
    (b'{"usecase": "agent"}', "`usecase`"),
    (b'{"pinned": true}', "the fields are use_case, bypass_enabled"),
    (b'{"use_case": "agent", "extra": 1}', "`extra`"),
    (b'{"use_case": 5}', "use_case: must be a text or null"),
    (b'{"use_case": ["agent"]}', "use_case: "),
    (b'{"bypass_enabled": null}', "bypass_enabled: must be true or false"),
    (b'{"bypass_enabled": 1}', "bypass_enabled: "),
    (b'{"bypass_enabled": "false"}', "bypass_enabled: "),
]


@pytest.mark.parametrize(("body", "says"), BAD)
def test_what_is_no_change_is_told_what_is_right(zoe: Router, zoes: str, body: bytes, says: str) -> None:
    before = zoe.session(zoes)
    response = zoe.http.patch(f"/sessions/{zoes}", content=body, headers={"Content-Type": "application/json"})
    refused(response, 400, "bad_request", says)
    assert zoe.session(zoes) == before


@pytest.mark.parametrize("use_case", ["agnt", "", "auto", AGENT, "x" * 3000, "é\n"])
def test_an_unknown_use_case_is_told_with_the_known_ones(zoe: Router, zoes: str, use_case: str) -> None:
    refused(change(zoe, zoes, use_case=use_case), 404, "unknown_use_case", "there are agent,")
    assert zoe.session(zoes)["pinned"] is False


@pytest.mark.parametrize(
    "asked", [{"use_case": "tts"}, {"use_case": None}, {"bypass_enabled": False}, {"use_case": "?"}]
)
def test_an_unknown_session_is_not_found(zoe: Router, asked: dict[str, Any]) -> None:
    refused(change(zoe, a_session(), **asked), 404, "unknown_session", "it may have expired")


def test_too_much_is_too_much(zoe: Router) -> None:
    refused(change(zoe, a_session(), use_case="x" * 5000), 413, "body_too_large", "4096")


def test_only_json_is_taken(zoe: Router) -> None:
    path = f"/sessions/{a_session()}"
    form = zoe.http.patch(path, content=b"use_case=tts", headers={"Content-Type": "application/x-www-form-urlencoded"})
    refused(form, 415, "unsupported_media_type", "application/json")
    packed = zoe.http.patch(
        path, content=b"x", headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
    )
    refused(packed, 415, "unsupported_media_type", "uncompressed")


def test_a_body_that_does_not_come_is_not_waited_for_for_ever(servers: Models, tmp_path: Path) -> None:
    head = b"PATCH /sessions/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nConnection: close\r\n\r\n"
    with running_router(a_registry(tmp_path, servers.endpoints), body_timeout=0.2) as router:
        told = raw_exchange(router, head, b'{"use_')
    assert told.startswith(b"HTTP/1.1 400 ")
    assert b"the body did not arrive within 0.2 s" in told


# races, and Redis away


async def test_a_pin_is_not_lost_among_racing_turns(door: Door, ann: Router) -> None:
    id = a_session()
    ann.answer(PYTHON, session_id=id)
    headers = {"Authorization": ann.http.headers["Authorization"]}
    async with httpx2.AsyncClient(base_url=door.url, headers=headers, timeout=40, trust_env=False) as http:
        queries = [PYTHON, ALOUD] * 10
        turns = [http.post("/route", json={"query": query, "session_id": id}) for query in queries]
        pin = http.patch(f"/sessions/{id}", json={"use_case": "stt"})
        answers = await asyncio.gather(*turns[:10], pin, *turns[10:])
    assert {answer.status_code for answer in answers} == {200}
    assert (ann.session(id)["use_case"], ann.session(id)["pinned"]) == ("stt", True)
    assert ann.answer(PYTHON, session_id=id)["use_case"] == "stt"


def test_what_is_asked_while_redis_is_away_holds_and_is_written_back(servers: Models, tmp_path: Path) -> None:
    store = RedisProcess()
    store.start()
    try:
        registry = a_registry(tmp_path, servers.endpoints)
        with running_router(registry, redis_url=store.url, redis_timeout_ms=200) as router:
            old, new = a_session(), a_session()
            router.answer(PYTHON, session_id=old)
            store.stop()
            router.answer(PYTHON, session_id=new)
            for id in (old, new):
                assert changed(router, id, use_case="tts", bypass_enabled=False)["pinned"] is True
                assert router.answer(PYTHON, session_id=id)["use_case"] == "tts"
            assert ids(router.get("/sessions"))[:2] == [new, old]
            refused(change(router, a_session(), use_case="tts"), 404, "unknown_session")
            store.start()
            eventually(router, "/health", "bypass_router", "connected")
            for id in (old, new):
                assert router.answer(PYTHON, session_id=id)["use_case"] == "tts"
        with running_router(registry, redis_url=store.url) as another:
            for id in (old, new):
                session = another.session(id)
                assert (session["use_case"], session["pinned"], session["bypass_enabled"]) == ("tts", True, False)
                assert another.answer(PYTHON, session_id=id)["use_case"] == "tts"
            assert set(ids(another.get("/sessions"))) == {old, new}
    finally:
        store.stop()

"""Sessions: what a conversation keeps, what it shows of itself, and how it ends."""

import asyncio
import re
import time
import uuid
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from .asking import FOLLOW_UP, PICTURE, PYTHON, a_png, a_session, an_image, joined, read_events
from .models import AGENT, MULTIMODAL, Models, parts, texts
from .redis_process import RedisProcess
from .routers import Router

RACERS = 50


def test_the_guides_conversation(router: Router, models: Models) -> None:
    """Classified, then bypassed with its history, then moved by a picture."""
    session = a_session()

    first = router.answer(PYTHON, session_id=session)
    assert (first["use_case"], first["reason"], first["selected_model"]) == ("agent", "classified", AGENT)
    assert (first["bypass_used"], first["new_session"], first["context_changed"]) == (False, True, False)
    assert texts(models.agent.received()[-1]) == [("user", PYTHON)]

    second = router.answer(FOLLOW_UP, session_id=session)
    assert (second["use_case"], second["reason"], second["selected_model"]) == ("agent", "session", AGENT)
    assert (second["bypass_used"], second["new_session"], second["context_changed"]) == (True, False, False)
    told = [("user", PYTHON), ("assistant", first["result"]), ("user", FOLLOW_UP)]
    assert texts(models.agent.received()[-1]) == told

    third = router.answer(PICTURE, session_id=session, attachments=[an_image()])
    assert (third["use_case"], third["reason"], third["selected_model"]) == ("multimodal", "modality", MULTIMODAL)
    assert (third["bypass_used"], third["new_session"], third["context_changed"]) == (False, False, True)
    (part,) = parts(models.multimodal.received()[-1], "image_url")
    assert part["image_url"]["url"] == f"data:image/png;base64,{a_png()}"
    assert texts(models.multimodal.received()[-1])[-1] == ("user", PICTURE)


def test_a_follow_up_about_the_picture_stays_with_it(router: Router) -> None:
    session = a_session()
    router.answer(PICTURE, session_id=session, attachments=[an_image()])
    answer = router.answer("And what colour is it?", session_id=session)
    assert (answer["use_case"], answer["bypass_used"]) == ("multimodal", True)


def test_another_use_case_called_for_in_words_moves_the_conversation(router: Router) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session)
    answer = router.answer("Read this text aloud in a warm female voice: good evening", session_id=session)
    assert (answer["use_case"], answer["reason"], answer["context_changed"]) == ("tts", "switched", True)
    assert answer["bypass_used"] is False


def test_going_back_to_the_code_finds_its_lane(router: Router) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session)
    router.answer(PICTURE, session_id=session, attachments=[an_image()])
    answer = router.answer("Now write a unit test in Python for the sort function", session_id=session)
    assert answer["use_case"] == "agent"
    assert answer["context_changed"] is True
    assert len(router.session(session)["lanes"]) == 2


def test_the_confidence_of_a_bypass_is_a_probability(router: Router) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session)
    answer = router.answer(FOLLOW_UP, session_id=session)
    assert isinstance(answer["confidence"], float)
    assert 0 <= answer["confidence"] <= 1


def test_a_session_shows_itself(router: Router, models: Models) -> None:
    id = a_session()
    before = datetime.now(UTC) - timedelta(seconds=1)
    answer = router.answer(PYTHON, session_id=id)
    session = router.session(id)
    assert session.keys() >= {
        *("session_id", "use_case", "model_id", "endpoint", "confidence", "request_count"),
        *("created_at", "last_accessed", "bypass_enabled", "lanes"),
    }
    assert (session["session_id"], session["use_case"], session["model_id"]) == (id, "agent", AGENT)
    assert session["endpoint"] == models.agent.url
    assert session["confidence"] == pytest.approx(answer["confidence"], abs=0.001)
    assert session["request_count"] == 1
    assert session["bypass_enabled"] is True
    assert len(session["lanes"]) == 1
    for field in ("created_at", "last_accessed"):
        moment = datetime.fromisoformat(session[field])
        assert moment.tzinfo is not None
        assert before <= moment <= datetime.now(UTC) + timedelta(seconds=1)


def test_every_turn_counts_and_touches_the_session(router: Router) -> None:
    id = a_session()
    router.answer(PYTHON, session_id=id)
    first = router.session(id)
    time.sleep(0.01)
    for _ in range(3):
        router.answer(FOLLOW_UP, session_id=id)
    last = router.session(id)
    assert last["request_count"] == 4
    assert last["created_at"] == first["created_at"]
    assert datetime.fromisoformat(last["last_accessed"]) > datetime.fromisoformat(first["last_accessed"])


def test_looking_at_a_session_is_not_a_turn(router: Router) -> None:
    id = a_session()
    router.answer(PYTHON, session_id=id)
    assert router.session(id) == router.session(id)


def test_ending_a_session_ends_it(router: Router, models: Models) -> None:
    id = a_session()
    router.answer(PYTHON, session_id=id)
    response = router.http.delete(f"/sessions/{id}")
    assert response.status_code == 200
    assert response.json() == {"success": True, "message": f"Session {id} ended"}
    assert not router.knows(id)
    answer = router.answer(FOLLOW_UP, session_id=id)
    assert (answer["new_session"], answer["bypass_used"]) == (True, False)
    assert texts(models.agent.received()[-1]) == [("user", FOLLOW_UP)]


def test_an_ended_session_leaves_nothing_in_redis(redis_router: Router, redis: RedisProcess) -> None:
    id = a_session()
    redis_router.answer(PYTHON, session_id=id)
    assert redis.keys(id)
    redis_router.http.delete(f"/sessions/{id}")
    assert not redis.keys(id)


def test_every_key_in_redis_has_an_end(redis_router: Router, redis: RedisProcess) -> None:
    id = a_session()
    redis_router.answer(PYTHON, session_id=id)
    redis_router.answer(PICTURE, session_id=id, attachments=[an_image()])
    of_session = {key: life for key, life in redis.lives().items() if id in key}
    assert len(of_session) == 2
    assert all(re.fullmatch(r"sr:\{[^}]+\}:[sh]:" + id, key) for key in of_session)
    assert all(0 < life <= 1_800_000 for life in of_session.values())


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_session_is_not_found(router: Router, method: str) -> None:
    response = router.http.request(method, f"/sessions/{a_session()}")
    assert response.status_code == 404
    body = response.json()
    assert body["success"] is False
    assert "session" in body["error_message"].lower()
    assert body["error_code"]
    assert body["request_id"]


def test_an_ended_session_looks_like_one_that_never_was(router: Router) -> None:
    id = a_session()
    never = router.http.get(f"/sessions/{id}").json()
    router.answer(PYTHON, session_id=id)
    router.http.delete(f"/sessions/{id}")
    ended = router.http.get(f"/sessions/{id}").json()
    assert never | {"request_id": ""} == ended | {"request_id": ""}
    again = router.http.delete(f"/sessions/{id}")
    assert again.status_code == 404


@pytest.mark.parametrize("id", ["a%20b", "%0d%0aX-Evil: 1", "%00", "%ff", "ü", "x" * 129, "a%2fb", "..%2fstats"])
def test_an_odd_session_id_in_the_path_is_a_4xx(router: Router, id: str) -> None:
    for method in ("GET", "DELETE"):
        response = router.http.request(method, f"/sessions/{id}")
        assert response.status_code in (400, 404)
        assert response.json()["success"] is False
        assert "x-evil" not in response.headers


def test_the_session_id_may_come_in_a_header(router: Router) -> None:
    id = a_session()
    first = router.http.post("/route", json={"query": PYTHON}, headers={"X-Session-ID": id})
    assert first.json()["session_id"] == first.headers["x-session-id"] == id
    second = router.answer(FOLLOW_UP, session_id=id)
    assert second["bypass_used"] is True


def test_without_a_session_id_the_router_makes_one(router: Router) -> None:
    first, second = router.answer(PYTHON), router.answer(PYTHON)
    assert first["session_id"] != second["session_id"]
    assert first["new_session"] is second["new_session"] is True
    assert len(first["session_id"]) >= 16
    follow_up = router.answer(FOLLOW_UP, session_id=first["session_id"])
    assert (follow_up["new_session"], follow_up["bypass_used"]) == (False, True)


@pytest.mark.parametrize("id", ["x", "a.b-c_d:e", str(uuid.uuid4())])
def test_ordinary_session_ids_are_kept_as_they_are(router: Router, id: str) -> None:
    router.http.delete(f"/sessions/{id}")
    assert router.answer(PYTHON, session_id=id)["session_id"] == id
    assert router.session(id)["session_id"] == id


def test_a_session_id_may_have_128_characters(router: Router) -> None:
    id = a_session().ljust(128, "x")
    assert router.answer(PYTHON, session_id=id)["session_id"] == id
    assert router.session(id)["session_id"] == id


def test_sessions_do_not_hear_of_one_another(router: Router, models: Models) -> None:
    router.answer("My secret word is xylophone. Write a poem in Python", session_id=a_session(), use_case="agent")
    router.answer(FOLLOW_UP, session_id=a_session(), use_case="agent")
    assert texts(models.agent.received()[-1]) == [("user", FOLLOW_UP)]


def test_a_turn_not_to_be_remembered_is_not(router: Router, models: Models) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session)
    router.answer("My password is xylophone, do not tell", session_id=session, use_case="agent", remember=False)
    answer = router.answer(FOLLOW_UP, session_id=session)
    assert answer["bypass_used"] is True
    told = texts(models.agent.received()[-1])
    assert [role for role, _ in told] == ["user", "assistant", "user"]
    assert "xylophone" not in str(told)


def test_a_first_turn_not_to_be_remembered_still_opens_the_session(router: Router, models: Models) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session, remember=False)
    answer = router.answer(FOLLOW_UP, session_id=session)
    assert (answer["new_session"], answer["bypass_used"]) == (False, True)
    assert texts(models.agent.received()[-1]) == [("user", FOLLOW_UP)]


def test_a_turn_not_to_be_remembered_leaves_no_words_in_redis(redis_router: Router, redis: RedisProcess) -> None:
    session = a_session()
    redis_router.answer(PYTHON, session_id=session, remember=False)
    assert not [key for key in redis.keys(session) if ":h:" in key]


def test_memory_is_the_last_turns_in_order(router: Router, models: Models) -> None:
    session = a_session()
    for number in range(13):
        router.answer(f"Write line number {number} of the Python program", session_id=session, use_case="agent")
    told = texts(models.agent.received()[-1])
    asked = [text for role, text in told if role == "user"]
    assert asked == [f"Write line number {number} of the Python program" for number in range(2, 13)]
    assert [role for role, _ in told] == ["user", "assistant"] * 10 + ["user"]


def test_an_explicit_choice_becomes_the_sessions(router: Router) -> None:
    session = a_session()
    first = router.answer("Hello there", session_id=session, use_case="avatar")
    assert (first["use_case"], first["reason"], first["bypass_used"]) == ("avatar", "explicit", False)
    second = router.answer("Yes please", session_id=session)
    assert (second["use_case"], second["reason"], second["bypass_used"]) == ("avatar", "session", True)


def test_an_explicit_choice_moves_the_session(router: Router) -> None:
    session = a_session()
    router.answer(PYTHON, session_id=session)
    answer = router.answer(FOLLOW_UP, session_id=session, use_case="multimodal")
    assert (answer["use_case"], answer["reason"], answer["context_changed"]) == ("multimodal", "explicit", True)
    assert router.session(session)["use_case"] == "multimodal"


async def test_racing_first_turns_agree_on_one_pin(router: Router, models: Models) -> None:
    """Half of them code, half speech: whichever came first, the session is of one use case afterwards."""
    id = a_session()
    speech = "Read this text aloud in a warm female voice"
    async with httpx2.AsyncClient(base_url=router.url, timeout=20, trust_env=False) as http:
        queries = [PYTHON, speech] * (RACERS // 2)
        bodies = [{"query": query, "session_id": id} for query in queries]
        answers = await asyncio.gather(*(http.post("/route", json=body) for body in bodies))
    assert [answer.status_code for answer in answers] == [200] * RACERS
    session = router.session(id)
    assert session["request_count"] == RACERS
    assert sum(answer.json()["new_session"] for answer in answers) >= 1
    chosen = {"agent": models.agent, "tts": models.audio}[session["use_case"]]
    assert (session["model_id"], session["endpoint"]) == (chosen.id, chosen.url)


async def test_racing_first_turns_are_one_new_session(router: Router) -> None:
    id = a_session()
    before = router.get("/stats")["session_creations"]
    async with httpx2.AsyncClient(base_url=router.url, timeout=20, trust_env=False) as http:
        body = {"query": PYTHON, "session_id": id}
        answers = await asyncio.gather(*(http.post("/route", json=body) for _ in range(RACERS)))
    assert {answer.json()["use_case"] for answer in answers} == {"agent"}
    session = router.session(id)
    assert (session["use_case"], session["model_id"], session["request_count"]) == ("agent", AGENT, RACERS)
    assert router.get("/stats")["session_creations"] - before == 1


def test_a_first_turn_that_the_model_refused_leaves_no_session(router: Router, models: Models) -> None:
    id = a_session()
    models.agent.fail("error-500")
    assert router.route(PYTHON, session_id=id).status_code == 502
    assert not router.knows(id)
    models.agent.reset()
    answer = router.answer(PYTHON, session_id=id)
    assert (answer["new_session"], answer["bypass_used"]) == (True, False)
    assert texts(models.agent.received()[-1]) == [("user", PYTHON)]


def test_a_change_that_the_model_refused_leaves_the_session_where_it_was(router: Router, models: Models) -> None:
    id = a_session()
    first = router.answer(PYTHON, session_id=id)
    before = router.session(id)
    models.multimodal.fail("error-500")
    assert router.route(PICTURE, session_id=id, attachments=[an_image()]).status_code == 502
    after = router.session(id)
    kept = ("use_case", "model_id", "endpoint", "confidence", "lanes", "created_at")
    assert {field: after[field] for field in kept} == {field: before[field] for field in kept}
    answer = router.answer(FOLLOW_UP, session_id=id)
    assert (answer["use_case"], answer["bypass_used"]) == ("agent", True)
    told = [("user", PYTHON), ("assistant", first["result"]), ("user", FOLLOW_UP)]
    assert texts(models.agent.received()[-1]) == told


def test_a_stream_that_broke_is_not_remembered_as_an_answer(router: Router, models: Models) -> None:
    id = a_session()
    first = joined(read_events(router.route(PYTHON, session_id=id, stream=True).text.split("\n")))
    models.agent.fail("reset-mid-stream", count=1)
    router.route("Make it faster please", session_id=id, stream=True)
    router.answer(FOLLOW_UP, session_id=id)
    told = [("user", PYTHON), ("assistant", first), ("user", FOLLOW_UP)]
    assert texts(models.agent.received()[-1]) == told

"""The router in one process: why a turn went where it went, and what it knows of the turn before."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.access.keyring import ANYBODY, KeyRing
from smart_router.api.asgi import Handler
from smart_router.api.auth import Door
from smart_router.api.openai import OpenAIApi
from smart_router.api.route import RouteApi
from smart_router.api.visit import Desk
from smart_router.app import _with_cors
from smart_router.chooser import Chooser
from smart_router.classify.base import Query
from smart_router.front import Front
from smart_router.observe.metrics import Metrics
from smart_router.observe.stats import Stats, report
from smart_router.opening import Opener
from smart_router.pipeline import Pipeline, standing_of
from smart_router.registry import Registry
from smart_router.sessions.base import Key, Limits, Pin, Steering
from smart_router.sessions.memory import EmbeddedStore
from smart_router.shadow import Shadow
from smart_router.types import Lane, Usage
from smart_router.upstream import KINDS
from smart_router.upstream.base import Answer, Call, Forward, Forwarded, Piece
from smart_router.upstream.fleet import Fleet
from tests.choosing import REGISTRY, FakeClassifier
from tests.fakes import (
    PIXEL,
    FakeAnswer,
    FakeUpstream,
    a_lane,
    a_model,
    a_registry,
    a_session,
    a_use_case,
    settings,
)

pytestmark = pytest.mark.usefixtures("bare_environment")

FIRST, FOLLOW_UP, SWITCH = "Write a haiku", "and now shorter", "please transcribe the recording"
AN_IMAGE = {"type": "image", "data": PIXEL, "media_type": "image/png"}
DEBUG = {"X-Route-Debug": "1"}


class PassedBack:
    """A whole answer, of a request that was passed on."""

    status = 200
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"application/json"),)
    events = False
    usage = Usage()
    response_id: str | None = None
    complete = False

    async def chunk(self) -> bytes:
        self.complete = True
        return b'{"choices": []}'

    def close(self) -> None: ...


class Servers(FakeUpstream):
    """Answer everything."""

    async def open(self, call: Call, endpoint: str, within_s: float = inf) -> Answer:
        return FakeAnswer(Piece("An answer"), Piece(usage=Usage(5, 2), finish_reason="stop"))

    async def forward(self, forward: Forward, endpoint: str, within_s: float = inf) -> Forwarded:
        return PassedBack()


@dataclass
class Answered:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def because(self) -> Any:
        """What the header says."""
        return json.loads(self.headers["x-route-because"])


class Router:
    """Everything that a request meets but the socket, with a scripted classifier and servers that answer."""

    def __init__(self, share: float = 0.0, registry: Registry = REGISTRY, **changed: Any) -> None:
        chosen = settings(**changed)
        self.classifier, self.store, self.stats = FakeClassifier(), EmbeddedStore(Limits()), Stats()
        metrics, fleet = Metrics(), Fleet(registry, chosen)
        every_turn = Chooser(registry, self.classifier, settings(routing_mode="standard"))
        self.shadow = Shadow(every_turn, metrics, self.stats, share)
        chooser, opener = Chooser(registry, self.classifier, chosen), Opener(fleet, chosen, metrics)
        pipeline = Pipeline(chosen, chooser, self.store, fleet, opener, metrics, (self.stats,), self.shadow)
        desk = Desk(Door(KeyRing(chosen, registry.use_cases, registry.models)), chosen, (self.stats,))
        ours, openai = RouteApi(pipeline, desk, registry), OpenAIApi(pipeline, desk, registry)
        self.front = Front({"/route": ours.route, "/classify": ours.classify}, openai, {})
        self.handler: Handler = self.front

    async def post(self, path: str, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answered:
        raw, answered, asked = json.dumps(body).encode(), Answered(), False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()  # the client stays
            asked = True
            return {"type": "http.request", "body": raw}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.status = message["status"]
                answered.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            answered.body += message.get("body", b"")

        given = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
        scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": given}
        await self.handler(scope, receive, send)
        return answered

    async def route(self, query: str, headers: Mapping[str, str] | None = None, **fields: Any) -> Answered:
        return await self.post("/route", {"query": query, "session_id": "s1"} | fields, headers)

    async def classify(self, query: str, headers: Mapping[str, str] | None = None, **fields: Any) -> Answered:
        return await self.post("/classify", {"query": query, "session_id": "s1"} | fields, headers)

    async def chat(self, *said: str, headers: Mapping[str, str] | None = None, **fields: Any) -> Answered:
        """The user's turns, each but the last with an answer."""
        messages: list[dict[str, Any]] = [{"role": "user", "content": said[0]}]
        for text in said[1:]:
            messages += [{"role": "assistant", "content": "An answer"}, {"role": "user", "content": text}]
        return await self.post("/v1/chat/completions", {"model": "auto", "messages": messages} | fields, headers)

    @property
    def seen(self) -> Query:
        """By the guard, last."""
        return self.classifier.guarded[-1]


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "vllm", lambda *_: Servers())


@pytest_asyncio.fixture
async def router(servers: None) -> AsyncIterator[Router]:
    found = Router()
    yield found
    await found.shadow.close()


# the debug header


async def test_who_asks_for_it_is_told_why(router: Router) -> None:
    found = await router.route(SWITCH, DEBUG)
    assert found.because == {
        "scores": {"agent": 0.03, "multimodal": 0.02, "stt": 0.95},
        "because": {"hint": [], "guard_cues": {}, "session_prior": None, "conflict": None, "note": ""},
    }


async def test_a_bypass_is_explained_by_the_session_and_has_no_scores(router: Router) -> None:
    await router.route(FIRST)
    found = await router.route("why?", DEBUG)
    assert found.headers["x-route-bypass"] == "true"
    assert (found.because["scores"], found.because["because"]["session_prior"]) == ({}, "agent")
    assert "answers" in found.because["because"]["note"]


async def test_an_alarm_is_explained_by_its_cues(router: Router) -> None:
    await router.route(FIRST)
    found = await router.route(SWITCH, DEBUG)
    assert found.json["reason"] == "switched"
    assert found.because["because"]["guard_cues"] == {"multimodal": 0.02, "stt": 0.95}


async def test_a_conflict_of_hint_and_text_is_told_on_both_paths(router: Router) -> None:
    routed = await router.route(SWITCH, DEBUG, attachments=[AN_IMAGE])
    classified = await router.classify(SWITCH, attachments=[AN_IMAGE])
    assert routed.json["use_case"] == classified.json["use_case"] == "multimodal"
    for because in (routed.because["because"], classified.json["because"]):
        assert (because["hint"], because["conflict"]) == (["image"], "stt")


async def test_a_stream_says_it_in_its_head(router: Router) -> None:
    found = await router.route(SWITCH, DEBUG, stream=True)
    assert found.headers["content-type"].startswith("text/event-stream")
    assert found.because["scores"]["stt"] == 0.95


async def test_a_request_that_is_passed_on_is_explained_too(router: Router) -> None:
    found = await router.chat(SWITCH, headers=DEBUG)
    assert (found.status, found.body) == (200, b'{"choices": []}')
    assert found.because["scores"]["stt"] == 0.95


@pytest.mark.parametrize("value", ["1", "true", "TRUE", "yes"])
async def test_it_may_be_asked_for_in_other_words(router: Router, value: str) -> None:
    assert (await router.route(FIRST, {"X-Route-Debug": value})).because


@pytest.mark.parametrize("headers", [{}, {"X-Route-Debug": "0"}, {"X-Route-Debug": "false"}, {"X-Route-Debug": ""}])
async def test_who_does_not_ask_is_not_told(router: Router, headers: dict[str, str]) -> None:
    for found in (await router.route(FIRST, headers), await router.chat(FIRST, headers=headers)):
        assert found.status == 200
        assert "x-route-because" not in found.headers


async def test_what_was_said_is_not_in_the_explanation(router: Router) -> None:
    await router.route(FIRST)
    told = (await router.route(SWITCH, DEBUG)).headers["x-route-because"]
    assert not any(word in told for word in ("haiku", "recording"))


async def test_a_page_of_another_origin_may_read_it(router: Router) -> None:
    router.handler = _with_cors(router.front, settings(cors_origins=("https://a.example",)))
    found = await router.route(FIRST, DEBUG | {"Origin": "https://a.example"})
    assert "x-route-because" in found.headers
    assert "x-route-because" in found.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize("listed", [(), ("https://a.example",)])
@pytest.mark.parametrize("origin", ["https://b.example", "http://a.example", "https://a.example.evil", "null"])
async def test_a_page_of_an_origin_that_is_not_listed_may_not(
    router: Router, listed: tuple[str, ...], origin: str
) -> None:
    router.handler = _with_cors(router.front, settings(cors_origins=listed))
    found = await router.route(FIRST, {"Origin": origin})
    assert "access-control-allow-origin" not in found.headers
    assert "access-control-allow-credentials" not in found.headers


# what was said before


async def test_the_classifier_hears_what_the_session_remembers(router: Router) -> None:
    await router.route(FIRST)
    await router.route(FOLLOW_UP)
    assert router.seen == Query(FOLLOW_UP, (), "agent", FIRST)
    await router.route(SWITCH)
    assert router.seen == Query(SWITCH, (), "agent", FOLLOW_UP)


async def test_asking_where_a_turn_would_go_sees_what_the_turn_itself_would_see(router: Router) -> None:
    await router.route(FIRST)
    await router.classify(FOLLOW_UP)
    assert router.seen == router.classifier.classified[-1] == Query(FOLLOW_UP, (), "agent", FIRST)
    await router.route(FOLLOW_UP)
    assert router.seen == Query(FOLLOW_UP, (), "agent", FIRST), "asking was not remembered"


async def test_asking_without_a_session_knows_of_nothing_before(router: Router) -> None:
    await router.classify(FIRST)
    assert router.classifier.classified == [Query(FIRST)]


async def test_what_shall_not_be_remembered_is_not_heard_of(router: Router) -> None:
    await router.route(FIRST, remember=False)
    await router.route(FOLLOW_UP)
    assert router.seen == Query(FOLLOW_UP, (), "agent", "")


async def test_without_memory_nothing_was_said_before(servers: None) -> None:
    forgetful = Router(memory_turns=0)
    await forgetful.route(FIRST)
    await forgetful.route(FOLLOW_UP)
    assert forgetful.seen == Query(FOLLOW_UP, (), "agent", "")


async def test_a_client_that_sends_the_conversation_along_says_itself_what_was_said_before(router: Router) -> None:
    await router.chat(FIRST)
    await router.chat(FIRST, FOLLOW_UP)
    assert router.seen == Query(FOLLOW_UP, (), "agent", FIRST)


async def test_a_follow_up_that_is_passed_on_is_bypassed(router: Router) -> None:
    await router.chat(FIRST)
    found = await router.chat(FIRST, FOLLOW_UP, headers=DEBUG)
    assert (found.headers["x-route-bypass"], found.headers["x-route-use-case"]) == ("true", "agent")
    assert found.because["because"]["session_prior"] == "agent"


# /classify


async def test_asking_always_gives_scores_and_says_why(router: Router) -> None:
    await router.route(FIRST)
    found = (await router.classify(FOLLOW_UP)).json
    assert (found["use_case"], found["reason"], found["bypass_used"]) == ("agent", "session", True)
    assert found["scores"]["agent"] == 0.9
    assert found["because"]["session_prior"] == "agent"


async def test_asking_changes_nothing(router: Router) -> None:
    key = Key(ANYBODY.id, "s1")
    await router.route(FIRST)
    before = await router.store.get(key)
    found = (await router.classify(SWITCH)).json
    assert (found["use_case"], found["reason"], found["context_changed"]) == ("stt", "switched", True)
    assert await router.store.get(key) == before
    assert len(await router.store.history(key)) == 2


async def test_a_use_case_that_is_named_again_while_redis_is_away_is_chosen_anew(router: Router) -> None:
    """Where others served the session meanwhile, it may stand otherwise."""
    chosen = []
    for degraded in (False, False, True):
        router.store.degraded = degraded
        await router.route(FIRST, use_case="agent")
        session = await router.store.get(Key(ANYBODY.id, "s1"))
        assert session is not None
        chosen.append(session.chosen)
    assert chosen[0] == chosen[1] < chosen[2]


# a session that comes back


async def test_a_use_case_that_was_left_is_an_earlier_one(router: Router) -> None:
    await router.route(FIRST)
    await router.route(SWITCH)
    session = await router.store.get(Key(ANYBODY.id, "s1"))
    found = standing_of(session)
    assert found is not None
    assert (found.use_case, found.earlier) == ("stt", frozenset({"agent"}))


def test_earlier_are_the_use_cases_of_the_other_lanes() -> None:
    lanes = {"gpu0": a_lane("agent"), "gpu1": a_lane("stt"), "gpu2": Lane("tts", "m", "http://a", 0.6)}
    found = standing_of(a_session(group="gpu2", lanes=lanes))
    assert found is not None
    assert (found.use_case, found.confidence, found.earlier) == ("tts", 0.6, frozenset({"agent", "stt"}))
    assert standing_of(None) is None


# a key that is for some use cases of a model


SHARED = a_registry(a_model("writer"), use_cases=[a_use_case("agent", "writer"), a_use_case("search", "writer")])


@pytest.mark.parametrize(
    ("allowed", "standing", "status"),
    [
        (["search"], "search", 200),
        (["search"], "agent", 403),
        (["agent"], "search", 403),
        (["agent"], None, 200),
        (["search"], None, 200),
        (["agent", "search"], "search", 200),
    ],
)
async def test_a_named_model_is_for_a_key_where_its_session_stands(
    servers: None, tmp_path: Path, allowed: list[str], standing: str | None, status: int
) -> None:
    path, (key, entry) = tmp_path / "keys.json", new_entry("test", ["route"], use_cases=allowed)
    change_keys(path, lambda _: [entry])
    router = Router(registry=SHARED, api_keys_file=path)
    if standing is not None:
        lane = a_lane(standing, "writer", "http://writer:8000")
        await router.store.commit(Key(entry.id, "s1"), Pin("writer", lane, 0))
    headers = {"Authorization": f"Bearer {key}", "X-Session-ID": "s1"}
    answered = await router.chat(FIRST, model="writer", headers=headers)
    assert answered.status == status, answered.body
    if status == 200:
        assert answered.headers["x-route-use-case"] == (standing or allowed[0])


# the shadow


async def test_a_pinned_turn_is_not_checked(shadowed: Router) -> None:
    """A person's word is no bypass that could be wrong."""
    await shadowed.route(FIRST)
    await shadowed.store.steer(Key(ANYBODY.id, "s1"), Steering(pinned="agent"))
    assert (await shadowed.route(SWITCH)).headers["x-route-bypass"] == "true"
    assert await settled(shadowed) == (0, 0)


@pytest_asyncio.fixture
async def shadowed(servers: None) -> AsyncIterator[Router]:
    found = Router(share=1.0)
    yield found
    await found.shadow.close()


async def settled(router: Router) -> tuple[int, int]:
    """Checks and disagreements, once all are done."""
    async with asyncio.timeout(20):
        while router.shadow._running:
            await asyncio.gather(*router.shadow._running, return_exceptions=True)
    told = report(router.stats.counts())
    return told["shadow_checks"], told["shadow_disagreements"]


async def test_only_bypassed_turns_are_checked_afterwards(shadowed: Router) -> None:
    await shadowed.route(FIRST)
    await shadowed.route(SWITCH)
    assert await settled(shadowed) == (0, 0)
    await shadowed.route(FOLLOW_UP)
    assert await settled(shadowed) == (1, 0)


async def test_a_check_sees_what_the_turn_saw(shadowed: Router) -> None:
    await shadowed.route(FIRST)
    await shadowed.route(FOLLOW_UP)
    await settled(shadowed)
    assert shadowed.classifier.classified[-1] == shadowed.seen == Query(FOLLOW_UP, (), "agent", FIRST)


async def test_asking_where_a_turn_would_go_is_not_checked(shadowed: Router) -> None:
    await shadowed.route(FIRST)
    await shadowed.classify(FOLLOW_UP)
    assert await settled(shadowed) == (0, 0)


async def test_a_check_that_fails_harms_no_answer(shadowed: Router) -> None:
    await shadowed.route(FIRST)
    shadowed.classifier.failure = RuntimeError("broken")
    assert (await shadowed.route(FOLLOW_UP)).status == 200
    assert await settled(shadowed) == (0, 0)

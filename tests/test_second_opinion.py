"""A second opinion, from a real server on a socket: what it is asked, and that it never keeps anybody waiting."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from time import monotonic
from typing import Any

import pytest
import pytest_asyncio

from smart_router.classify.base import Query
from smart_router.cli.processes import free_port
from smart_router.errors import ConfigurationError
from smart_router.second_opinion import MOST_ANSWER_BYTES, SHOWN_CHARACTERS, SecondOpinion, open_second_opinion
from smart_router.upstream.fleet import Fleet
from tests.choosing import REGISTRY, USE_CASES
from tests.fakes import a_model, a_registry, settings
from tests.upstream.scripted import (
    HANG_UP,
    RESET,
    STALL,
    STREAM_HEAD,
    ScriptedServer,
    Step,
    answer,
    chunk,
    completion,
    scripted_server,
)
from tests.upstream.servers import raw_server

pytestmark = pytest.mark.usefixtures("bare_environment")

WITHIN_S = 30.0  # where no deadline is tested, a slow machine must not make a difference
SOON_S = 0.2
QUERY = Query("perhaps one, perhaps the other")


class World:
    """A second opinion and the fleet that it takes places of."""

    def __init__(self, url: str, within_s: float = WITHIN_S, **model: Any) -> None:
        judge = a_model("judge", url, served_as="org/judge", **model)
        registry = a_registry(judge, *REGISTRY.models.values(), use_cases=tuple(REGISTRY.use_cases.values()))
        chosen = settings(llm_classifier_model="judge", llm_classifier_timeout=within_s, connect_timeout=WITHIN_S)
        self.fleet = Fleet(registry, chosen)
        found = open_second_opinion(self.fleet, registry, chosen)
        assert found is not None
        self.second: SecondOpinion = found

    async def on(self, query: Query = QUERY, use_cases: tuple[str, ...] = USE_CASES) -> str | None:
        """Whatever comes of it, no place is kept."""
        try:
            return await self.second.on(query, use_cases)
        finally:
            assert self.in_flight == 0

    @property
    def in_flight(self) -> int:
        return sum(replica.in_flight for replica in self.fleet.report())


Make = Callable[..., Awaitable[World]]


@pytest_asyncio.fixture
async def server() -> AsyncIterator[ScriptedServer]:
    async with scripted_server() as found:
        yield found


@pytest_asyncio.fixture
async def make(server: ScriptedServer) -> AsyncIterator[Make]:
    """Asks *server*, unless told another. Nothing but asking is started: no health check gets in a script's way."""
    made: list[World] = []

    async def make_one(within_s: float = WITHIN_S, url: str | None = None, **model: Any) -> World:
        made.append(World(url or server.url, within_s, **model))
        for upstream in made[-1].fleet._upstreams.values():
            await upstream.start()
        return made[-1]

    yield make_one
    for world in made:
        for upstream in world.fleet._upstreams.values():
            await upstream.close()


async def sent(make: Make, server: ScriptedServer, query: Query, use_cases: tuple[str, ...] = USE_CASES) -> Any:
    """The body that the server got."""
    server.enqueue(answer(200, completion("stt")))
    await (await make()).on(query, use_cases)
    return server.requests[-1].json


# what it is asked


async def test_it_may_only_answer_with_a_use_case_and_always_with_the_same(make: Make, server: ScriptedServer) -> None:
    body = await sent(make, server, QUERY, ("agent", "stt"))
    assert body["structured_outputs"] == {"choice": ["agent", "stt"]}
    assert (body["temperature"], body["seed"]) == (0, 0)
    assert body["max_tokens"] <= 16
    assert "stream" not in body


async def test_it_is_asked_as_a_chat_under_the_name_that_the_server_knows(make: Make, server: ScriptedServer) -> None:
    body = await sent(make, server, QUERY)
    request = server.requests[-1]
    assert (request.method, request.path, body["model"]) == ("POST", "/v1/chat/completions", "org/judge")
    assert request.headers["content-type"] == "application/json"


async def test_it_sees_the_query_and_what_the_use_cases_are(make: Make, server: ScriptedServer) -> None:
    system, user = (await sent(make, server, QUERY, ("agent", "stt")))["messages"]
    assert (system["role"], user) == ("system", {"role": "user", "content": QUERY.text})
    assert "- agent: Writes and reasons." in system["content"]
    assert "- stt: Writes down what is said." in system["content"]
    assert "multimodal" not in system["content"]


async def test_of_a_later_turn_it_sees_the_session_and_what_was_said_before(make: Make, server: ScriptedServer) -> None:
    system, _ = (await sent(make, server, Query("and now?", (), "stt", "transcribe it")))["messages"]
    assert "has been stt so far" in system["content"]
    assert "'transcribe it'" in system["content"]


async def test_of_a_first_turn_it_hears_of_no_conversation(make: Make, server: ScriptedServer) -> None:
    system, _ = (await sent(make, server, QUERY))["messages"]
    assert "conversation" not in system["content"]


async def test_of_long_texts_it_sees_both_ends(make: Make, server: ScriptedServer) -> None:
    long = "a" * 50_000 + "b" * 50_000
    system, user = (await sent(make, server, Query(long, (), "stt", long)))["messages"]
    assert user["content"] == "a" * SHOWN_CHARACTERS + " " + "b" * SHOWN_CHARACTERS
    assert len(system["content"]) < 3 * SHOWN_CHARACTERS


async def test_the_same_input_is_the_same_request_byte_for_byte(make: Make, server: ScriptedServer) -> None:
    for _ in range(2):
        await sent(make, server, Query('सुनो, \n👍 "that"', (), "stt", "transcribe it"))
    first, second = server.requests
    assert first.body == second.body
    assert server.requests[0].headers == second.headers


# what it says


@pytest.mark.parametrize("text", ["stt", " stt\n", '"stt"'])
async def test_the_use_case_that_it_names_is_its_opinion(make: Make, server: ScriptedServer, text: str) -> None:
    server.enqueue(answer(200, completion(text)))
    assert await (await make()).on() == "stt"


@pytest.mark.parametrize("text", ["tts", "", "STT", "stt or agent", "I think it is stt", None])
async def test_what_is_none_of_the_choices_is_no_opinion(make: Make, server: ScriptedServer, text: str | None) -> None:
    server.enqueue(answer(200, completion(text)))
    assert await (await make()).on() is None


async def test_a_use_case_that_this_turn_does_not_admit_is_no_opinion(make: Make, server: ScriptedServer) -> None:
    server.enqueue(answer(200, completion("stt")))
    assert await (await make()).on(QUERY, ("agent", "multimodal")) is None


@pytest.mark.parametrize("status", [400, 401, 404, 422, 429, 500, 502, 503, 504, 302, 204])
async def test_a_refusal_is_no_opinion(make: Make, server: ScriptedServer, status: int) -> None:
    server.enqueue(answer(status, completion("stt")))
    assert await (await make()).on() is None


ENDLESS = STREAM_HEAD + chunk(b" " * 60_000) * 3


@pytest.mark.parametrize(
    "script",
    [
        [answer(200, b"")],
        [answer(200, b"{")],
        [answer(200, b"stt")],
        [answer(200, b"[]")],
        [answer(200, b"null")],
        [answer(200, b"{}")],
        [answer(200, b'{"choices": []}')],
        [answer(200, b'{"choices": [{}]}')],
        [answer(200, b'{"choices": [{"message": {"content": 5}}]}')],
        [answer(200, b'{"choices": [{"message": {"content": [{"text": "stt"}]}}]}')],
        [answer(200, gzip.compress(completion("stt")), content_encoding="gzip")],
        [answer(200, completion("stt" + "x" * MOST_ANSWER_BYTES))],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", HANG_UP],
        [b"SSH-2.0-OpenSSH_9.6\r\n", HANG_UP],
        [HANG_UP],
        [RESET],
        [ENDLESS, HANG_UP],
    ],
)
async def test_a_broken_answer_is_no_opinion(make: Make, server: ScriptedServer, script: list[Step]) -> None:
    server.enqueue(*script)
    assert await (await make()).on() is None


NOT_UTF8 = b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'
HALF_A_CHARACTER = b'{"choices": [{"message": {"content": "\\ud83d"}}]}'
DEEP = b'{"a":' * 10_000 + b"1" + b"}" * 10_000


@pytest.mark.parametrize(
    "body",
    [
        NOT_UTF8,
        HALF_A_CHARACTER,
        DEEP,
    ],
    ids=["not UTF-8", "half a character", "deep"],
)
async def test_an_answer_that_no_json_reader_can_read_is_no_opinion(
    make: Make, server: ScriptedServer, body: bytes
) -> None:
    server.enqueue(answer(200, body))
    assert await (await make()).on() is None


# how long it may take


@pytest.mark.parametrize(
    "script",
    [
        [STALL],
        [b"HTTP/1.1 200 OK\r\n", STALL],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", STALL],
        [answer(200, completion("stt"))[:-1], STALL],
    ],
    ids=["no answer", "half a head", "a beginning", "all but the last byte"],
)
async def test_a_slow_server_is_no_opinion_within_the_deadline(
    make: Make, server: ScriptedServer, script: list[Step]
) -> None:
    server.enqueue(*script)
    world, started = await make(SOON_S), monotonic()
    assert await world.on() is None
    assert SOON_S * 0.9 <= monotonic() - started < WITHIN_S
    async with asyncio.timeout(WITHIN_S):
        await server.left.wait()  # it need not go on


async def test_a_server_that_drips_is_no_opinion_within_the_deadline() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        while not writer.is_closing():
            writer.write(chunk(b" "))
            await asyncio.sleep(SOON_S / 20)

    async with raw_server(drip) as url:
        world, started = World(url, SOON_S), monotonic()
        [upstream] = world.fleet._upstreams.values()
        await upstream.start()
        assert await world.on() is None
        assert monotonic() - started < WITHIN_S
        await upstream.close()


async def test_nobody_at_home_is_no_opinion(make: Make) -> None:
    assert await (await make(url=f"http://127.0.0.1:{free_port()}")).on() is None


async def test_without_a_free_place_nobody_is_asked(make: Make, server: ScriptedServer) -> None:
    world = await make(max_in_flight=1)
    lease = world.fleet.lease("judge", None, "somebody else")
    assert await world.second.on(QUERY, USE_CASES) is None
    assert (world.in_flight, server.requests) == (1, [])
    lease.release()


async def test_who_is_cancelled_meanwhile_keeps_no_place(make: Make, server: ScriptedServer) -> None:
    server.enqueue(STALL)
    world = await make()
    asking = asyncio.create_task(world.second.on(QUERY, USE_CASES))
    async with asyncio.timeout(WITHIN_S):
        await server.asked.wait()
    assert world.in_flight == 1
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (asking.cancelled(), world.in_flight) == (True, 0)


# the settings


def test_without_a_model_there_is_no_second_opinion() -> None:
    assert open_second_opinion(Fleet(REGISTRY, settings()), REGISTRY, settings()) is None


def test_a_model_that_the_registry_does_not_know_stops_the_start() -> None:
    chosen = settings(llm_classifier_model="jugde")
    with pytest.raises(
        ConfigurationError, match="LLM_CLASSIFIER_MODEL: jugde is not in the registry; give one of writ"
    ):
        open_second_opinion(Fleet(REGISTRY, chosen), REGISTRY, chosen)


def test_it_is_asked_below_the_confidence_that_the_settings_say() -> None:
    chosen = settings(llm_classifier_model="writer", llm_classifier_below=0.61)
    found = open_second_opinion(Fleet(REGISTRY, chosen), REGISTRY, chosen)
    assert found is not None
    assert found.below == 0.61

"""A whole router whose model servers refuse, hang, break off, babble, or fail every second time."""

import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import pytest

from smart_router.cli.processes import free_port
from smart_router.decide.budget import FLOOR
from smart_router.settings import Settings
from smart_router.simulate import SimulatedModel, running
from tests.e2e.asking import CHAT, DONE, FOLLOW_UP, PYTHON, a_session, data_of, names, read_events
from tests.e2e.models import AGENT, KINDS, SOON_S, Recorder, Taken, a_recorder
from tests.e2e.routers import Router, a_registry, running_router, until, wait_for_idle
from tests.e2e.test_faults import broken
from tests.e2e.test_openai_faults import ROLE, told
from tests.upstream.scripted import (
    HANG_UP,
    RESET,
    STALL,
    STREAM_END,
    STREAM_HEAD,
    Step,
    answer,
    chunk,
    completion,
    delta,
    event,
)
from tests.upstream.test_pool import full_backlog

SILENCE_S = 1.0  # between chunks
NEVER_S = 3600.0  # no health check helps
PATHS = ("/route", CHAT)


@contextmanager
def a_router(folder: Path, *agents: str, **options: Any) -> Iterator[Router]:
    """The agent's replicas are *agents*; other models are not there."""
    nobody = [f"http://127.0.0.1:{free_port()}"]
    endpoints = {model: agents if model == AGENT else nobody for model in KINDS}
    with running_router(a_registry(folder, endpoints), **options) as router:
        yield router


def replicas(router: Router) -> list[dict[str, Any]]:
    groups = router.get("/health")["model_endpoints"].values()
    return [replica for group in groups for replica in group["replicas"] if replica["model"] == AGENT]


def wait_until_well(router: Router) -> None:
    until(lambda: all(replica["status"] == "healthy" for replica in replicas(router)))


def asked(router: Router, path: str, text: str, session: str, **fields: Any) -> httpx2.Response:
    if path == "/route":
        return router.route(text, session_id=session, use_case="agent", **fields)
    return router.chat(text, session=session, model=AGENT, **fields)


def counted(router: Router, metric: str) -> float:
    lines = router.http.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(metric))


def retries(router: Router) -> float:
    return counted(router, "smart_router_retries_total")


def timed(router: Router, path: str, text: str, session: str) -> float:
    """Seconds until the whole answer, a 200, is there."""
    started = time.monotonic()
    response = asked(router, path, text, session)
    assert response.status_code == 200, response.text
    return time.monotonic() - started


# nobody there


def test_a_refused_connection_costs_a_request_no_wait(tmp_path: Path) -> None:
    """One replica after the other ends; the sessions that were warm there are answered by another, by no deadline."""
    with ExitStack() as stack:
        ends = {}
        for _ in range(5):
            life = stack.enter_context(ExitStack())
            ends[life.enter_context(running(SimulatedModel(AGENT, "text", ttft_ms=0, tokens_per_second=0)))] = life
        stays = stack.enter_context(running(SimulatedModel(AGENT, "text", ttft_ms=0, tokens_per_second=0)))
        router = stack.enter_context(a_router(tmp_path, *ends, stays, health_interval=NEVER_S, connect_timeout=30))
        wait_until_well(router)
        warm = warm_sessions(router, [*ends, stays], 2)
        turns = [(path, session) for at in warm.values() for path, session in zip(PATHS, at, strict=True)]
        normal = [timed(router, path, FOLLOW_UP, session) for path, session in turns]
        refused = []
        for endpoint, life in ends.items():
            life.close()
            for path, session in zip(PATHS, warm[endpoint], strict=True):
                refused.append(timed(router, path, FOLLOW_UP, session))
                assert router.session(session)["endpoint"] != endpoint
        assert retries(router) >= len(refused), "each was refused once at least"
    print(
        f"normal {median(normal) * 1000:.1f} ms, refused {median(refused) * 1000:.1f} ms, at most {max(refused):.3f} s"
    )
    assert max(refused) < 15


def warm_sessions(router: Router, endpoints: Sequence[str], each: int) -> dict[str, list[str]]:
    """So many sessions of each replica."""
    found: dict[str, list[str]] = {endpoint: [] for endpoint in endpoints}
    while any(len(sessions) < each for sessions in found.values()):
        session = a_session()
        asked(router, CHAT, PYTHON, session)
        found[router.session(session)["endpoint"]].append(session)
    return {endpoint: sessions[:each] for endpoint, sessions in found.items()}


@pytest.mark.parametrize("path", PATHS)
def test_a_connection_that_is_never_accepted_is_given_up_and_another_replica_answers(tmp_path: Path, path: str) -> None:
    assert Settings.model_fields["connect_timeout"].default <= 1
    with full_backlog() as silent, a_recorder() as other, a_router(tmp_path, silent, other.url) as router:
        took: list[float] = []

        def one_found_out() -> bool:
            took.append(timed(router, path, PYTHON, a_session()))
            return retries(router) > 0

        until(one_found_out)
        assert 0.9 < max(took) < 15
        assert len(other.requests) == len(took)


# gone in the middle


@dataclass(frozen=True)
class Replicas:
    """Three of them, and their router, whose retries are not few."""

    recorders: tuple[Recorder, ...]
    router: Router

    def warm_at(self, path: str) -> tuple[str, Recorder, list[Recorder]]:
        """A session, the replica where it is warm, and the others; nobody has been asked for anything else."""
        for recorder in self.recorders:
            recorder.reset()
            recorder.script = well_spoken
        wait_until_well(self.router)
        session = a_session()
        assert asked(self.router, path, PYTHON, session).status_code == 200
        endpoint = self.router.session(session)["endpoint"]
        warm = next(recorder for recorder in self.recorders if recorder.url == endpoint)
        warm.requests.clear()
        return session, warm, [recorder for recorder in self.recorders if recorder is not warm]


def well_spoken(taken: Taken) -> Sequence[Step]:
    """An answer on a connection that is not used again: the next request meets with no stale one."""
    if taken.json.get("stream"):
        head = STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        return [head, chunk(ROLE + delta("Well") + delta(None, "stop") + event(b"[DONE]")), STREAM_END, HANG_UP]
    return [answer(200, completion("Well"), Connection="close"), HANG_UP]


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    options = {"health_interval": 0.2, "between_chunks_timeout": SILENCE_S, "retry_budget": 1.0}
    with ExitStack() as stack:
        recorders = tuple(stack.enter_context(a_recorder()) for _ in range(3))
        where = (recorder.url for recorder in recorders)
        yield Replicas(recorders, stack.enter_context(a_router(tmp_path_factory.mktemp("three"), *where, **options)))


BROKEN_OFF: dict[str, tuple[bool, tuple[Step, ...]]] = {
    "before a byte": (False, (RESET,)),
    "before a byte of a stream": (True, (RESET,)),
    "in the status line": (False, (b"HTTP/1.1 20", RESET)),
    "in the headers": (False, (b"HTTP/1.1 200 OK\r\nContent-Ty", RESET)),
    "in the headers of a stream": (True, (STREAM_HEAD[:-2], RESET)),
    "in a whole answer": (False, (answer(200, completion("Half"))[:-10], RESET)),
    "after the headers of a stream": (True, (STREAM_HEAD, RESET)),
    "before the first word": (True, (STREAM_HEAD, chunk(ROLE), RESET)),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("stream", "steps"), BROKEN_OFF.values(), ids=BROKEN_OFF.keys())
def test_a_reset_that_the_client_has_seen_nothing_of_costs_one_retry_elsewhere(
    three: Replicas, path: str, stream: bool, steps: tuple[Step, ...]
) -> None:
    session, warm, others = three.warm_at(path)
    before = retries(three.router)
    warm.tell(*steps)
    response = asked(three.router, path, FOLLOW_UP, session, stream=stream)
    assert response.status_code == 200, response.text
    assert "Well" in response.text
    assert "Half" not in response.text
    assert [len(warm.requests), *sorted(len(other.requests) for other in others)] == [1, 0, 1]
    assert retries(three.router) == before + 1
    assert three.router.session(session)["endpoint"] in [other.url for other in others]
    wait_for_idle(three.router)


# babble


@pytest.mark.parametrize(
    ("path", "says"),
    [("/route", b": ping\n\n"), ("/route", b"\n"), ("/route", delta("")), (CHAT, b": ping\n\n"), (CHAT, b"\n")],
    ids=["route, comments", "route, line ends", "route, empty words", "chat, comments", "chat, line ends"],
)
def test_who_says_only_that_it_lives_gains_no_time_in_mid_stream(three: Replicas, path: str, says: bytes) -> None:
    session, warm, _ = three.warm_at(path)
    gave_up = False

    def babble(_: Taken) -> Iterator[Step]:
        nonlocal gave_up
        yield STREAM_HEAD + chunk(ROLE + delta("Hello"))
        for _number in range(int(4 * SOON_S / 0.05)):
            time.sleep(0.05)
            yield chunk(says)
        gave_up = True

    warm.script = babble
    started = time.monotonic()
    response = asked(three.router, path, FOLLOW_UP, session, stream=True)
    took = time.monotonic() - started
    assert response.status_code == 200
    assert "Hello" in response.text
    if path == "/route":
        assert names(read_events(response.text.split("\n")))[-1] == "error"
    else:
        assert "error" in data_of(response.content)[-1]
    assert DONE not in response.text
    assert 0.9 * SILENCE_S <= took < SOON_S
    warm.wait_for(lambda it: it.closed.is_set(), "the router to leave")
    assert not gave_up


# no answer at all


LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n"
WHOLE = completion("Hello")
FRAMINGS: dict[str, tuple[Step, ...]] = {
    "length and chunks": (
        LENGTH % len(WHOLE) + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(WHOLE) + STREAM_END,
        STALL,
    ),
    "chunks and length": (
        (LENGTH % len(WHOLE)).replace(b"Content-Length", b"Transfer-Encoding: chunked\r\nContent-Length") + b"\r\n",
        chunk(WHOLE) + STREAM_END,
        STALL,
    ),
    "two lengths": (LENGTH % len(WHOLE) + b"Content-Length: 3\r\n\r\n" + WHOLE, STALL),
    "a length of letters": (LENGTH.replace(b"%d", b"many") + b"\r\n" + WHOLE, STALL),
    "a negative length": (LENGTH % -5 + b"\r\n" + WHOLE, STALL),
    "too short a length": (LENGTH % (len(WHOLE) - 7) + b"\r\n" + WHOLE, STALL),
    "too long a length": (LENGTH % (len(WHOLE) + 7) + b"\r\n" + WHOLE, HANG_UP),
    "chunks of another size": (LENGTH.split(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", STALL),
}


@pytest.fixture(scope="module")
def only(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Router, Recorder]]:
    with (
        a_recorder() as recorder,
        a_router(tmp_path_factory.mktemp("only"), recorder.url, health_interval=0.2) as router,
    ):
        yield router, recorder


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("steps", FRAMINGS.values(), ids=FRAMINGS.keys())
def test_an_answer_whose_end_is_unclear_is_a_502_and_the_connection_dropped(
    only: tuple[Router, Recorder], path: str, stream: bool, steps: tuple[Step, ...]
) -> None:
    router, recorder = only
    recorder.reset()
    wait_until_well(router)
    media_type = (b"application/json", b"text/event-stream" if stream else b"application/json")
    recorder.tell(*(step.replace(*media_type) if isinstance(step, bytes) else step for step in steps))
    response = asked(router, path, PYTHON, a_session(), stream=stream)
    broken(response, 502) if path == "/route" else told(response, 502)
    if HANG_UP not in steps:
        recorder.wait_for(lambda it: it.closed.is_set(), "the router to leave")
    assert len(recorder.requests) == 1
    wait_for_idle(router)


# every second request


@pytest.mark.parametrize("failing", [answer(500, b"{}"), RESET], ids=["answered", "reset"])
@pytest.mark.parametrize("path", PATHS)
def test_when_half_of_the_requests_fail_retries_stay_few_and_somebody_is_always_asked(
    tmp_path: Path, path: str, failing: Step
) -> None:
    requests, chance = 400, random.Random(15)

    def unreliable(_: Taken) -> Sequence[Step]:
        return [answer(200, completion("Well")) if chance.random() < 0.5 else failing]

    with ExitStack() as stack:
        recorders = [stack.enter_context(a_recorder()) for _ in range(4)]
        for recorder in recorders:
            recorder.script = unreliable
        router = stack.enter_context(a_router(tmp_path, *(recorder.url for recorder in recorders)))
        wait_until_well(router)
        out: list[int] = []

        def ask(number: int) -> int:
            if number % 10 == 0:
                out.append(sum(replica["ejected"] for replica in replicas(router)))
            return asked(router, path, PYTHON, a_session()).status_code

        with ThreadPoolExecutor(8) as several:
            statuses = list(several.map(ask, range(requests)))
        attempts = sum(len(recorder.requests) for recorder in recorders)
        assert set(statuses) <= {200, 502}, "there was nobody to ask"
        assert 1.1 * requests < attempts <= 1.2 * requests + FLOOR
        if failing is not RESET:  # one on a stale connection is silent
            assert retries(router) == attempts - requests
        assert 1 <= max(out) <= 2, "at most half are ejected"

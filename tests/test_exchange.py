"""An exchange holds a place and an answer, and gives both back exactly once."""

from typing import Any

import pytest

from smart_router.errors import BackendAway, BackendBroke, BackendTimeout, UpstreamError
from smart_router.exchange import Reply, Timing
from smart_router.observe.finished import Finished, Observer
from smart_router.types import Session, Usage
from smart_router.upstream import KINDS
from smart_router.upstream.base import Piece
from smart_router.upstream.fleet import Fleet
from tests.fakes import FakeAnswer, FakeUpstream, a_decision, a_model, a_registry, a_session, an_ask, settings

ANSWER = (Piece("Hel"), Piece("lo"), Piece(usage=Usage(5, 2), finish_reason="stop"))

pytestmark = pytest.mark.usefixtures("bare_environment")


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setitem(KINDS, "vllm", lambda *_: FakeUpstream())
    return Fleet(a_registry(a_model("m")), settings())


@pytest.fixture
def finished() -> list[Finished]:
    return []


def an_exchange(
    fleet: Fleet, finished: list[Finished], answer: FakeAnswer, before: Session | None = None, **decided: Any
) -> Reply:
    observers: tuple[Observer, ...] = (finished.append,)
    lease = fleet.lease("m", None, "ann/s1")
    timing = Timing(started=1.0, decided=1.5, asked=1.5)
    return Reply(an_ask(), a_decision(**decided), lease, answer, timing, before, "m", observers)


def in_flight(fleet: Fleet) -> int:
    return sum(replica.in_flight for replica in fleet.report())


async def test_it_gives_the_text_and_knows_usage_and_end(fleet: Fleet, finished: list[Finished]) -> None:
    exchange = an_exchange(fleet, finished, FakeAnswer(*ANSWER))
    assert [text async for text in exchange.pieces()] == ["Hel", "lo"]
    assert (exchange.text, exchange.usage, exchange.finish_reason) == ("Hello", Usage(5, 2), "stop")
    assert exchange.complete
    assert exchange.timing.routing_s == 0.5
    exchange.close()


async def test_closing_gives_everything_back_exactly_once(fleet: Fleet, finished: list[Finished]) -> None:
    answer = FakeAnswer(*ANSWER)
    exchange = an_exchange(fleet, finished, answer)
    assert in_flight(fleet) == 1
    exchange.close()
    exchange.close()
    assert (in_flight(fleet), answer.closed, len(finished)) == (0, 1, 1)


async def test_a_complete_exchange_is_ok(fleet: Fleet, finished: list[Finished]) -> None:
    exchange = an_exchange(fleet, finished, FakeAnswer(*ANSWER))
    async for _ in exchange.pieces():
        pass
    exchange.close()
    (done,) = finished
    assert (done.outcome, done.model, done.use_case, done.usage) == ("ok", "m", "agent", Usage(5, 2))
    assert done.new_session
    assert done.first_token_s is not None


async def test_leaving_before_the_end_is_aborted(fleet: Fleet, finished: list[Finished]) -> None:
    exchange = an_exchange(fleet, finished, FakeAnswer(*ANSWER))
    async for _ in exchange.pieces():
        break
    exchange.close()
    assert finished[0].outcome == "aborted"


@pytest.mark.parametrize(
    ("failure", "outcome", "blamed"),
    [
        (BackendAway("x"), "upstream_error", True),
        (BackendBroke("x"), "upstream_error", False),
        (BackendTimeout("x"), "timeout", False),
    ],
)
async def test_a_failure_is_told_and_keeps_what_came_before(
    fleet: Fleet, finished: list[Finished], failure: UpstreamError, outcome: str, blamed: bool
) -> None:
    exchange = an_exchange(fleet, finished, FakeAnswer(Piece("Hel"), failure=failure))
    with pytest.raises(type(failure)):
        async for _ in exchange.pieces():
            pass
    exchange.close()
    assert (exchange.text, exchange.complete, finished[0].outcome) == ("Hel", False, outcome)
    assert fleet.report()[0].trouble == ("x" if blamed else "")


async def test_an_answer_that_cannot_be_closed_still_frees_its_place(fleet: Fleet, finished: list[Finished]) -> None:
    class Stuck(FakeAnswer):
        def close(self) -> None:
            raise RuntimeError("stuck")

    exchange = an_exchange(fleet, finished, Stuck())
    with pytest.raises(RuntimeError):
        exchange.close()
    assert (in_flight(fleet), len(finished)) == (0, 1)


async def test_where_the_conversation_came_from_is_told_when_it_changed(fleet: Fleet, finished: list[Finished]) -> None:
    an_exchange(fleet, finished, FakeAnswer(), a_session("stt"), context_changed=True).close()
    an_exchange(fleet, finished, FakeAnswer(), a_session("agent")).close()
    assert [(done.previous_use_case, done.new_session) for done in finished] == [("stt", False), (None, False)]

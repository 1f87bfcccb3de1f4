"""One exchange, and a look at the router, without a screen."""

import asyncio
from itertools import count

import pytest

from smart_router.client import NotARouter, RouterRefused, RouterUnreachable, StreamBroken
from smart_router.tui.asking import Asking
from smart_router.tui.presence import Presence
from smart_router.tui.sentences import sentence
from smart_router.tui.talks import Talk
from smart_router.tui.turn_view import parts
from smart_router.tui.turns import Turn
from tests.tui.fakes import FakeRouter, Reply, a_decision, a_session

REFUSED = RouterRefused(200, "upstream_broke", "the model server broke")


async def asked(reply: Reply, talk: Talk | None = None) -> Turn:
    talk = talk or Talk("s")
    turn, ticks = Turn("hello"), count()
    talk.add(turn)
    asking = Asking(talk, turn, lambda: next(ticks) * 0.05, lambda: None)
    await asking.run(FakeRouter([reply]).connect(None), 100)
    return turn


async def test_a_whole_answer_has_its_times() -> None:
    turn = await asked(Reply(["Rain ", "falls."]))
    assert (turn.state, turn.text, turn.first_token_s, turn.total_s) == ("done", "Rain falls.", 0.05, 0.1)
    assert turn.answer is not None
    assert turn.answer.result == "Rain falls."


async def test_one_that_was_cut_off_says_so() -> None:
    turn = await asked(Reply(["one two"], finish_reason="length"))
    assert list(parts(turn))[-1] == "cut off at 2 tokens"


async def test_a_terminals_orders_are_taken_out_as_they_come() -> None:
    assert (await asked(Reply(["\x1b", "[2J", "\u2028x\r", "\ny"]))).text == "[2J\nx\ny"


async def test_a_failed_one_keeps_what_had_come() -> None:
    turn = await asked(Reply(["So far"], error=StreamBroken("it broke", "So far")))
    assert (turn.state, turn.text) == ("failed", "So far")
    assert "after 6 characters, which stay here: the connection was lost" in turn.trouble


async def test_a_stopped_one_leaves_the_stream() -> None:
    router, turn = FakeRouter([Reply(gate=asyncio.Event())]), Turn("hello")
    decided = asyncio.Event()
    asking = Asking(Talk("s", turns=[turn]), turn, lambda: 0.0, decided.set)
    task = asyncio.ensure_future(asking.run(router.connect(None), 100))
    await decided.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (turn.state, router.left, turn.came_to_nothing) == ("stopped", 1, True)


async def test_a_session_that_was_ended_elsewhere_is_told() -> None:
    talk = Talk("s")
    assert (await asked(Reply(decision=a_decision(new_session=True)), talk)).notes == []
    [note] = (await asked(Reply(decision=a_decision(new_session=True)), talk)).notes
    assert "expired, or was ended elsewhere" in note
    assert (await asked(Reply(), talk)).notes == []


@pytest.mark.parametrize(
    ("failure", "says"),
    [
        (RouterUnreachable("there is no router; start one"), "start one. Your message is back in the input; Enter"),
        (NotARouter("it answered text/html; is that a router?"), "is that a router?. Your message is back"),
        (RouterRefused(429, "rate_limited", "too many", 3.0), "too many. Your message is back in the input: send it"),
        (RouterRefused(413, "body_too_large", "40 MB; at most 32"), "40 MB; at most 32. Your message is back"),
        (RouterRefused(403, "forbidden", "not agent"), "not agent. Your message is back"),
        (StreamBroken("it broke", "", REFUSED), "before its first word: the router says: the model server broke. Your"),
    ],
)
def test_every_failure_is_a_sentence_that_says_where_the_message_is(failure: object, says: str) -> None:
    assert says in sentence(failure)  # type: ignore[arg-type]


def test_what_came_to_nothing_is_replaced_by_the_next_try() -> None:
    talk = Talk("s")
    for state, text in (("done", "x"), ("failed", ""), ("failed", "so far"), ("stopped", ""), ("done", "y")):
        talk.add(Turn("hello", state=state, text=text))  # type: ignore[arg-type]
    assert [turn.text for turn in talk.turns] == ["x", "so far", "y"]


async def seen(router: FakeRouter) -> Presence:
    presence = Presence()
    await presence.look(router.connect(None))
    return presence


async def test_all_pages_of_sessions_are_read() -> None:
    presence = await seen(FakeRouter(listed=[a_session(f"s{i}") for i in range(120)]))
    assert presence.sessions is not None
    assert [session.session_id for session in presence.sessions] == [f"s{i}" for i in range(120)]
    assert presence.state == "connected"


async def test_sessions_beyond_the_bound_are_left_out() -> None:
    presence = await seen(FakeRouter(listed=[a_session(f"s{i}") for i in range(500)]))
    assert presence.sessions is not None
    assert len(presence.sessions) == 200


async def test_a_router_that_lists_no_sessions_is_no_trouble() -> None:
    presence = await seen(FakeRouter(unlisted=RouterRefused(404, "not_found", "no such path")))
    assert (presence.state, presence.trouble, presence.sessions) == ("connected", "", None)


async def test_a_router_that_refuses_is_there() -> None:
    assert (await seen(FakeRouter(unlisted=RouterRefused(401, "unauthorized", "no")))).state == "locked"
    presence = await seen(FakeRouter(unlisted=RouterRefused(503, "store_away", "Redis is away")))
    assert (presence.state, presence.trouble) == ("connected", "Redis is away")
    assert (await seen(FakeRouter(down=RouterUnreachable("nobody")))).state == "away"

"""Models that sessions usually go on to are woken before they are asked: on simulated servers that sleep and wake."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from smart_router.decide.succession import LEAST_SEEN

from .models import AGENT, AUDIO, MULTIMODAL
from .redis_process import RedisProcess
from .routers import Router, running_router, until
from .test_lifecycle import Bedroom, Making, asked, bedroom, state

__all__ = ["bedroom"]  # a fixture

WAY = (AGENT, MULTIMODAL, AUDIO)
SESSIONS = LEAST_SEEN + 2


def live(router: Router, sessions: int = SESSIONS, way: Sequence[str] = WAY) -> None:
    """So many sessions went that way."""
    for number in range(sessions):
        for model in way:
            assert asked(router, model, session=f"before-{number}") == model


def falls_asleep(room: Bedroom, router: Router, model: str) -> None:
    room.sleepers[model].put_to_sleep()
    until(lambda: state(router, model) == "sleeping")


def told(router: Router, model: str, outcome: str) -> bool:
    counted = f'smart_router_predicted_wakes_total{{model="{model}",outcome="{outcome}"}} 1.0'
    return counted in router.http.get("/metrics").text


def test_what_sessions_go_on_to_is_awake_before_the_next_one_does(bedroom: Making) -> None:
    room = bedroom(3)
    router = room.router(predictive_wake=True)
    live(router)
    falls_asleep(room, router, AUDIO)
    assert asked(router, AGENT, session="new") == AGENT
    assert asked(router, MULTIMODAL, session="new") == MULTIMODAL
    until(lambda: state(router, AUDIO) == "awake")
    assert not room.sleepers[AUDIO].asleep
    assert asked(router, AUDIO, session="new") == AUDIO
    assert room.sleepers[AUDIO].wakes == 1
    until(lambda: told(router, AUDIO, "used"))


def test_it_takes_the_place_of_one_that_its_sessions_have_left(bedroom: Making) -> None:
    room = bedroom(2)
    router = room.router(predictive_wake=True, session_timeout=2)
    live(router)
    until(lambda: room.awake() == [MULTIMODAL, AUDIO])  # as the last session went
    assert asked(router, AGENT, session="new") == AGENT
    assert asked(router, MULTIMODAL, session="new") == MULTIMODAL
    until(lambda: room.awake() == [MULTIMODAL, AUDIO])


def test_it_is_off_unless_it_is_wanted(bedroom: Making) -> None:
    room = bedroom(3)
    router = room.router()
    live(router)
    falls_asleep(room, router, AUDIO)
    assert asked(router, MULTIMODAL, session="new") == MULTIMODAL
    falls_asleep(room, router, AGENT)  # it was looked at what there is to do
    assert room.sleepers[AUDIO].wakes == 0
    assert "smart_router_predicted_wakes_total{" not in router.http.get("/metrics").text


def test_what_was_learnt_outlives_the_router(bedroom: Making, redis: RedisProcess) -> None:
    room = bedroom(3)
    options: dict[str, Any] = {"predictive_wake": True, "redis_url": redis.url}
    with running_router(room.registry, routing_mode="standard", **options) as one:
        live(one)
    other, sessions = room.router(**options), count()
    falls_asleep(room, other, AUDIO)

    def foreseen() -> bool:
        session = f"new-{next(sessions)}"
        for model in WAY[:2]:
            assert asked(other, model, session=session) == model
        return state(other, AUDIO) == "awake"

    until(foreseen)

"""Models are woken when requests need them, and make room for one another."""

import asyncio

import pytest
from structlog.testing import capture_logs

from smart_router.decide.load import Load
from smart_router.errors import (
    BackendBroke,
    BackendTimeout,
    BackendUnreachable,
    ConfigurationError,
    LifecycleFailed,
    ModelNotReady,
    Overloaded,
)
from tests.fakes import a_model
from tests.lifecycle.conftest import Start
from tests.lifecycle.fakes import Servers, a_sleeper, at, registry_of, until

A, B, C = a_sleeper("a"), a_sleeper("b"), a_sleeper("c")


# waking


async def test_who_is_awake_at_the_start_is_asked_at_once(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    await router.served("a", within_s=0)
    assert router.servers.times("wake", "a") == 0


async def test_a_request_wakes_its_model(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    assert router.state("a") == "sleeping"
    await router.served("a")
    assert router.state("a") == "awake"
    await until(lambda: router.counted("model_wakes", "a", "ok") == 1)


async def test_a_wake_is_believed_once_the_model_has_answered(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    answer = router.servers.hold("ask", "a")
    request = router.begin("a")
    await until(lambda: router.servers.times("ask", "a"))
    assert not router.admits("a")
    assert router.state("a") == "waking"
    answer()
    await request


async def test_many_requests_wake_their_model_once(start: Start) -> None:
    """U17"""
    router = await start(registry_of(A), Servers())
    wake = router.servers.hold("wake", "a")
    requests = [router.begin("a", f"s{i}") for i in range(50)]
    await until(lambda: router.manager.waiting("a") == 50 and router.servers.times("wake", "a"))
    wake()
    await asyncio.gather(*requests)
    assert router.servers.times("wake", "a") == 1
    assert router.manager.waiting("a") == 0


async def test_a_failed_wake_is_told_to_who_waits_and_the_next_request_tries_anew(start: Start) -> None:
    """U19"""
    router = await start(registry_of(A), Servers())
    router.servers.fail("wake", "a", LifecycleFailed("out of memory"))
    requests = [router.begin("a", f"s{i}") for i in range(3)]
    for told in await asyncio.gather(*requests, return_exceptions=True):
        assert isinstance(told, ModelNotReady)
        assert (told.message, told.status) == ("a could not be woken; try again shortly", 503)
        assert told.retry_after_s
    await until(lambda: router.state("a") == "failed")
    assert router.report("a").trouble == "out of memory"
    await router.served("a")
    assert (router.state("a"), router.report("a").trouble) == ("awake", "")
    assert router.counted("model_wakes", "a", "failed") == 1


async def test_a_model_that_was_woken_but_does_not_answer_is_put_back_to_sleep(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.fail("ask", "a", BackendBroke("the model server answered 500"))
    with pytest.raises(ModelNotReady):
        await router.served("a")
    await until(lambda: at("a") not in router.servers.awake)
    await router.served("a")


async def test_a_server_that_is_awake_but_did_not_prove_itself_is_asked_again_before_it_gets_requests(
    start: Start,
) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.fail("ask", "a", *[BackendBroke("the model server answered 500")] * 2)
    router.servers.pretend.add(at("a"))
    with pytest.raises(ModelNotReady):
        await router.served("a")
    await until(lambda: router.admits("a"))
    assert router.servers.times("ask", "a") == 3


async def test_a_failure_is_forgotten_once_the_model_has_answered(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.fail("wake", "a", LifecycleFailed("out of memory"))
    with pytest.raises(ModelNotReady):
        await router.served("a")
    await router.served("a")
    router.servers.awake.clear()
    await until(lambda: router.state("a") == "sleeping")
    router.servers.awake.add(at("a"))
    await until(lambda: router.admits("a"))
    assert router.servers.times("ask", "a") == 1


async def test_a_model_that_fails_again_and_again_is_left_alone_for_a_while(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.fail("wake", "a", *[LifecycleFailed("out of memory")] * 2)
    for _ in range(2):
        with pytest.raises(ModelNotReady):
            await router.served("a")
    with pytest.raises(ModelNotReady) as told:
        await router.served("a")
    assert told.value.retry_after_s is not None
    assert told.value.retry_after_s >= 0.9
    assert router.servers.times("wake", "a") == 2
    assert not router.manager.may_wake("a")
    await until(lambda: router.manager.may_wake("a"))
    await router.served("a")


async def test_who_waits_too_long_is_told_so_and_the_wake_goes_on(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    wake = router.servers.hold("wake", "a")
    with pytest.raises(ModelNotReady, match=r"a was not ready within 0\.05 s; try again shortly"):
        await router.served("a", within_s=0.05)
    wake()
    await until(lambda: router.state("a") == "awake")


async def test_a_wake_that_takes_too_long_has_failed(start: Start) -> None:
    router = await start(registry_of(A), Servers(), model_load_timeout=0.05)
    router.servers.hold("wake", "a")
    with pytest.raises(ModelNotReady, match="could not be woken"):
        await router.served("a")
    late = (
        'model "a" at http://a:8000: not awake within MODEL_LOAD_TIMEOUT (0.05 s); see its server\'s log, or raise it'
    )
    assert router.report("a").trouble == late


async def test_a_server_that_the_router_starts_has_time_to_say_why_it_is_late(start: Start) -> None:
    router = await start(registry_of(a_sleeper("a", lifecycle="process")), Servers(), model_load_timeout=0.05)
    wake = router.servers.hold("wake", "a")
    router.servers.fail("wake", "a", LifecycleFailed("was not healthy; see its log"))
    request = router.begin("a")
    await until(lambda: router.servers.times("wake", "a"))
    await asyncio.sleep(0.2)
    wake()
    with pytest.raises(ModelNotReady, match="could not be woken"):
        await request
    assert router.report("a").trouble == "was not healthy; see its log"


async def test_one_that_is_awake_and_does_not_answer_has_failed(start: Start) -> None:
    router = await start(registry_of(A), Servers(), health_timeout=0.01)
    router.servers.hold("ask", "a")
    with pytest.raises(ModelNotReady, match="could not be woken"):
        await router.served("a")
    mute = (
        'model "a" at http://a:8000 is awake, but did not answer its first question within 0.3 s (30 x HEALTH_TIMEOUT)'
    )
    assert router.report("a").trouble == mute


async def test_only_so_many_requests_may_wait(start: Start) -> None:
    router = await start(registry_of(a_sleeper("a", max_queue=2)), Servers())
    wake = router.servers.hold("wake", "a")
    requests = [router.begin("a", f"s{i}") for i in range(2)]
    await until(lambda: router.manager.waiting("a") == 2)
    with pytest.raises(Overloaded, match="too many requests wait for a already") as told:
        await router.served("a")
    assert told.value.limit == "queue_full"
    wake()
    await asyncio.gather(*requests)


async def test_a_model_without_a_queue_can_be_woken(start: Start) -> None:
    router = await start(registry_of(a_sleeper("a", max_queue=0)), Servers())
    await router.served("a")


async def test_whose_client_has_left_waits_no_more(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.hold("wake", "a")
    request = router.begin("a")
    await until(lambda: router.manager.waiting("a"))
    request.cancel()
    await until(lambda: not router.manager.waiting("a"))


# making room


async def test_an_idle_model_makes_room(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    await router.served("b")
    assert (router.state("a"), router.state("b")) == ("sleeping", "awake")
    assert router.servers.most_awake == 1
    assert router.counted("model_evictions", "a", "ok") == 1


async def test_a_busy_model_is_not_put_to_sleep(start: Start) -> None:
    """U18"""
    router = await start(registry_of(A, B), Servers("a"))
    lease = await router.ask("a")
    request = router.begin("b")
    await until(lambda: router.state("a") == "draining")
    assert not router.admits("a")
    assert router.servers.times("sleep", "a") == 0
    lease.release()
    await request
    assert router.servers.times("sleep", "a") == 1


async def test_a_model_that_others_keep_busy_is_not_put_to_sleep(start: Start) -> None:
    """Its own word counts beside this router's."""
    router = await start(registry_of(A, B), Servers("a"))
    router.servers.loads[at("a")] = Load(running=1)
    request = router.begin("b")
    await until(lambda: router.servers.times("load", "a") > 1)
    assert router.servers.times("sleep", "a") == 0
    router.servers.loads.clear()
    await request


async def test_another_goes_for_a_model_that_others_keep_busy(start: Start) -> None:
    router = await start(registry_of(A, B, C, gpu=2), Servers("a", "b"))
    router.servers.loads[at("a")] = Load(running=1)
    await router.served("b")
    await router.served("c")
    assert router.servers.times("sleep", "a") == 0
    await until(lambda: router.admits("a"))


async def test_what_several_models_share_does_not_say_that_one_of_them_is_busy(start: Start) -> None:
    router = await start(registry_of(A, B, a_model("base", at("a"))), Servers("a"))
    router.servers.loads[at("a")] = Load(running=1)
    await router.served("b")


async def test_a_model_that_need_not_go_is_resumed(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"), lifecycle_interval=3600)
    lease = await router.ask("a")
    request = router.begin("b")
    await until(lambda: router.state("a") == "draining")
    request.cancel()
    await until(lambda: router.admits("a"))
    assert router.state("a") == "awake"
    await router.served("a", within_s=0)
    assert router.servers.times("wake", "a") == 0
    lease.release()


async def test_a_server_that_only_pretends_to_sleep_is_awake(start: Start) -> None:
    """U16"""
    router = await start(registry_of(A, B), Servers("a"))
    router.servers.pretend.add(at("a"))
    request = router.begin("b")
    await until(lambda: router.counted("model_evictions", "a", "failed"))
    assert router.counted("model_evictions", "a", "ok") == 0
    assert router.report("a").evictions == 0
    assert router.servers.times("wake", "b") == 0
    await router.served("a", within_s=0)
    assert "told to sleep, it is still awake" in router.report("a").trouble
    router.servers.pretend.clear()
    await request
    assert router.servers.most_awake == 1


async def test_the_log_says_when_it_is_tried_again(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    router.servers.fail("sleep", "a", LifecycleFailed("dev mode is off"))
    with capture_logs() as logs:
        await router.served("b")
    (again_s,) = (log["again_s"] for log in logs if log["event"] == "a model did not fall asleep")
    assert again_s == round(again_s, 1) > 0


async def test_another_goes_for_a_server_that_does_not_sleep(start: Start) -> None:
    router = await start(registry_of(A, B, C, gpu=2), Servers("a", "b"))
    router.servers.fail("sleep", "a", LifecycleFailed("dev mode is off"))
    await router.served("b")
    await router.served("c")
    assert (router.state("a"), router.state("b"), router.state("c")) == ("awake", "sleeping", "awake")


async def test_one_that_is_gone_has_made_room(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    router.servers.gone.add(at("a"))
    await router.served("b")


async def test_one_that_is_gone_when_it_has_to_sleep_has_made_room(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    sleep = router.servers.hold("sleep", "a")
    request = router.begin("b")
    await until(lambda: router.servers.times("sleep", "a"))
    router.servers.gone.add(at("a"))
    sleep()
    await request
    assert router.report("a").evictions == 1


async def test_one_that_is_too_slow_to_answer_keeps_its_room(start: Start) -> None:
    router = await start(registry_of(A, B), Servers("a"))
    router.servers.trouble[at("a")] = BackendTimeout("too slow")
    await until(lambda: router.state("a") == "unknown")
    router.servers.fail("sleep", "a", BackendTimeout("too slow"))
    request = router.begin("b")
    await until(lambda: router.servers.times("sleep", "a"))
    assert router.servers.times("wake", "b") == 0
    router.servers.trouble.clear()
    await request
    assert router.servers.most_awake == 1


async def test_two_models_that_want_one_place_take_turns(start: Start) -> None:
    """O4"""
    router = await start(registry_of(A, B), Servers(), min_residency=0.2)

    async def client(model: str) -> None:
        for i in range(30):
            await router.served(model, f"{model}{i}")

    await asyncio.gather(*(client(model) for model in ("a", "b") for _ in range(3)))
    swaps = router.servers.times("wake", "a") + router.servers.times("wake", "b")
    assert swaps <= 20
    assert router.servers.most_awake == 1


async def test_requests_for_what_cannot_have_room_are_refused(start: Start) -> None:
    router = await start(registry_of(a_model("always", group="gpu"), A), Servers())
    with pytest.raises(ModelNotReady, match="a has no room beside the models that are kept awake; ask for another"):
        await router.served("a")


async def test_why_requests_are_refused_is_logged_once(start: Start) -> None:
    router = await start(registry_of(A, B), Servers())
    await router.manager.pin("a", True)
    await until(lambda: router.state("a") == "awake")
    with capture_logs() as logs:
        for _ in range(3):
            with pytest.raises(ModelNotReady, match="b has no room"):
                await router.served("b")
    assert [(log["model"], log["kept"]) for log in logs if "requests are refused" in log["event"]] == [("b", ("a",))]


# what servers say


async def test_a_model_that_somebody_woke_is_asked(start: Start) -> None:
    router = await start(registry_of(A), Servers())
    router.servers.awake.add(at("a"))
    await until(lambda: router.admits("a"))
    assert router.servers.times("wake", "a") == 0


async def test_a_model_that_somebody_put_to_sleep_is_woken_and_its_requests_do_not_hang(start: Start) -> None:
    """U21"""
    router = await start(registry_of(A), Servers("a"))
    lease = await router.ask("a")
    hanging = asyncio.create_task(_hang(lease))
    await asyncio.sleep(0)
    router.servers.awake.clear()
    await asyncio.wait([hanging])
    assert lease.taken_back
    lease.release()
    await router.served("a")
    assert router.servers.times("wake", "a") == 1


async def test_what_the_fleet_finds_asleep_is_known_at_once(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"), lifecycle_interval=3600)
    router.servers.awake.clear()
    await router.fleet.check_all()
    assert router.state("a") == "sleeping"
    await router.served("a")


async def test_requests_at_a_server_that_was_found_asleep_are_taken_back(start: Start) -> None:
    """U21: whoever finds it."""
    servers = Servers("a")
    servers.secretive = True
    router = await start(registry_of(A), servers)
    lease = await router.ask("a")
    hanging = asyncio.create_task(_hang(lease))
    await asyncio.sleep(0)
    servers.awake.clear()
    await asyncio.wait([hanging])
    assert lease.taken_back
    lease.release()


async def test_what_was_seen_before_something_happened_is_not_believed(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"), health_timeout=60)
    looks, look = router.servers.times("look", "a"), router.servers.hold("look", "a")
    await until(lambda: router.servers.times("look", "a") > looks)
    router.servers.awake.clear()
    await router.fleet.check_all()
    assert not router.admits("a")
    looks = router.servers.times("look", "a")
    look()
    next_look = router.servers.hold("look", "a")
    await until(lambda: router.servers.times("look", "a") > looks)
    assert not router.admits("a")
    next_look()


async def test_a_server_that_was_killed_and_is_back_is_asked_again(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    router.servers.gone.add(at("a"))
    await until(lambda: router.state("a") == "unknown")
    assert router.admits("a")
    router.servers.gone.clear()
    await until(lambda: router.state("a") == "awake")


async def test_a_server_that_was_killed_and_is_woken_gets_requests_as_soon_as_it_is_awake(start: Start) -> None:
    """What the fleet held against it is forgotten then; until then, requests wait."""
    router = await start(registry_of(A), Servers("a"), health_interval=3600)
    await router.manager.pin("a", True)
    let_wake = router.servers.hold("wake", "a")
    router.servers.gone.add(at("a"))
    for _ in range(2):
        lease = await router.ask("a")
        lease.blame(BackendUnreachable("refused"))
        lease.release()
    await until(lambda: router.servers.times("wake", "a"))
    waiting = router.begin("a")
    await until(lambda: router.manager.waiting("a"))
    router.servers.gone.clear()
    let_wake()
    await waiting


async def test_a_server_that_was_killed_and_is_back_asleep_is_woken(start: Start) -> None:
    router = await start(registry_of(A), Servers("a"))
    router.servers.gone.add(at("a"))
    await until(lambda: router.state("a") == "unknown")
    router.servers.gone.clear()
    router.servers.awake.clear()
    await until(lambda: router.state("a") == "sleeping")
    await router.served("a")


async def test_a_model_that_cannot_be_managed_counts_as_always_awake(start: Start) -> None:
    servers = Servers("a", "c")
    servers.trouble[at("a")] = LifecycleFailed('model "a": no /is_sleeping: start its server in development mode')
    router = await start(registry_of(A, B, a_sleeper("c", group="other")), servers)
    await router.served("a", within_s=0)
    await router.served("c", within_s=0)
    assert (router.state("a"), router.report("a").trouble) == ("awake", str(servers.trouble[at("a")]))
    with pytest.raises(ModelNotReady, match="b has no room"):
        await router.served("b")
    assert router.servers.times("sleep", "a") == 0
    servers.trouble.clear()
    await until(lambda: router.report("a").trouble == "")
    await router.served("b")


async def test_servers_that_cannot_be_managed_are_told_of_once(start: Start) -> None:
    servers, endpoints = Servers("a", "a2", "a3"), [at("a"), at("a2"), at("a3")]
    for endpoint in endpoints[:2]:
        servers.trouble[endpoint] = LifecycleFailed(f'model "a" at {endpoint}: no /is_sleeping')
    with capture_logs() as logs:
        await start(registry_of(a_sleeper("a", *endpoints)), servers)
        await until(lambda: servers.times("look", "a") > 5)
    assert sum(line["event"].startswith("cannot be managed") for line in logs) == 2


async def test_one_that_cannot_be_managed_and_does_not_run_is_not_said_to_be_awake(start: Start) -> None:
    servers = Servers()
    servers.gone.add(at("p"))
    servers.trouble[at("p")] = LifecycleFailed("p: vllm: not found; write process.command")
    with capture_logs() as logs:
        router = await start(registry_of(a_sleeper("p", lifecycle="process")), servers)
    events = [log["event"] for log in logs if log["log_level"] == "error"]
    assert events == [
        "cannot be managed as the registry says: it gets requests only while its server passes health checks"
    ]
    assert (router.admits("p"), router.report("p").trouble) == (False, str(servers.trouble[at("p")]))


async def test_all_servers_of_a_model_are_woken_and_one_is_enough(start: Start) -> None:
    router = await start(registry_of(a_sleeper("a", at("a"), at("a2"))), Servers())
    second = router.servers.hold("wake", "a2")
    await router.served("a")
    assert router.state("a") == "awake"
    second()
    await until(lambda: at("a2") in router.servers.awake)


async def test_a_sleeping_server_of_a_model_that_is_awake_is_woken(start: Start) -> None:
    servers = Servers("a")
    router = await start(registry_of(a_sleeper("a", at("a"), at("a2"))), servers)
    await until(lambda: router.servers.times("wake", "a2"))
    await until(lambda: at("a2") in servers.awake)


# modes


async def test_in_realtime_models_are_preloaded_as_many_as_fit(start: Start) -> None:
    router = await start(registry_of(A, B, C, gpu=2), Servers(), routing_mode="realtime")
    await until(lambda: router.state("a") == router.state("b") == "awake")
    assert [report.preloaded for report in router.manager.report()] == [True, True, False]
    assert not router.manager.may_wake("c")
    assert router.report("c").trouble == "no room beside a, b, which are kept awake"
    with pytest.raises(ModelNotReady, match="c has no room"):
        await router.served("c")


async def test_a_kind_that_is_not_known_stops_the_start(start: Start) -> None:
    with pytest.raises(ConfigurationError, match=r"models\[0\].lifecycle: this version has no ollama; it has always"):
        await start(registry_of(a_sleeper("a", lifecycle="ollama")), Servers())


async def _hang(lease: object) -> None:
    lease.ask()  # type: ignore[attr-defined]
    await asyncio.Event().wait()

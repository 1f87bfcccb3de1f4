"""Which servers `smart-router up` starts, in which order, and what it does with those that have no room."""

import pytest

from smart_router.cli.processes import free_port
from smart_router.errors import LifecycleFailed
from smart_router.lifecycle.program import program_for
from smart_router.lifecycle.roster import Entry, Roster, roster_of
from smart_router.lifecycle.supervisor import Supervisor
from smart_router.registry import Group, Model
from tests.fakes import a_model, a_registry, settings
from tests.lifecycle.programs import SERVER, Ground, until

HERE = "http://localhost:8000"
SH = {"command": ["sh"]}


def of(*models: Model, rooms: dict[str, int] | None = None) -> Roster:
    registry = a_registry(*models)
    groups = {name: Group(max_resident=room) for name, room in (rooms or {}).items()}
    return roster_of(type(registry)(**{**vars(registry), "groups": groups}), settings())


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    ("model", "why"),
    [
        (a_model("m", HERE, process=SH, lifecycle="process"), "is started when it is needed"),
        (a_model("m", HERE, backend="ollama"), "left alone: its backend is ollama"),
        (a_model("m", "http://192.0.2.1:8000", process=SH), "left alone: http://192.0.2.1:8000 is not on this machine"),
        (a_model("m", "http://no-such.invalid:1", process=SH), "left alone: http://no-such.invalid:1 is not on this"),
        (a_model("m", "dns+http://localhost:1", process=SH), "left alone: dns+http://localhost:1 is not of the form"),
        (a_model("m", "https://localhost:1", process=SH), "left alone: https://localhost:1 is not of the form"),
        (a_model("m", f"{HERE}/prefix", process=SH), f"left alone: {HERE}/prefix is not of the form"),
    ],
)
def test_what_is_not_started_is_left_alone_and_why(model: Model, why: str) -> None:
    roster = of(model)
    assert (roster.entries, roster.failed) == ((), {})
    assert roster.left[0].startswith(f"m: {why}")


@pytest.mark.usefixtures("bare_environment")
def test_a_server_that_several_models_name_is_started_once() -> None:
    roster = of(a_model("m", HERE, process=SH), a_model("n", HERE, process=SH))
    assert [entry.model.id for entry in roster.entries] == ["m"]
    assert roster.left == (f"n: left alone: {HERE} is the server of m",)


@pytest.mark.usefixtures("bare_environment")
def test_the_server_of_a_base_takes_adapters_and_an_adapter_has_none() -> None:
    adapter = a_model("tuned", HERE, lifecycle="lora", lora={"path": "/adapters/tuned", "base": "m"})
    roster = of(adapter, a_model("m", HERE, process=SH))
    assert [entry.model.id for entry in roster.entries] == ["m"]
    assert roster.entries[0].program.environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"
    assert roster.left == ("tuned: is loaded by the server of m",)


@pytest.mark.usefixtures("bare_environment")
def test_all_replicas_on_this_machine_are_started() -> None:
    roster = of(a_model("m", HERE, "http://127.0.0.1:8001", "http://192.0.2.1:8000", process=SH))
    assert [entry.program.port for entry in roster.entries] == [8000, 8001]
    assert len(roster.left) == 1


@pytest.mark.usefixtures("bare_environment")
def test_one_that_cannot_be_started_is_told_beside_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    roster = of(a_model("m", HERE, process={"command": ["no-such"]}), a_model("n", "http://localhost:1", process=SH))
    assert [entry.model.id for entry in roster.entries] == ["n"]
    assert roster.failed["m"].startswith("m: no-such: not found")


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(("room", "crowded"), [(2, [False, False]), (1, [True, True])])
def test_those_that_can_sleep_are_crowded_where_not_all_can_be_awake(room: int, crowded: list[bool]) -> None:
    models = [
        a_model(name, f"http://localhost:{port}", process=SH, group="gpu0", lifecycle="sleep")
        for port, name in enumerate("mn", 8000)
    ]
    assert [entry.crowded for entry in of(*models, rooms={"gpu0": room}).entries] == crowded
    always = a_model("o", "http://localhost:9000", process=SH, group="gpu0")
    assert [entry.crowded for entry in of(*models, always, rooms={"gpu0": 2}).entries] == [True, True, False]


class Sleeper:
    """The kind `sleep`, as far as it is used here."""

    cold = "waking"

    def __init__(self, ground: Ground, refuses: bool = False) -> None:
        self._ground = ground
        self._refuses = refuses
        self.slept: list[tuple[str, int]] = []  # and how many servers there were by then

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def sleep(self, model: Model, endpoint: str) -> None:
        self.slept.append((model.id, len(self._ground.started())))
        if self._refuses:
            raise LifecycleFailed(f"{model.id}: set VLLM_SERVER_DEV_MODE=1")


def an_entry(ground: Ground, model: Model, *, crowded: bool = False) -> Entry:
    return Entry(model, program_for(model, model.endpoints[0], ground.settings()), crowded)


async def test_models_of_a_group_start_one_after_the_other_and_sleep_at_once(ground: Ground) -> None:
    said: list[str] = []
    sleeper = Sleeper(ground)
    models = [ground.model(name, free_port(), group="gpu0", lifecycle="sleep") for name in "ab"]
    supervisor = Supervisor(
        [an_entry(ground, model, crowded=True) for model in models],
        ground.settings(),
        said.append,
        sleeper,  # type: ignore[arg-type]  # as much of one as is used
    )
    try:
        await supervisor.bring_up()
        assert sleeper.slept == [("a", 1), ("b", 2)]
        assert supervisor.down == ()
        assert [line.partition(",")[0] for line in said if "sleeps" in line] == [
            f"{name}: sleeps until it is needed" for name in "ab"
        ]
    finally:
        await supervisor.close()


async def test_one_that_cannot_be_put_to_sleep_stays_up_and_that_is_said(ground: Ground) -> None:
    said: list[str] = []
    model = ground.model("a", free_port(), lifecycle="sleep")
    supervisor = Supervisor(
        [an_entry(ground, model, crowded=True)],
        ground.settings(),
        said.append,
        Sleeper(ground, refuses=True),  # type: ignore[arg-type]
    )
    try:
        await supervisor.bring_up()
        assert len(ground.living()) == 1
        assert said[-1].startswith("a: stays awake, although its group has no room for it: a: set VLLM_SERVER_DEV_MODE")
        assert supervisor.down == ()
    finally:
        await supervisor.close()


async def test_one_that_failed_comes_up_once_what_was_wrong_is_mended(ground: Ground) -> None:
    said: list[str] = []
    ground.write("raise SystemExit(5)")
    supervisor = Supervisor([an_entry(ground, ground.model("a", free_port()))], ground.settings(), said.append)
    try:
        await supervisor.bring_up()
        assert supervisor.down == ("a",)
        assert "exit code 5" in said[-1]
        ground.write(SERVER)
        await until(lambda: not supervisor.down)
        assert len(ground.living()) == 1
    finally:
        await supervisor.close()

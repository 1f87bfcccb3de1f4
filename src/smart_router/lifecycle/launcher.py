"""Starts servers on this machine, watches them until they are healthy, and stops them with all they have started."""

import asyncio
import errno
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

import structlog

from smart_router.errors import BackendBroke, BackendUnreachable, LifecycleFailed, UpstreamError
from smart_router.lifecycle import guardian
from smart_router.lifecycle.left import GUARDIAN_NEEDS_S, end_what_is_left
from smart_router.lifecycle.program import Program, is_here
from smart_router.settings import Settings
from smart_router.upstream.pool import Pools

log = structlog.get_logger("launcher")

POLL_S = 0.25  # between two questions whether it is healthy
TAIL_BYTES = 2000  # of the log, for a message
TAIL_LINES = 10
MOST_HEALTH_BYTES = 64 * 1024


class Launcher:
    """Use `start()` and `close()`; whatever it launched ends with it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pools = Pools(connect_s=settings.connect_timeout)
        self._launched: set[Launched] = set()
        self._closed = False

    async def start(self) -> None:
        self._pools.start()

    async def close(self) -> None:
        """All at once."""
        self._closed = True
        await asyncio.gather(*(launched.stop() for launched in tuple(self._launched)), return_exceptions=True)
        self._pools.close()

    async def launch(self, program: Program) -> "Launched":
        """
        Start *program*; what an earlier router left in its place is ended first.

        Raises:
            LifecycleFailed: it cannot be started; the message says what to change.
        """
        await self.vacate(program)
        await asyncio.to_thread(_check_place, program)
        spawning = asyncio.create_task(self._spawn(program))
        try:
            launched = await asyncio.shield(spawning)
        except asyncio.CancelledError:
            await (await spawning).stop()
            raise
        if self._closed:
            await launched.stop()
            raise LifecycleFailed(f"{program.model}: the router is stopping")
        return launched

    async def vacate(self, program: Program) -> None:
        """
        End what an earlier router left in the place of *program*.

        Raises:
            LifecycleFailed: it is another router's, which lives.
        """
        await end_what_is_left(program.pid_file, program.model, self._settings.process_stop_timeout)

    async def check(self, endpoint: str) -> None:
        """
        Raises:
            UpstreamError: the server there is not healthy.
        """
        within_s = self._settings.health_timeout
        response = await self._pools.to(endpoint).request(b"GET", b"/health", within_s=within_s)
        try:
            if response.status != 200:
                raise BackendBroke(f"/health was answered with {response.status}")
            await response.read(MOST_HEALTH_BYTES, within_s)
        finally:
            response.close()

    async def somebody_answers(self, endpoint: str) -> bool:
        try:
            await self.check(endpoint)
        except BackendUnreachable:
            return False
        except UpstreamError:
            return True
        return True

    async def _spawn(self, program: Program) -> "Launched":
        output = _opened(program)
        try:
            begins = os.fstat(output).st_size
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", guardian.__file__),
                *(str(program.log), str(program.pid_file), f"{self._settings.process_stop_timeout}"),
                *program.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=dict(program.environment),
                start_new_session=True,  # Ctrl+C is for the router
            )
        finally:
            os.close(output)
        log.debug("server started", model=program.model, endpoint=program.endpoint, log=str(program.log))
        launched = Launched(program, process, begins, self, self._settings)
        self._launched.add(launched)
        launched.end.add_done_callback(lambda _: self._launched.discard(launched))
        return launched


class Launched:
    """A server that was started, and the guardian that ends with it."""

    def __init__(
        self,
        program: Program,
        process: asyncio.subprocess.Process,
        begins: int,
        launcher: Launcher,
        settings: Settings,
    ) -> None:
        """*begins*: where in its log its own words do."""
        self.program = program
        self.end = asyncio.create_task(process.wait(), name=f"end of {program.model}")
        self.healthy_since: float | None = None
        self._process = process
        self._begins = begins
        self._launcher = launcher
        self._settings = settings
        self._stopping: asyncio.Task[None] | None = None

    @property
    def runs(self) -> bool:
        return not self.end.done()

    @property
    def is_stopping(self) -> bool:
        return self._stopping is not None

    @property
    def healthy_for_s(self) -> float:
        return 0.0 if self.healthy_since is None else time.monotonic() - self.healthy_since

    async def become_healthy(self) -> None:
        """
        Returns once it is, within MODEL_LOAD_TIMEOUT. However else this ends, the server is stopped.

        Raises:
            LifecycleFailed: it is not; the message says why, as far as its log does.
        """
        try:
            async with asyncio.timeout(self._settings.model_load_timeout) as bound:
                await self._await_health()
        except BaseException as exc:
            await self.stop()
            if bound.expired():
                raise LifecycleFailed(self._is_late()) from None
            if isinstance(exc, asyncio.CancelledError):
                log.warning("server stopped before it was healthy", model=self.program.model, log=str(self.program.log))
            raise
        self.healthy_since = self.healthy_since or time.monotonic()

    async def stop(self) -> None:
        """Returns when nothing of it is left. It goes on where this is cancelled."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name=f"stop of {self.program.model}")
        await asyncio.shield(self._stopping)

    def why_it_ended(self) -> str:
        """For a message, with the end of its log."""
        program = self.program
        how, said = _how(self.end.result()), _tail(program.log, self._begins)
        words = f"the end of its log, {program.log}:\n{said}" if said else f"its log, {program.log}, is empty"
        return f"{program.model}: its server ended {how}; {words}"

    async def _await_health(self) -> None:
        while not await self._is_healthy():
            await asyncio.wait({self.end}, timeout=POLL_S)
            if not self.runs:
                raise LifecycleFailed(self.why_it_ended())

    async def _is_healthy(self) -> bool:
        try:
            await self._launcher.check(self.program.endpoint)
        except UpstreamError:
            return False
        return self.runs

    def _is_late(self) -> str:
        program = self.program
        return (
            f"{program.model}: its server was not healthy within {self._settings.model_load_timeout:g} s and was "
            f"stopped; see its log, {program.log}, or raise MODEL_LOAD_TIMEOUT"
        )

    async def _stop(self) -> None:
        """The guardian sees to all of it; without one, what it has written down says what is left."""
        program, within_s = self.program, self._settings.process_stop_timeout + GUARDIAN_NEEDS_S
        if self._process.stdin is not None:
            self._process.stdin.close()
        await asyncio.wait({self.end}, timeout=within_s)
        if self.runs:
            log.error("the guardian of a server does not end: killing it", model=program.model, pid=self._process.pid)
            with suppress(ProcessLookupError):
                self._process.kill()
            await asyncio.wait({self.end}, timeout=GUARDIAN_NEEDS_S)
        await self._launcher.vacate(program)
        log.debug("server stopped", model=program.model, endpoint=program.endpoint)


def _check_place(program: Program) -> None:
    """
    Raises:
        LifecycleFailed: it is not on this machine, or somebody is there.
    """
    if not is_here(program.host):
        raise LifecycleFailed(
            f"{program.model}: {program.endpoint} is not on this machine, where its server would be started; write an "
            "endpoint such as http://localhost:8000, or lifecycle: always"
        )
    for family, _, _, _, address in socket.getaddrinfo(program.host, program.port, type=socket.SOCK_STREAM):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # what was there just now is no obstacle
            try:
                probe.bind(address)
            except OSError as exc:
                if exc.errno == errno.EADDRINUSE:
                    raise LifecycleFailed(taken(program)) from None


def taken(program: Program) -> str:
    return (
        f"{program.model}: {program.place} is taken by a server that this router did not start; stop that one, or "
        "give the model another port in its endpoints"
    )


def _opened(program: Program) -> int:
    """
    Its log, with a line that says what follows.

    Raises:
        LifecycleFailed
    """
    try:
        program.pid_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        program.log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        output = guardian.for_its_owner(str(program.log), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(output, f"--- {time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(program.command)}\n".encode())
    except OSError as exc:
        raise LifecycleFailed(
            f"{program.model}: {exc.filename or program.log} cannot be written ({exc.strerror}); change PROCESS_DIR or "
            "process.log"
        ) from exc
    return output


def _how(code: int) -> str:
    number = code - 128 if code > 128 else -code  # a guardian's way to say it, and what became of itself
    try:
        name = signal.Signals(number).name
    except ValueError:
        return f"with exit code {code}"
    return f"by {name}" + (" (did the machine run out of memory?)" if number == signal.SIGKILL else "")


def _tail(path: Path, begins: int) -> str:
    """The last lines that it wrote."""
    with suppress(OSError), path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        own = begins if begins <= size else 0  # it has begun anew
        file.seek(max(own, size - TAIL_BYTES))
        lines = file.read(TAIL_BYTES).decode(errors="replace").strip().splitlines()
        return "\n".join(line for line in lines[-TAIL_LINES:] if not line.startswith("--- "))
    return ""

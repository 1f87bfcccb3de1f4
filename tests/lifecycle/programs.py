"""Real child processes: a small server with bad manners on demand, and what is left of those that were started."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from smart_router.lifecycle.guardian import started
from smart_router.registry import Model
from smart_router.settings import Settings
from tests.fakes import a_model

PATIENCE_S = 30.0

# Answers /health, unless it is `unhealthy`. Its numbers, and those of its children, are lines of the file PIDS.
SERVER = """
import http.server, os, signal, subprocess, sys, time

port, pids, manners = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
WAIT = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"

class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            os._exit(9)
        self.send_response(503 if "unhealthy" in manners else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass

if "deaf" in manners:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
all_pids = [os.getpid()]
if "parent" in manners:
    all_pids.append(subprocess.Popen([sys.executable, "-c", WAIT]).pid)
if "leaves" in manners:
    all_pids.append(subprocess.Popen([sys.executable, "-c", WAIT], start_new_session=True).pid)
if "ends" in manners:
    print("no such weights")
    sys.exit(3)
with open(pids, "a") as file:
    file.write("".join(f"{pid}\\n" for pid in all_pids))
print("serving", flush=True)
http.server.ThreadingHTTPServer.allow_reuse_address = True
http.server.ThreadingHTTPServer(("127.0.0.1", port), Answers).serve_forever()
"""


class Ground:
    """A folder of the test's own, and the servers that were started from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pids = folder / "pids"
        self.script = folder / "server.py"
        self.write(SERVER)

    def write(self, script: str) -> None:
        """What servers run from now on."""
        self.script.write_text(script)

    def settings(self, **changed: Any) -> Settings:
        given: dict[str, Any] = {"process_dir": self.folder / "processes", "process_stop_timeout": 1.0} | changed
        return Settings(**given)

    def model(self, name: str, port: int, *manners: str, **changed: Any) -> Model:
        """Its server is the script, with *manners*."""
        command = [sys.executable, str(self.script), "{port}", str(self.pids), *manners]
        given: dict[str, Any] = {"lifecycle": "process", "process": {"command": command}} | changed
        return a_model(name, f"http://127.0.0.1:{port}", **given)

    def started(self) -> list[int]:
        """The numbers of all processes that servers said they are, in order."""
        return [int(line) for line in self.pids.read_text().split()] if self.pids.exists() else []

    def living(self) -> list[int]:
        return [pid for pid in self.started() if started(pid) is not None]

    def guardians(self) -> list[int]:
        """All processes that watch over a server of this folder."""
        return [int(found.name) for found in Path("/proc").glob("[0-9]*") if self._is_guardian(found)]

    def _is_guardian(self, process: Path) -> bool:
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return len(words) > 5 and words[3].endswith(b"guardian.py") and words[4].startswith(os.fsencode(self.folder))


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110 - of processes that are nobody's here
            await asyncio.sleep(0.02)


@contextmanager
def somebody_at(port: int) -> Iterator[None]:
    """Listens there, and does not answer."""
    with socket.create_server(("127.0.0.1", port)):
        yield

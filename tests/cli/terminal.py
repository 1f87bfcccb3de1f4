"""A command at a terminal of its own, or with its output piped."""

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

PATIENCE_S = 40.0


def typed(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """`smart-router ARGUMENTS`, piped, in a process of its own."""
    command = [sys.executable, "-m", "smart_router", *arguments]
    environment = os.environ | variables
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=False, env=environment)


class Terminal:
    """What a command has printed there, and keys for it."""

    def __init__(self, process: subprocess.Popen[bytes], leader: int) -> None:
        self.process = process
        self.said = ""
        self._leader = leader

    def shows(self, text: str) -> None:
        """Wait until it has printed *text* since the last call."""
        end = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert time.monotonic() < end, f"no {text!r} in {self.said!r}"
            assert self._more() or text in self.said, f"it ended without {text!r}: {self.said!r}"
        self.said = self.said.partition(text)[2]

    def press(self, keys: str) -> None:
        os.write(self._leader, keys.encode())

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def ended(self) -> int:
        """Its exit code, once it has."""
        end = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < end, f"it does not end: {self.said!r}"
            self._more()
        while self._more():
            pass
        return self.process.returncode

    def _more(self) -> bool:
        ready, _, _ = select.select([self._leader], [], [], 0.1)
        if not ready:
            return self.process.poll() is None
        try:
            data = os.read(self._leader, 65_536)
        except OSError:  # the other end is closed
            return False
        self.said += data.decode(errors="replace")
        return bool(data)


@contextmanager
def a_terminal(*arguments: str, piped: bool = False, **variables: str) -> Iterator[Terminal]:
    """`smart-router ARGUMENTS` there, only its stdout elsewhere if *piped*; killed if it goes on after the block."""
    leader, follower = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"} | variables
    command = [sys.executable, "-m", "smart_router", *arguments]
    out = subprocess.DEVNULL if piped else follower
    process = subprocess.Popen(command, stdin=follower, stdout=out, stderr=follower, env=environment)
    os.close(follower)
    try:
        yield Terminal(process, leader)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        os.close(leader)
